"""Quantiles that the standard library lacks, each found by halving to the last bit of a float.

Abramowitz & Stegun 1964: 26.4.21 (chi-square and Poisson), 26.5.8 (continued fraction of the
incomplete beta function), 26.7.1 (Student's t).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist


@lru_cache(maxsize=64)
def normal_quantile(confidence: float) -> float:
    """Return the two-sided standard normal quantile, 1.96 for a confidence of 0.95.

    Raises:
        ValueError: the confidence is not between 0 and 1.
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"a confidence lies between 0 and 1, not at {confidence}")
    return NormalDist().inv_cdf((1.0 + confidence) / 2.0)


@lru_cache(maxsize=256)
def poisson_quantile(count: int, probability: float) -> float:
    """Return the mean at which a Poisson count reaches `count` (1 or more) with `probability`.

    It is half the chi-square quantile of that probability with 2 * count degrees of freedom.
    """

    def reached(mean: float) -> float:
        return 1.0 - math.exp(-mean) * math.fsum(mean**k / math.factorial(k) for k in range(count))

    return _solve(reached, probability, high=10.0 * count + 50.0)


@lru_cache(maxsize=4096)
def beta_quantile(probability: float, a: float, b: float) -> float:
    """Return the quantile of the beta distribution with shapes `a` and `b`."""
    return _solve(lambda x: _incomplete_beta(a, b, x), probability, high=1.0)


@lru_cache(maxsize=256)
def t_quantile(confidence: float, degrees: int) -> float:
    """Return the two-sided quantile of Student's t, 2.23 for a confidence of 0.95 and 10 degrees."""
    x = beta_quantile(1.0 - confidence, degrees / 2.0, 0.5)
    return math.sqrt(degrees * (1.0 - x) / x)


def _solve(rising: Callable[[float], float], target: float, high: float) -> float:
    low = 0.0
    while low < (middle := (low + high) / 2.0) < high:
        if rising(middle) < target:
            low = middle
        else:
            high = middle
    return high


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularized incomplete beta function."""
    if x <= 0.0 or x >= 1.0:
        return float(x >= 1.0)
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(scale + a * math.log(x) + b * math.log1p(-x))
    # The fraction converges fast below the mean only; above it the mirrored one does.
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _beta_fraction(a, b, x) / a
    return 1.0 - front * _beta_fraction(b, a, 1.0 - x) / b


def _beta_fraction(a: float, b: float, x: float) -> float:
    """Return the continued fraction by Lentz's method."""
    c, d = 1.0, 1.0 / (1.0 - (a + b) * x / (a + 1.0))
    value, step, m = d, 0.0, 1
    while abs(step - 1.0) > 1e-16 and m < 10_000:
        even = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0))
        step = 1.0
        for term in (even, odd):
            c, d = 1.0 + term / c, 1.0 / (1.0 + term * d)
            step *= c * d
        value *= step
        m += 1
    return value
