"""Coverage over *cases like these*: cases are drawn from a population, then run; exact.

The interval depends on the sum of the cases' differences and on the sum of their squares alone. Both are sums of
independent integers, so that their joint distribution is the n-th power of one case's in the frequency domain.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from functools import lru_cache
from itertools import product

import numpy as np

from benchmarks.coverage_cells import Floats, Mix, Question, binomial
from pytest_upskill.verdicts.intervals import cases_like_these
from pytest_upskill.verdicts.quantiles import t_quantile

RARE = (0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)


def question() -> Question:
    """Return the question, unanswered."""
    return Question("95 % interval over cases like these covers, from 4 cases on,", 0.93, at_most=False)


def measure(cases: Sequence[int], runs: Sequence[int], found: Question) -> str:
    """Answer the question; returns what was compared with the package."""
    for n, k in product(cases, runs):
        low, high = ends(n, k)
        for mix in populations():
            covered = (low <= mix.mean() + 1e-9) & (mix.mean() - 1e-9 <= high)
            found.see(float(joint(n, k, mix)[covered].sum()), f"{n} cases, {k} runs, {mix.name}")
    return f"exact but for rounding below 1e-9; {_check()}"


@lru_cache(maxsize=1)
def populations() -> tuple[Mix, ...]:
    """Return populations of cases; what swaps the arms or mirrors the rates covers as often."""
    found = [
        Mix(f"all {a:g}/{b:g}", ((1.0, a, b),))
        for a, b in (
            *((0, 0), (0.05, 0.05), (0.5, 0.5), (0.1, 0), (0.5, 0), (1, 0), (0.9, 0.1), (0.5, 0.2)),
            *((0.85, 0.4), (0.95, 0.6), (0.99, 0.9)),
        )
    ]
    for share, (a, b), rate in product(RARE, ((1, 0), (0.5, 0), (1, 0.5)), (0, 0.05, 0.5)):
        parts = (share, a, b), (1 - share, rate, rate)
        found.append(Mix(f"effect {b:g} to {a:g} in {share:g}, others {rate:g}", parts))
    for share, (a, b) in product((0.1, 0.25, 0.5), ((1, 0), (0.9, 0.1), (0.8, 0.5))):
        found.append(Mix(f"{share:g} fall {a:g} to {b:g}, others rise", ((share, b, a), (1 - share, a, b))))
        found.append(Mix(f"{share:g} saturated, others {b:g} to {a:g}", ((share, 1, 1), (1 - share, a, b))))
        thirds = (share, b, a), (share, a, b), (1 - 2 * share, 0.5, 0.5)
        found.append(Mix(f"{share:g} rise {b:g} to {a:g}, as many fall", thirds))
    return tuple(found)


def ends(n: int, k: int) -> tuple[Floats, Floats]:
    """Return both ends of the interval by the sum of the differences in hits and the half of the excess squares."""
    shape = _shape(n, k)
    sums = np.arange(shape[0])[:, None] - n * k
    squares = 2 * np.arange(shape[1])[None, :] + sums
    mean = sums / k / (n + 2)
    variance = np.maximum(squares / k**2 + 2 - (n + 2) * mean**2, 0.0) / (n + 1)
    half = t_quantile(0.95, n + 1) * np.sqrt(variance / (n + 2))
    return np.maximum(mean - half, -1.0), np.minimum(mean + half, 1.0)


def joint(n: int, k: int, mix: Mix) -> Floats:
    """Return the probabilities of what `ends` goes by."""
    one = np.zeros(tuple(_fast(size) for size in _shape(n, k)))
    for share, first, second in mix.parts:
        # The difference of two counts is the sum of hits of one and misses of the other, shifted.
        mass = np.convolve(binomial(k, first), binomial(k, 1.0 - second))
        for index, weight in enumerate(mass):
            change = index - k
            one[index, (change * change - change) // 2] += share * weight
    found = np.fft.irfft2(np.fft.rfft2(one) ** n, s=one.shape)
    sums, squares = _shape(n, k)
    mass = found[:sums, :squares]
    if abs(math.fsum(mass.ravel()) - 1.0) > 1e-9:
        raise SystemExit(f"the distribution for {n} cases and {k} runs does not add up")
    return mass


def _shape(n: int, k: int) -> tuple[int, int]:
    return 2 * n * k + 1, n * k * (k + 1) // 2 + 1


@lru_cache(maxsize=256)
def _fast(size: int) -> int:
    """Return the next size that has no prime factor above 5."""
    return next(candidate for candidate in range(size, 2 * size) if 30**20 % candidate == 0)


def _check() -> str:
    dice, count = random.Random(4), 500
    for _ in range(count):
        n, k = dice.randint(2, 20), dice.randint(1, 6)
        changes = [dice.randint(-k, k) for _ in range(n)]
        low, high = ends(n, k)
        at = sum(changes) + n * k, sum(change * change - change for change in changes) // 2
        if not np.allclose(
            (low[at], high[at]), cases_like_these([d / k for d in changes]), rtol=0, atol=1e-9
        ):
            raise SystemExit(f"the interval differs from the package at {changes} of {k}")
    for number, mix in enumerate(populations()[10::36]):
        _agree(6, 2, mix, draws=5000, seed=number)
    return f"checked against the package: {count} random suites and 5 simulations, all equal"


def _agree(n: int, k: int, mix: Mix, draws: int, seed: int) -> None:
    low, high = ends(n, k)
    exact = float(joint(n, k, mix)[(low <= mix.mean() + 1e-9) & (mix.mean() - 1e-9 <= high)].sum())
    drawn = simulated(n, k, mix, draws, seed)
    if abs(drawn - exact) > 5 * math.sqrt(exact * (1 - min(exact, 1 - 1 / draws)) / draws):
        raise SystemExit(f"{mix.name}: {drawn:.4f} simulated, {exact:.4f} computed")


def simulated(n: int, k: int, mix: Mix, draws: int, seed: int) -> float:
    """Return how often random suites' intervals cover, by the package's own function."""
    dice = np.random.default_rng(seed)
    kinds = dice.choice(len(mix.parts), size=(draws, n), p=[share for share, _, _ in mix.parts])
    first, second = (np.array([part[arm] for part in mix.parts])[kinds] for arm in (1, 2))
    changes = (dice.binomial(k, first) - dice.binomial(k, second)) / k
    return float(
        np.mean([low <= mix.mean() <= high for low, high in map(cases_like_these, changes.tolist())])
    )
