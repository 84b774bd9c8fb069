"""Numbers as a person reads them. Rounding happens here, and never says what the numbers do not.

As many decimals are printed as keep apart what differs, and mostly that is none: only a lift of exactly zero
is `+0`, only a rate without a miss `100 %`, and a rate below its target is never printed as the target.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TypeAlias

Number: TypeAlias = "float | Fraction"


def points(value: Number) -> str:
    """Return a lift in signed whole points, half a point away from zero: `+35`, `-19`, `+0`."""
    return points_apart(value)[0]


def points_apart(*values: Number) -> tuple[str, ...]:
    """Return lifts in signed points, each different from the others and from zero where it differs."""
    decimals = _decimals(*values, 0)
    return tuple(_rounded(value, decimals, "+") for value in values)


def counted_points(value: Number) -> str:
    """Return a lift with its unit: `+35 points`, `+1 point`."""
    text = points(value)
    return f"{text} point" if text[1:] == "1" else f"{text} points"


def between(low: Number, high: Number) -> str:
    """Return an interval of a lift: `between +5 and +59`."""
    return f"between {points(low)} and {points(high)}"


def percents(*values: Number) -> tuple[str, ...]:
    """Return rates in percent, each different from the others and from 0 % and 100 % where it differs."""
    decimals = _decimals(*values, 0, 1)
    return tuple(f"{_rounded(value, decimals)} %" for value in values)


def _decimals(*values: Number) -> int:
    distinct = {Fraction(value) for value in values}
    decimals = 0
    while len({_rounded(value, decimals) for value in distinct}) < len(distinct):
        decimals += 1
    return decimals


def _rounded(value: Number, decimals: int, plus: str = "") -> str:
    unit = 10**decimals
    whole, rest = divmod(math.floor(abs(Fraction(value)) * 100 * unit + Fraction(1, 2)), unit)
    text = f"{whole}.{rest:0{decimals}d}".rstrip("0").rstrip(".") if decimals else str(whole)
    return ("-" if value < 0 and text != "0" else plus) + text


def p_text(p: Fraction) -> str:
    """Return a p value, never as 0, 0.05 or 1 where it is not: `0.27`, `0.032`, `0.0004`, `4e-7`."""
    if not p:
        return "0"
    # Of integers of any size; the digits that are printed are exact.
    zeros = math.ceil(math.log10(p.denominator) - math.log10(p.numerator))
    if zeros > 4:
        digit = math.floor(p * 10**zeros + Fraction(1, 2))
        return f"{digit}e-{zeros}" if digit < 10 else f"1e-{zeros - 1}"
    decimals = 3 if zeros == 2 else max(2, zeros)
    while (text := _rounded(p / 100, decimals)) in {"0", "0.05", "1"} and Fraction(text) != p:
        decimals += 1
    return text
