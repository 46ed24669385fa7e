"""Reading a page as a browser would: its elements, its data, what is wrong with its markup."""

from __future__ import annotations

import base64
import dataclasses
import json
from html.parser import HTMLParser
from typing import Any

import numpy as np

#: Elements without an end.
VOID = {"meta", "input", "br", "link", "img", "hr"}


@dataclasses.dataclass
class Element:
    """An element, with the text directly and indirectly in it."""

    tag: str
    attributes: dict[str, str | None]
    parents: tuple[str, ...]
    text: str = ""


class Page(HTMLParser):
    """A page that has been read.

    Attributes:
        elements: all elements in order.
        faults: what is not well-formed.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self.faults: list[str] = []
        self._open: list[Element] = []
        self.feed(text)
        self.close()
        self.faults += [f"{element.tag} is not closed" for element in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if len({name for name, _ in attrs}) < len(attrs):
            self.faults.append(f"{tag} has an attribute twice")
        element = Element(tag, dict(attrs), tuple(each.tag for each in self._open))
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1].tag != tag:
            self.faults.append(f"{tag} is closed inside {self._open[-1].tag if self._open else 'nothing'}")
            return
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Return the elements of a tag that have these attributes (``class_`` stands for class)."""
        wanted = {name.rstrip("_"): value for name, value in attributes.items()}
        return [
            element
            for element in self.elements
            if element.tag == tag and all(element.attributes.get(k) == v for k, v in wanted.items())
        ]

    @property
    def data(self) -> dict[str, Any]:
        """The data that the page draws."""
        (element,) = self.all("script", id="data")
        loaded: dict[str, Any] = json.loads(element.text)
        return loaded

    @property
    def words(self) -> str:
        """What is read on the page: all text outside scripts and styles, one space between words."""
        hidden = {"script", "style"}
        (body,) = self.all("body")
        text = body.text
        for element in self.elements:
            if element.tag in hidden and "body" in element.parents:
                text = text.replace(element.text, " ")
        return " ".join(text.split())

    def curve(self, chart: str, name: str) -> np.ndarray:
        """Return the values of a curve, NaN where it has none."""
        (curves,) = [each["curves"] for each in self.data["charts"] if each["key"] == chart]
        (values,) = [each["values"] for each in curves if each["name"] == name]
        return np.array([np.nan if value is None else value for value in values])


def images(panel: dict[str, Any], n_times: int) -> np.ndarray:
    """Return the images (F, P, K) of a picture of the geometry."""
    packed = np.frombuffer(base64.b64decode(panel["images"]["bytes"]), dtype="<u2")
    values = packed.reshape(n_times, len(panel["numbers"]), panel["dims"])
    return np.array(panel["images"]["low"]) + np.array(panel["images"]["step"]) * values


def states(panel: dict[str, Any], n_times: int) -> np.ndarray:
    """Return the states (F, P) of the points of a picture of the geometry."""
    return np.frombuffer(base64.b64decode(panel["states"]), dtype=np.uint8).reshape(n_times, -1)
