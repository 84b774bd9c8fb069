"""What the modules of `coverage.py` share: mixes of cases, the worst cell of a question, exact distributions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Mix:
    """Kinds of cases: of each its share, and its hit rates in the first arm (with, new) and the second."""

    name: str
    parts: tuple[tuple[float, float, float], ...]

    def counts(self, cases: int) -> tuple[int, ...]:
        """Return how many cases there are of each kind: at least one, if the cases suffice."""
        last = len(self.parts) - 1
        found: list[int] = []
        for share, _, _ in self.parts[:last]:
            left = cases - sum(found)
            least = min(1, left)
            most = max(least, left - (last - len(found)))
            found.append(max(least, min(most, round(share * cases))))
        return (*found, cases - sum(found))

    def lift(self, cases: int) -> float:
        """Return the mean lift of a suite of so many cases."""
        sizes = self.counts(cases)
        lifts = (size * (first - second) for size, (_, first, second) in zip(sizes, self.parts, strict=True))
        return math.fsum(lifts) / cases

    def mean(self) -> float:
        """Return the mean lift of the population."""
        return math.fsum(share * (first - second) for share, first, second in self.parts)

    def rates(self, cases: int) -> tuple[Floats, Floats]:
        """Return the rates of each case in both arms."""
        sizes = self.counts(cases)
        first, second = (np.array([part[arm] for part in self.parts]) for arm in (1, 2))
        return np.repeat(first, sizes), np.repeat(second, sizes)


@dataclass
class Question:
    """A claim, the worst value over its cells, and where that is; the bound is a most or a least."""

    claim: str
    bound: float
    at_most: bool
    cells: int = 0
    worst: float = math.nan
    where: str = ""

    def see(self, value: float, where: str) -> None:
        """Count a cell, and keep it when it is the worst so far."""
        self.cells += 1
        worse = value > self.worst if self.at_most else value < self.worst
        if math.isnan(self.worst) or worse:
            self.worst, self.where = value, where

    @property
    def holds(self) -> bool:
        """Whether the worst value keeps the bound, in the four digits that are printed."""
        slack = 5e-5
        if self.at_most:
            return self.worst <= self.bound + slack
        return self.worst >= self.bound - slack

    def lines(self) -> Iterator[str]:
        """Yield the claim and what was found."""
        word = "at most" if self.at_most else "at least"
        yield f"{self.claim}: {word} {self.bound:g}"
        yield f"    {self.cells:,} cells, worst {self.worst:.4f}: {'holds' if self.holds else 'BROKEN'}"
        yield f"    at {self.where}"


@lru_cache(maxsize=4096)
def binomial(n: int, rate: float) -> Floats:
    """Return the probabilities of 0..n hits."""
    found: Floats = binomials(n, np.array([rate]))[0]
    return found


def binomials(n: int, rates: Floats) -> Floats:
    """Return the probabilities of 0..n hits, a row for each rate."""
    steps, hits = np.arange(1, n + 1), np.arange(n + 1)
    ways = np.concatenate(([0.0], np.cumsum(np.log((n + 1 - steps) / steps))))
    inside = np.clip(rates, 1e-300, 1.0 - 1e-16)[:, None]
    found: Floats = np.exp(ways + hits * np.log(inside) + (n - hits) * np.log1p(-inside))
    found[rates <= 0.0], found[rates >= 1.0] = np.eye(n + 1)[0], np.eye(n + 1)[n]
    found /= found.sum(axis=1, keepdims=True)
    return found


def total(sizes: Iterable[int], rates: Iterable[float], runs: int) -> Floats:
    """Return the probabilities of a suite's total hits: so many cases of each rate, all with these runs."""
    mass: Floats = np.ones(1)
    for size, rate in zip(sizes, rates, strict=True):
        if size:
            mass = np.convolve(mass, binomial(size * runs, rate))
    return mass
