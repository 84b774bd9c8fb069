"""The lines with which a case says the sizes of its problems: `rows=1..999 cols=1000`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product
from typing import Final

from pytest_upskill.errors import one_line

MOST_SHAPES: Final = 64
_LARGEST: Final = 2**40
_EXAMPLE: Final = "rows=4096 cols=1..999, a list of values rows=1|17|4096, or a fixed one cols==128"
_SIZE = re.compile(r"(?P<name>[A-Za-z]\w*)(?P<sign>==?)(?P<value>[0-9|.:]+)", re.ASCII)
_RANGE = re.compile(r"(?P<low>\d{1,13})\.\.(?P<high>\d{1,13})(?::(?P<step>\d{1,13}))?", re.ASCII)
_LIST = re.compile(r"\d{1,13}(?:\|\d{1,13})*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Span:
    """The values of one size: from `low` to `high` by steps; one alone where both are the same.

    A `pinned` one is the same on all problems, also on those that the case does not list.
    """

    name: str
    low: int
    high: int
    step: int = 1
    pinned: bool = False

    @property
    def drawn(self) -> bool:
        return self.low < self.high

    @property
    def count(self) -> int:
        return (self.high - self.low) // self.step + 1


@dataclass(frozen=True, slots=True)
class Shape:
    """One line of sizes. It is `drawn` where a size is a range."""

    spans: tuple[Span, ...] = ()

    @property
    def drawn(self) -> bool:
        return any(span.drawn for span in self.spans)

    def corner(self, *, high: bool) -> dict[str, int]:
        """Return its smallest or its largest sizes."""
        return {span.name: span.high if high else span.low for span in self.spans}


def parse_shapes(line: str) -> tuple[Shape, ...]:
    """Return the shapes of a line: one, or where it has lists, all their combinations.

    A size is `rows=4096`, a range `rows=1..999` from which a value is drawn, with steps `rows=64..4096:64`, or a list
    `rows=1|17|4096`. `cols==128` says that cols is 128 always. Raises `ValueError` with a sentence.
    """
    spans = [_spans(word, line) for word in line.replace(",", " ").split()]
    names = [choices[0].name for choices in spans]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ValueError(
            f"the shape '{one_line(line)}' gives {twice} twice; write rows=1|17 for several values"
        )
    many = 1
    for choices in spans:
        many *= len(choices)
    if many > MOST_SHAPES:
        raise ValueError(f"the shape '{one_line(line)}' has {many} combinations; at most {MOST_SHAPES}")
    return tuple(Shape(chosen) for chosen in product(*spans))


def nearby(shape: Shape) -> Shape | None:
    """Return a shape with ranges for its fixed sizes: from a half to just below each.

    Pinned sizes stay as they are, and those under 4, which count things rather than measure them. Return None where
    that changes nothing.
    """
    spans = tuple(
        span
        if span.pinned or span.drawn or span.low < 4
        else Span(span.name, (span.low + 1) // 2, span.low - 1)
        for span in shape.spans
    )
    return Shape(spans) if spans != shape.spans else None


def _spans(word: str, line: str) -> tuple[Span, ...]:
    match = _SIZE.fullmatch(word)
    ranged = _RANGE.fullmatch(match["value"]) if match else None
    if match is None or not (ranged or _LIST.fullmatch(match["value"])):
        raise ValueError(
            f"the shape '{one_line(line)}' cannot be read at '{one_line(word)}'; write it like {_EXAMPLE}"
        )
    name, pinned = match["name"], match["sign"] == "=="
    if ranged:
        return (_range(name, ranged, pinned=pinned),)
    values = dict.fromkeys(int(value) for value in match["value"].split("|"))
    for value in values:
        if not 1 <= value <= _LARGEST:
            raise ValueError(f"{name}={value} is no size; a size is a number from 1 to 2^40")
    return tuple(Span(name, value, value, pinned=pinned) for value in values)


def _range(name: str, match: re.Match[str], *, pinned: bool) -> Span:
    low, high, step = int(match["low"]), int(match["high"]), int(match["step"] or 1)
    if pinned:
        raise ValueError(
            f"{name}=={match[0]} is a range and cannot be the same always; write {name}={match[0]}"
        )
    if not 1 <= low < high <= _LARGEST or not 1 <= step <= high - low:
        raise ValueError(
            f"{name}={match[0]} is no range; write low..high or low..high:step, with 1 <= low < high <= 2^40"
        )
    return Span(name, low, low + (high - low) // step * step, step)
