"""What times say: medians, their spread, intervals that assume no distribution, and drift. Pure.

Sources: Thompson 1936, Annals of Mathematical Statistics 7:122, and David & Nagaraja 2003, Order Statistics,
section 7.1 (the interval of a median between two order statistics, exact for every continuous distribution).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeAlias

Interval: TypeAlias = tuple[float, float]
# What CUDA's documentation promises of cudaEventElapsedTime: "a resolution of around 0.5 microseconds".
RESOLUTION_MS = 0.0005
FEWEST_CALLS = 50


@dataclass(frozen=True, slots=True)
class Series:
    """Times in milliseconds of two sides whose blocks took turns: block k of one ran beside block k of the other.

    Raises:
        ValueError: the sides have not the same number of blocks, a block is empty, or a time is not above 0.
    """

    candidate: tuple[tuple[float, ...], ...]
    baseline: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        if len(self.candidate) != len(self.baseline) or not all((*self.candidate, *self.baseline)):
            raise ValueError("both sides need the same number of blocks, and every block a time")
        if not all(0 < time < math.inf for time in (*flat(self.candidate), *flat(self.baseline))):
            raise ValueError("every time is a finite number of milliseconds above 0")


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as fast as the baseline the candidate is, with the ends of its interval."""

    value: float
    interval: Interval


def flat(blocks: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Return the times of all blocks in the order in which they were taken."""
    return tuple(time for block in blocks for time in block)


def mad(values: Sequence[float]) -> float:
    """Return the median of the absolute deviations from the median, in the values' unit and not rescaled."""
    middle = median(values)
    return median(abs(value - middle) for value in values)


def order_ranks(n: int, confidence: float = 0.95) -> tuple[int, int] | None:
    """Return the 1-based ranks of the two values of n that enclose their median's true value; None where none do.

    The k-th smallest and the k-th largest miss it with a probability of 2 P(B < k) for a binomial B of n throws of a
    fair coin: k is the largest for which that is at most 1 - confidence. From 6 values on there is one for 0.95.
    """
    tail, k = 0, 0
    while k < n and 2 * (tail + math.comb(n, k)) <= (1.0 - confidence) * 2**n:
        tail += math.comb(n, k)
        k += 1
    return (k, n - k + 1) if k else None


def median_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Return the interval of the median by order statistics; where there are too few values, all from 0 on."""
    ranks = order_ranks(len(values), confidence)
    if ranks is None:
        return 0.0, math.inf
    ordered = sorted(values)
    return ordered[ranks[0] - 1], ordered[ranks[1] - 1]


def speedup(series: Series, confidence: float = 0.95) -> Ratio:
    """Return the median over the blocks of baseline / candidate, with the sign test's interval.

    Blocks that ran beside one another share the clock rate and the heat of that moment, so that these cancel. What
    the clock cannot resolve does not cancel: each end is taken where both times are wrong by it in the worse way.
    """
    pairs = [
        (median(ours), median(theirs)) for ours, theirs in zip(series.candidate, series.baseline, strict=True)
    ]
    least = [max(theirs - RESOLUTION_MS, 0.0) / (ours + RESOLUTION_MS) for ours, theirs in pairs]
    most = [
        (theirs + RESOLUTION_MS) / (ours - RESOLUTION_MS) if ours > RESOLUTION_MS else math.inf
        for ours, theirs in pairs
    ]
    value = median(theirs / ours for ours, theirs in pairs)
    return Ratio(value, (median_interval(least, confidence)[0], median_interval(most, confidence)[1]))


def drift(times: Sequence[float]) -> float:
    """Return by what fraction the second half of the times differs from the first: one thing against itself.

    A difference that the clock cannot resolve counts as none. One time alone has no drift.
    """
    if len(times) < 2:
        return 0.0
    first, second = median(times[: len(times) // 2]), median(times[len(times) // 2 :])
    return max(abs(second - first) - RESOLUTION_MS, 0.0) / min(first, second)
