"""Whole-number expressions over sizes, such as `ceil_div(rows, 128) * 4`: parsed here, never evaluated by Python."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn, TypeAlias

from pytest_upskill.errors import listing, nearest, one_line

MOST_LETTERS: Final = 500
MOST_NESTING: Final = 32
# Sizes, bytes and indices are 64-bit numbers wherever they are used.
_LARGEST: Final = 2**63 - 1
_TOKEN = re.compile(r"\s*(?:(?P<number>[0-9]+)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign>//|[-+*/%(),]))")
_RANK: Final = {"+": 1, "-": 1, "*": 2, "/": 2, "//": 2, "%": 2}
Step: TypeAlias = "tuple[str, int | str]"


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression that can be worked out. `names` are those that it needs, in the order in which they stand."""

    text: str
    names: tuple[str, ...]
    steps: tuple[Step, ...]

    def value(self, names: Mapping[str, int]) -> int:
        """Return what it comes to. Raises `ValueError` for a name without a value, division by 0, and 2^63 or more."""
        stack: list[int] = []
        for what, detail in self.steps:
            if what == "number":
                stack.append(int(detail))
            elif what == "name":
                stack.append(self._looked_up(str(detail), names))
            else:
                count = int(detail)
                operands = stack[-count:]
                del stack[-count:]
                stack.append(self._applied(what, operands, names))
        return stack[-1]

    def _looked_up(self, name: str, names: Mapping[str, int]) -> int:
        if name not in names:
            raise ValueError(f"'{self.text}' needs {name}, which has no value{_known(name, names)}")
        return self._bounded(names[name], names)

    def _applied(self, what: str, operands: Sequence[int], names: Mapping[str, int]) -> int:
        try:
            return self._bounded(_WORK[what](*operands), names)
        except ZeroDivisionError:
            raise ValueError(f"'{self.text}' divides by zero{self._where(names)}") from None

    def _bounded(self, value: int, names: Mapping[str, int]) -> int:
        if abs(value) > _LARGEST:
            raise ValueError(f"'{self.text}' comes to 2^63 or more{self._where(names)}")
        return value

    def _where(self, names: Mapping[str, int]) -> str:
        given = " ".join(f"{name}={names[name]}" for name in self.names if name in names)
        return f" at {given}" if given else ""


def parse(text: str) -> Expression:
    """Return the expression that a text holds.

    It knows whole numbers, names, `+ - * // %`, parentheses, a leading minus, `ceil_div(a, b)`,
    `round_up(a, multiple)`, `min(...)` and `max(...)`. `/` is `//`, as for whole numbers in C; both round down.
    Raises `ValueError` with a sentence.
    """
    return _Parser(text).parsed()


def check_names(expression: Expression, known: Collection[str]) -> None:
    """Raise `ValueError` when an expression uses a name that is not known."""
    for name in expression.names:
        if name not in known:
            raise ValueError(f"'{expression.text}' uses {name}, which is unknown{_known(name, known)}")


def _known(name: str, known: Collection[str]) -> str:
    return nearest(name, known) or f"; known are {listing(known)}"


def _ceil_div(value: int, by: int) -> int:
    return -(-value // by)


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


_WORK: Final[Mapping[str, Callable[..., int]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.floordiv,
    "//": operator.floordiv,
    "%": operator.mod,
    "negative": operator.neg,
    "ceil_div": _ceil_div,
    "round_up": _round_up,
    "min": min,
    "max": max,
}
FUNCTIONS: Final = ("ceil_div", "round_up", "min", "max")


class _Parser:
    """Reads an expression from the left; what it found is kept in the order in which a stack works it out."""

    def __init__(self, text: str) -> None:
        self._text = one_line(text.strip())
        if len(text) > MOST_LETTERS:
            raise ValueError(f"an expression has at most {MOST_LETTERS} letters, not {len(text)}")
        self._tokens = self._split(text.strip())
        self._at = 0
        self._depth = 0
        self._steps: list[Step] = []

    def parsed(self) -> Expression:
        self._sum(1)
        if self._at < len(self._tokens):
            self._wrong()
        names = dict.fromkeys(str(detail) for what, detail in self._steps if what == "name")
        return Expression(self._text, tuple(names), tuple(self._steps))

    def _split(self, text: str) -> list[str]:
        tokens, at = [], 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                sign = one_line(text[at:].lstrip()[:1])
                raise ValueError(f"'{self._text}' holds '{sign}'; an expression knows + - * // % and ( )")
            tokens.append(match[match.lastgroup or 0])
            at = match.end()
        return tokens

    def _next(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self, wanted: str) -> None:
        if self._next() != wanted:
            self._wrong(wanted)
        self._at += 1

    def _wrong(self, wanted: str = "") -> NoReturn:
        hint = f"; '{wanted}' is missing" if wanted else ""
        if not self._next():
            raise ValueError(
                f"'{self._text}' ends too early{hint}" if self._text else "an expression is empty"
            )
        raise ValueError(f"'{self._text}' cannot be read at '{self._next()}'{hint}")

    def _sum(self, rank: int) -> None:
        self._operand()
        while _RANK.get(sign := self._next(), 0) >= rank:
            self._at += 1
            self._sum(_RANK[sign] + 1)
            self._steps.append((sign, 2))

    def _operand(self) -> None:
        word = self._next()
        self._at += 1
        if word.isdigit():
            self._steps.append(("number", self._number(word)))
        elif word == "-":
            self._nested(self._operand)
            self._steps.append(("negative", 1))
        elif word == "(":
            self._nested(lambda: self._sum(1))
            self._take(")")
        elif word.isidentifier():
            self._name(word)
        else:
            self._at -= 1
            self._wrong()

    def _number(self, digits: str) -> int:
        # int() refuses what has thousands of digits with words of its own.
        value = int(digits.lstrip("0")[:20] or "0")
        if value > _LARGEST:
            raise ValueError(f"'{self._text}' holds a number of 2^63 or more")
        return value

    def _nested(self, read: Callable[[], None]) -> None:
        self._depth += 1
        if self._depth > MOST_NESTING:
            raise ValueError(f"'{self._text}' is nested more than {MOST_NESTING} deep")
        read()
        self._depth -= 1

    def _name(self, name: str) -> None:
        if self._next() != "(":
            if name in FUNCTIONS:
                raise ValueError(f"'{self._text}' has {name} without its parentheses, as in {name}(a, b)")
            self._steps.append(("name", name))
            return
        if name not in FUNCTIONS:
            raise ValueError(f"'{self._text}' calls {name}, which is no function{_known(name, FUNCTIONS)}")
        self._at += 1
        count = 1
        self._nested(lambda: self._sum(1))
        while self._next() == ",":
            self._at += 1
            self._nested(lambda: self._sum(1))
            count += 1
        self._take(")")
        if count != 2 and (count < 2 or name not in ("min", "max")):
            many = "2 or more" if name in ("min", "max") else "2"
            raise ValueError(f"'{self._text}' gives {name} {count} of its arguments; it takes {many}")
        self._steps.append((name, count))
