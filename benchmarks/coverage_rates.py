"""One hit rate: the exact interval, and how often the gates call a rate too low that just meets its target.

Exact, for suites whose cases are alike and for such with cases that are always right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import product

import numpy as np

from benchmarks.coverage_cells import Floats, Question, binomial, total
from pytest_upskill.verdicts.intervals import clopper_pearson, upper_bound_below

RATES = tuple(step / 40 for step in range(41))
TARGETS = tuple(Fraction(text) for text in ("0.5", "0.8", "0.9", "0.95", "0.98", "0.99"))
# Where all misses come from one case, n (1 - target) of runs have one and not 1 - target^n: 5.13 % and not 5 % at most.
STEEP = (Fraction(58, 59), Fraction(98, 99))
Suite = tuple[tuple[int, ...], tuple[float, ...], int, int]


@dataclass
class Questions:
    """What is asked of one rate."""

    rate: Question
    steep: Question
    exact: Question

    def __iter__(self) -> Iterator[Question]:
        yield from (self.rate, self.steep, self.exact)


def questions() -> Questions:
    """Return the questions, unanswered."""
    return Questions(
        Question("min_pass_rate: a rate that just meets its target fails in", 0.05, at_most=True),
        Question("the same where the target is beyond 0.983 and no whole percent", 0.0513, at_most=True),
        Question("95 % Clopper-Pearson interval of one rate covers", 0.95, at_most=False),
    )


def measure(cases: Sequence[int], runs: Sequence[int], found: Questions) -> None:
    """Answer the questions."""
    for n in sorted({n * k for n, k in product(cases, runs)}):
        for rate in RATES:
            _see(((n,), (rate,), n, 1), found)
    for n, k in product(cases, runs):
        for suite in _targeted(n, k):
            _see(suite, found)


def _targeted(n: int, k: int) -> Iterator[Suite]:
    """Yield suites whose mean rate is one of the targets: alike, and with cases that are always right."""
    for target in map(float, TARGETS + STEEP):
        yield (n,), (target,), n, k
        for full in {1, n // 2, round(n * target) - 1}:
            if 0 < full < n and full <= n * target:
                yield (full, n - full), (1.0, (n * target - full) / (n - full)), n, k


@lru_cache(maxsize=4096)
def _failing(n: int, target: Fraction) -> int:
    """Return the fewest hits of n samples that do not fail the target."""
    return sum(upper_bound_below(hits, n, target) for hits in range(n + 1))


@lru_cache(maxsize=512)
def _exact(n: int) -> tuple[Floats, Floats]:
    ends = np.array([clopper_pearson(hits, n) for hits in range(n + 1)])
    return ends[:, 0], ends[:, 1]


def _see(suite: Suite, found: Questions) -> None:
    sizes, rates, cases, runs = suite
    mass = binomial(cases * runs, rates[0]) if len(rates) == 1 else total(sizes, rates, runs)
    mean = sum(size * rate for size, rate in zip(sizes, rates, strict=True)) / cases
    where = f"{cases} cases, {runs} runs, rates {', '.join(f'{rate:.3g}' for rate in rates)}"
    low, high = _exact(cases * runs)
    covered = (low <= mean + 1e-12) & (mean - 1e-12 <= high)
    found.exact.see(float(mass[covered].sum()), where)
    for target in TARGETS + STEEP:
        if abs(mean - float(target)) < 1e-12:
            question = found.steep if target in STEEP else found.rate
            question.see(float(mass[: _failing(cases * runs, target)].sum()), where)
