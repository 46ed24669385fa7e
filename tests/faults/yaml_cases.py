"""Configurations that are wrong in structure, in values, or byte by byte."""

from __future__ import annotations

import codecs
from pathlib import Path
from random import Random
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from .mutation import WORDS, damaged
from .samples import CONFIGS, Samples

COMMANDS = (
    ("check", "{file}"),
    ("check", "{file}", "--json"),
    ("run", "{file}", "--dry-run", "-o", "run.h5"),
    ("run", "{file}", "-o", "run.h5", "--set", "integrator.max_events=200"),
)

#: Keys whose large values are affordable and slow, which is not what this is about.
_SIZES = {"size", "layers", "count", "to", "max_events"}
_EXPENSIVE = range(60, 10**10)

WORD = st.sampled_from(
    [
        *(
            "identity",
            "random",
            "zero",
            "separated",
            "collapsed",
            "clustered",
            "general",
            "file",
            "../x",
            "log",
        ),
        *(
            "{name}",
            "",
            "\x1b[31m",
            "\u202e",
            "é",
            "/dev/zero",
            "/dev/stdin",
            ".",
            "points.npy",
            "table.csv",
            "a\nb",
        ),
        *("points.h5:group/points", "12:30:45", "2001-01-01", "nan", "1_000", "0x10", "a" * 5000),
    ]
)
NUMBER = st.one_of(
    st.integers(-3, 5),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, -0.0, 1e-320, 1e-300, 1e99, 1e101, 1e300, -1e308, 1e16, 1e12, 2**53, 2**63, 1e-14]),
)
LEAF = st.one_of(
    st.none(), st.booleans(), NUMBER, WORD, st.text(max_size=6), st.dates(), st.binary(max_size=4)
)
VALUE = st.one_of(
    LEAF,
    st.lists(NUMBER, max_size=3),
    st.lists(st.lists(NUMBER, max_size=3), max_size=3),
    st.lists(st.lists(st.lists(st.floats(-2, 2), max_size=2), max_size=2), max_size=2),
    st.dictionaries(
        st.sampled_from(
            ["scale", "normal", "file", "random", "method", "points", "shape", "margin", "start"]
        ),
        LEAF,
        max_size=2,
    ),
)
KEY = st.one_of(
    st.sampled_from(
        ["clusters", "points", "std", "bias", "<<", "flow", "initial", "save", "at", "every", "name", "~"]
    ),
    st.text(max_size=8),
    st.integers(),
)


def make(chance: Random, folder: Path, samples: Samples) -> list[str]:
    """Write a hostile configuration into a folder and return the command that reads it."""
    name = chance.choice(sorted(CONFIGS))
    for data in ("table.csv", "points.npy", "points.h5"):
        samples.copy(data, folder)
    path = folder / "hostile.yaml"
    if chance.random() < 0.55:
        content = _encoded(restructured(chance, CONFIGS[name]), chance)
    else:
        content = damaged(CONFIGS[name].encode(), chance, WORDS)
    path.write_bytes(content)
    command = [part.format(file=path.name) for part in chance.choice(COMMANDS)]
    if chance.random() < 0.15:
        command += [
            "--set",
            damaged(b"integrator.s_end=0.25", chance, WORDS).replace(b"\0", b"").decode(errors="replace"),
        ]
    return command


def _encoded(text: str, chance: Random) -> bytes:
    """Return a text in one of the forms that editors give it."""
    form = chance.randrange(12)
    if form == 0:
        return text.replace("\n", "\r\n").encode(errors="surrogatepass")
    if form == 1:
        return codecs.BOM_UTF8 + text.encode(errors="surrogatepass")
    if form == 2:
        return text.encode("utf-16", errors="surrogatepass")
    if form == 3:
        return text.encode("utf-32", errors="surrogatepass")
    if form == 4:
        return text.replace("\n", "\r").encode(errors="surrogatepass")
    return text.encode(errors="surrogatepass")


def restructured(chance: Random, text: str) -> str:
    """Return a valid configuration after structural changes that hypothesis draws from random bytes."""
    made = [text]

    @given(st.data())
    def change(data: st.DataObject) -> None:
        settings = yaml.safe_load(text)
        for _ in range(data.draw(st.integers(1, 3))):
            settings = _changed(settings, data)
        made.append(yaml.safe_dump(settings, allow_unicode=True, default_flow_style=data.draw(st.booleans())))

    for _ in range(5):
        change.hypothesis.fuzz_one_input(chance.randbytes(chance.choice((200, 800, 3000))))
        if len(made) > 1:
            break
    return made[-1]


def _changed(settings: Any, data: st.DataObject) -> Any:
    every = [path for path in _paths(settings) if path]
    if not every:
        return settings
    path = data.draw(st.sampled_from(every))
    kind = data.draw(st.integers(0, 5))
    if kind <= 2:
        new = data.draw(VALUE)
        if (
            path[-1] in _SIZES
            and isinstance(new, int | float)
            and new == new
            and int(min(abs(new), 1e30)) in _EXPENSIVE
        ):
            new = 3
        return _replaced(settings, path, new)
    if kind == 3:  # one part of the configuration in the place of another
        return _replaced(settings, path, _at(settings, data.draw(st.sampled_from(every))))
    holder = _at(settings, path[:-1])
    if isinstance(holder, list):
        return _replaced(settings, path[:-1], [*holder, holder[path[-1]]] if kind == 4 else holder[:-1])
    rest = {key: value for key, value in holder.items() if key != path[-1]}
    if kind == 4:
        rest[data.draw(KEY)] = holder[path[-1]]
    return _replaced(settings, path[:-1], rest)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(inner for key, item in items for inner in _paths(item, (*path, key)))]


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def _replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _replaced(value[path[0]], path[1:], new)
    return copy
