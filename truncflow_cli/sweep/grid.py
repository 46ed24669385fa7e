"""What to run: axes from ``--grid`` and ``--zip``, and the members that they span."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from truncflow_cli.config.errors import shown
from truncflow_cli.errors import UserError
from truncflow_cli.sweep.values import MOST_MEMBERS, Value, digest, parse_values

#: Settings that are the sweep's own business.
_RESERVED = {
    "name": "it is the same for all runs of a sweep; set it with --set name=...",
    "output": "a sweep names its run files itself; choose their folder with -o",
}
#: File names reach to 255 bytes; the hidden files beside a run file add a few to its own.
_LONGEST_STEM = 180


@dataclass(frozen=True)
class Axis:
    """Keys that change together: one of a ``--grid``, or all those of ``--zip``.

    Attributes:
        keys: the dotted paths, K of them.
        points: the values along the axis, each a tuple of K.
    """

    keys: tuple[str, ...]
    points: tuple[tuple[Value, ...], ...]

    def __len__(self) -> int:
        return len(self.points)


@dataclass(frozen=True)
class Member:
    """One run of a sweep.

    Attributes:
        index: its place in the sweep, from 0.
        parameters: each swept key with its value here.
        place: its place along each axis, from 0.
    """

    index: int
    parameters: tuple[tuple[str, Value], ...]
    place: tuple[int, ...]

    @property
    def name(self) -> str:
        """What the member is called: its keys and values, safe as a file name; derived from these alone."""
        name = ",".join(f"{key}={value.name}" for key, value in self.parameters)
        if len(name) <= _LONGEST_STEM:
            return name
        exact = ",".join(f"{key}={value.exact}" for key, value in self.parameters)
        return f"{name[: _LONGEST_STEM - 20].rstrip('.,=-')}-{digest(exact)}"

    @property
    def file_name(self) -> str:
        """The name of its run file."""
        return f"{self.name}.h5"

    @property
    def overrides(self) -> tuple[str, ...]:
        """The parameters as ``--set`` takes them."""
        return tuple(f"{key}={value.text}" for key, value in self.parameters)


def parse_axes(grids: Sequence[str], zips: Sequence[str]) -> tuple[Axis, ...]:
    """Return the axes of a sweep: one for each ``--grid``, and one for all ``--zip`` together, which comes last.

    Options are "key.path=values" each; those of ``zips`` have equally many values.

    Raises:
        UserError: an option of another form, a key that is given twice or lies inside another one, lengths that do
            not match, or too many members.
    """
    axes = []
    for option in grids:
        key, values = _parse(option, "--grid")
        axes.append(_axis((key,), [(value,) for value in values], option_label(option, "--grid")))
    if zips:
        axes.append(_zipped([_parse(option, "--zip") for option in zips]))
    if not axes:
        raise UserError("nothing to sweep over; give --grid key.path=values, such as --grid seed=0:9:10")
    _check_keys([key for axis in axes for key in axis.keys])
    if (total := math.prod(map(len, axes))) > MOST_MEMBERS:
        factors = " × ".join(f"{len(axis):,}" for axis in axes)
        raise UserError(f"{factors} = {total:,} runs are too many; a sweep has at most {MOST_MEMBERS:,}")
    return tuple(axes)


def members(axes: Sequence[Axis]) -> Iterator[Member]:
    """Yield the members that axes span, the last axis changing fastest."""
    for index, place in enumerate(itertools.product(*(range(len(axis)) for axis in axes))):
        points = [(axis.keys, axis.points[at]) for axis, at in zip(axes, place, strict=True)]
        yield Member(
            index, tuple(pair for keys, values in points for pair in zip(keys, values, strict=True)), place
        )


def option_label(option: str, name: str) -> str:
    """Return an option as messages quote it."""
    key, _, values = option.partition("=")
    return f"{name} {key[:60]}={values if len(values) <= 60 else '...'}"


def normal_key(key: str) -> str:
    """Return a dotted path in the one way in which it is compared: list indices without leading zeros."""
    parts = key.strip().split(".")
    return ".".join(str(int(part)) if part.isdecimal() and len(part) < 10 else part for part in parts)


def _parse(option: str, name: str) -> tuple[str, tuple[Value, ...]]:
    key, equals, spec = option.partition("=")
    key = normal_key(key)
    if not equals or not all(key.split(".")):
        example = "seed=0,1,2 or integrator.rtol=log:1e-12:1e-6:7"
        raise UserError(f"{name} {shown(option, 80)[1:-1]}: write it as key.path=values, such as {example}")
    if key in _RESERVED:
        raise UserError(f"{name} {key}: {_RESERVED[key]}")
    return key, parse_values(spec, option_label(option, name))


def _zipped(options: Sequence[tuple[str, tuple[Value, ...]]]) -> Axis:
    keys = tuple(key for key, _ in options)
    if len({len(values) for _, values in options}) > 1:
        counts = ", ".join(f"{key} has {len(values)}" for key, values in options)
        raise UserError(f"--zip: all keys need equally many values; {counts}")
    return _axis(keys, list(zip(*(values for _, values in options), strict=True)), "--zip")


def _axis(keys: tuple[str, ...], points: Sequence[tuple[Value, ...]], option: str) -> Axis:
    seen: set[tuple[str, ...]] = set()
    for point in points:
        if (exact := tuple(value.exact for value in point)) in seen:
            text = ", ".join(value.text for value in point)
            raise UserError(f"{option}: {shown(text, 60)[1:-1]} appears twice")
        seen.add(exact)
    return Axis(keys, tuple(points))


def _check_keys(keys: Sequence[str]) -> None:
    for key, other in itertools.combinations(keys, 2):
        if key == other:
            raise UserError(f"{shown(key)} is swept twice; give each key once")
        if f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}."):
            raise UserError(f"{key} and {other} are both swept, and one contains the other")
