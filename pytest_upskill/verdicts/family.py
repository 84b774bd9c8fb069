"""Many questions at once: the chance of a single false alarm among all of them is held.

Source: Holm 1979, Scandinavian Journal of Statistics 6:65. It holds whatever the dependence of the questions.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TypeVar

K = TypeVar("K")
LEVEL = Fraction(1, 20)


def holm(ps: Mapping[K, Fraction], level: Fraction = LEVEL) -> frozenset[K]:
    """Return the questions that are rejected so that any false rejection has at most the chance `level`.

    A smaller p never takes a rejection back, of its own question or of another.
    """
    return frozenset(key for key, p in adjusted(ps).items() if p <= level)


def adjusted(ps: Mapping[K, Fraction]) -> dict[K, Fraction]:
    """Return the smallest level at which each question is rejected, at most 1, in the order of `ps`."""
    found: dict[K, Fraction] = {}
    least = Fraction(0)
    for rank, key in enumerate(sorted(ps, key=lambda key: ps[key])):
        least = min(Fraction(1), max(least, (len(ps) - rank) * ps[key]))
        found[key] = least
    return {key: found[key] for key in ps}
