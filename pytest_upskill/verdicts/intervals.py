"""Intervals for hit rates and for lift.

Two questions that are never mixed up:

* *these cases*: would more runs of this very suite change the answer? `wilson` for one rate,
  `lift_interval` for two; the counts are pooled over cases and runs.
* *cases like these*: would it hold on cases that nobody wrote yet? `cases_like_these`.

Sources: Clopper & Pearson 1934, Biometrika 26:404; Wilson 1927, JASA 22:209; Brown, Cai & DasGupta
2001, Statistical Science 16:101 (modified Wilson); Newcombe 1998, Statistics in Medicine 17:873 (hybrid
interval, method 10); Agresti & Caffo 2000, The American Statistician 54:280.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache
from statistics import NormalDist
from typing import TypeAlias

from pytest_upskill.verdicts.quantiles import (
    beta_quantile,
    normal_quantile,
    poisson_quantile,
    t_quantile,
)

Interval: TypeAlias = tuple[float, float]
Limits: TypeAlias = Callable[[int, int, float], Interval]


def wilson(hits: int, n: int, confidence: float = 0.95) -> Interval:
    """Return Wilson's score interval of one rate.

    Raises:
        ValueError: there is no sample, or more hits than samples.
    """
    _check(hits, n)
    z = normal_quantile(confidence)
    centre = hits + z * z / 2.0
    half = z * math.sqrt(hits * (n - hits) / n + z * z / 4.0)
    low = (centre - half) / (n + z * z) if hits else 0.0
    high = (centre + half) / (n + z * z) if hits < n else 1.0
    return low, high


def modified_wilson(hits: int, n: int, confidence: float = 0.95) -> Interval:
    """Return Wilson's interval with the chi-square limit for the smallest counts, as for the largest.

    Wilson's own limit covers too seldom where a rate is near 0 or 1: a count of 1 or 2 (1 to 3 above 50
    samples) takes half the chi-square quantile of 1 - confidence over n (Brown, Cai & DasGupta 2001).
    """
    low, high = wilson(hits, n, confidence)
    few = 3 if n > 50 else 2
    if 1 <= hits <= few:
        low = poisson_quantile(hits, 1.0 - confidence) / n
    if 1 <= n - hits <= few:
        high = 1.0 - poisson_quantile(n - hits, 1.0 - confidence) / n
    return low, high


def clopper_pearson(hits: int, n: int, confidence: float = 0.95) -> Interval:
    """Return the exact interval of one rate: it never covers too seldom, and is wide for that."""
    _check(hits, n)
    tail = (1.0 - confidence) / 2.0
    low = beta_quantile(tail, hits, n - hits + 1) if hits else 0.0
    high = 1.0 - beta_quantile(tail, n - hits, hits + 1) if hits < n else 1.0
    return low, high


def newcombe(
    with_hits: int, with_n: int, without_hits: int, without_n: int, confidence: float = 0.95
) -> Interval:
    """Return Newcombe's hybrid interval of a lift, from Wilson's limits of each rate."""
    return _hybrid(wilson, (with_hits, with_n), (without_hits, without_n), confidence)


def _hybrid(limits: Limits, arm: tuple[int, int], other: tuple[int, int], confidence: float) -> Interval:
    """Return the interval of the difference of two rates whose own limits are known (square and add)."""
    (low, high), (other_low, other_high) = limits(*arm, confidence), limits(*other, confidence)
    rate, other_rate = arm[0] / arm[1], other[0] / other[1]
    below = math.sqrt((rate - low) ** 2 + (other_high - other_rate) ** 2)
    above = math.sqrt((high - rate) ** 2 + (other_rate - other_low) ** 2)
    return rate - other_rate - below, rate - other_rate + above


def agresti_caffo(
    with_hits: int, with_n: int, without_hits: int, without_n: int, confidence: float = 0.95
) -> Interval:
    """Return the interval of a lift after one hit and one miss are added to each arm."""
    _check(with_hits, with_n)
    _check(without_hits, without_n)
    with_rate, without_rate = (with_hits + 1) / (with_n + 2), (without_hits + 1) / (without_n + 2)
    variance = with_rate * (1.0 - with_rate) / (with_n + 2) + without_rate * (1.0 - without_rate) / (
        without_n + 2
    )
    lift, half = with_rate - without_rate, normal_quantile(confidence) * math.sqrt(variance)
    return lift - half, lift + half


def lift_interval(
    with_hits: int, with_n: int, without_hits: int, without_n: int, confidence: float = 0.95
) -> Interval:
    """Return the interval of the lift over these cases.

    The endpointwise hull of Newcombe's hybrid with modified Wilson limits and of Agresti & Caffo's
    interval, and of the hybrid with exact limits where an arm has 10 samples or fewer, or both have 20 or fewer and
    one of them nothing but hits or misses; inside [-1, 1].
    Of arms of one size, one more hit with the skill never lowers an end and one more without it never raises one (of
    very different sizes it may, by less than a thousandth of a point). To swap the arms negates both ends exactly.
    """
    arms = (with_hits, with_n), (without_hits, without_n)
    found = [_hybrid(modified_wilson, *arms, confidence), agresti_caffo(*arms[0], *arms[1], confidence)]
    # Up to 20 samples the other two cover too seldom where no sample, or each one, of an arm is a hit.
    corner = with_hits in {0, with_n} or without_hits in {0, without_n}
    if min(with_n, without_n) <= 10 or (max(with_n, without_n) <= 20 and corner):
        found.append(_hybrid(clopper_pearson, *arms, confidence))
    return max(-1.0, min(low for low, _ in found)), min(1.0, max(high for _, high in found))


def cases_like_these(differences: Sequence[float], confidence: float = 0.95) -> Interval:
    """Return the interval of the mean lift over the cases that a suite like this one is drawn from.

    Args:
        differences: of each case, the hit rate with the skill minus the rate without it.
        confidence: of the interval; it is Student's t with len(differences) + 1 degrees of freedom.

    Two pseudo-cases, +1 and -1, stand for the cases that were not drawn, in the manner of Agresti and
    Caffo: ten cases that all agree do not show that an eleventh does.
    """
    if any(not -1.0 <= difference <= 1.0 for difference in differences):
        raise ValueError("the difference of two rates lies between -1 and 1")
    values = [*map(float, differences), 1.0, -1.0]
    mean = math.fsum(values) / len(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    half = t_quantile(confidence, len(values) - 1) * math.sqrt(variance / len(values))
    return max(-1.0, mean - half), min(1.0, mean + half)


def upper_bound_below(hits: int, n: int, target: Fraction) -> bool:
    """Say whether the exact one-sided 95 % upper bound of a rate is below the target, without rounding.

    It is (Clopper & Pearson) where a rate of `target` yields so few hits in less than one of
    twenty runs. A Wilson bound would call a rate that meets its target too low far more often: in 20 % of
    runs at 1 sample and 9 % at 20 for a target of 0.8.
    """
    if hits >= n * target or target >= 1:
        return hits < n * target
    hit, miss = target.numerator, target.denominator - target.numerator
    term = int(miss**n)
    tail = term
    for k in range(hits):
        term = term * ((n - k) * hit) // ((k + 1) * miss)
        tail += term
    return 20 * tail < int(target.denominator**n)


def lower_bound_reaches(hits: int, n: int, target: Fraction, alpha: Fraction) -> bool:
    """Say whether the exact one-sided lower bound of a rate reaches the target, without rounding.

    It does (Clopper & Pearson) where a rate of `target` yields so many hits with a probability of at most `alpha`:
    of all rates that are lower than the target, none is said to reach it more often than that.
    """
    if target <= 0:
        return True
    if target >= 1 or hits <= n * target:
        return False
    hit, miss = target.numerator, target.denominator - target.numerator
    term = int(hit**n)
    tail = term
    for k in range(n, hits, -1):
        term = term * (k * miss) // ((n - k + 1) * hit)
        tail += term
    return alpha.denominator * tail <= alpha.numerator * int(target.denominator**n)


@lru_cache(maxsize=256)
def smallest_lift(n: int, power: float = 0.8, confidence: float = 0.95) -> float | None:
    """Return the smallest true lift that n samples an arm show with this power, or None where none is.

    To show a lift is that its interval lies above 0. The rates are the worst ones, on both sides of one
    half. Exact up to 200 samples, the normal approximation (within 0.2 points) beyond.
    """
    if n > 200:
        spread = (normal_quantile(confidence) + NormalDist().inv_cdf(power)) ** 2 / (2.0 * n)
        return math.sqrt(spread / (1.0 + spread))
    boundary = _boundary(n, confidence)
    if not boundary:
        return None
    low, high = 0.0, 1.0
    while high - low > 1e-7:
        middle = (low + high) / 2.0
        low, high = (middle, high) if _power(n, middle, boundary) < power else (low, middle)
    return high


def _boundary(n: int, confidence: float) -> list[int]:
    """Return, for 0, 1, 2 ... hits without the skill, the fewest hits with it that show a lift."""
    found: list[int] = []
    needed = 0
    for without in range(n + 1):
        while needed <= n and lift_interval(needed, n, without, n, confidence)[0] <= 0.0:
            needed += 1
        if needed > n:
            break
        found.append(needed)
    return found


def _power(n: int, lift: float, boundary: list[int]) -> float:
    rate = (1.0 + lift) / 2.0
    mass = [math.comb(n, k) * rate**k * (1.0 - rate) ** (n - k) for k in range(n + 1)]
    reached = [0.0] * (n + 2)
    for hits in range(n, -1, -1):
        reached[hits] = reached[hits + 1] + mass[hits]
    # The rate without the skill is one minus the rate with it, and so are its counts mirrored.
    return math.fsum(mass[n - without] * reached[needed] for without, needed in enumerate(boundary))


def _check(hits: int, n: int) -> None:
    if n < 1 or not 0 <= hits <= n:
        raise ValueError(f"there is no rate of {hits} hits in {n} samples")
