"""Coverage over *these cases*: exact, from the distributions of both arms' totals.

With a mix of rates a total is Poisson-binomial: the convolution of a binomial for each kind of case.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import product

import numpy as np

from benchmarks.coverage_cells import Floats, Integers, Mix, Question, binomials, total
from pytest_upskill.verdicts import gate, verdict
from pytest_upskill.verdicts.intervals import (
    lift_interval,
    modified_wilson,
)
from pytest_upskill.verdicts.quantiles import normal_quantile

LOW_RATES = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
RATES = LOW_RATES + tuple(1.0 - rate for rate in LOW_RATES)
FINE = np.linspace(0.0, 1.0, 201)
# Where the mean is this many hits, a count of 1 or 2 decides: the worst cells lie there.
FEW = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
Table = tuple[Floats, Floats]


@dataclass
class Questions:
    """What is asked of the intervals over these cases."""

    interval: Question
    none: Question
    upper: Question
    steep: Question

    def __iter__(self) -> Iterator[Question]:
        yield from (self.interval, self.none, self.upper, self.steep)


def questions() -> Questions:
    """Return the questions, unanswered."""
    return Questions(
        Question("95 % interval of the lift over these cases covers", 0.93, at_most=False),
        Question("of a skill without an effect, helps or hurts is said in", 0.07, at_most=True),
        Question("min_lift up to 0.5: a lift that just meets it fails in", 0.05, at_most=True),
        Question("min_lift beyond 0.5: a lift that just meets it fails in", 0.08, at_most=True),
    )


def measure(cases: Sequence[int], runs: Sequence[int], found: Questions) -> str:
    """Answer the questions; returns what was compared with the package."""
    sizes = sorted({n * k for n, k in product(cases, runs)})
    for n in sizes:
        _alike(n, found)
    for n, k in product(cases, runs):
        _unlike(n, k, found)
    return _check(sizes)


def _alike(n: int, found: Questions) -> None:
    """See suites of n samples an arm whose cases all have the same two rates."""
    near = np.array([few / n for few in FEW if few < n])
    grid = FINE if n <= 30 else np.concatenate((RATES, near, 1.0 - near))
    low, high = (side.ravel() for side in np.meshgrid(grid, grid))
    pairs = [(low[low <= high], high[low <= high]), (FINE, FINE)]
    for rate in np.linspace(0.0, 0.5, 51 if n <= 10 else 11 if n <= 30 else 3) if n <= 60 else ():
        # Coverage falls where a lift just leaves an interval: there it is as low as it gets.
        others = rate + np.unique(np.round(table(n, 0.95), 10))
        others = np.concatenate((others - 1e-9, others + 1e-9))
        others = others[(others >= 0.0) & (others <= 1.0)]
        pairs.append((others, np.full(len(others), rate)))
    first, second = (np.concatenate(side) for side in zip(*pairs, strict=True))
    places = (f"{n} samples, all {a:.4g} / {b:.4g}" for a, b in zip(first, second, strict=True))
    _see(n, (binomials(n, first), binomials(n, second)), first - second, places, found)


def _unlike(n: int, k: int, found: Questions) -> None:
    """See suites of n cases and k runs whose cases have different rates."""
    sizes = [mix.counts(n) for mix in mixed()]
    first, second = (
        np.array(
            [
                total(size, [part[arm] for part in mix.parts], k)
                for size, mix in zip(sizes, mixed(), strict=True)
            ]
        )
        for arm in (1, 2)
    )
    places = (f"{n} cases, {k} runs, {mix.name}" for mix in mixed())
    _see(n * k, (first, second), np.array([mix.lift(n) for mix in mixed()]), places, found)


@lru_cache(maxsize=1)
def mixed() -> tuple[Mix, ...]:
    """Return mixes of cases with different rates and effects."""
    found = []
    for share, (low, high), arm in product((0.25, 0.5, 0.75), ((0, 1), (0.05, 0.95), (0.2, 0.9)), range(4)):
        other = ((low, high), (high, low), (high, high), (low, low))[arm]
        parts = (share, low, other[0]), (1 - share, high, other[1])
        found.append(Mix(f"bimodal {share:g}: {low:g}/{other[0]:g}, {high:g}/{other[1]:g}", parts))
    pairs = [(a, b) for a, b in product((0.02, 0.1, 0.3, 0.5, 0.8, 0.95), repeat=2) if a <= b]
    for share, full, (a, b) in product((0.5, 0.8), (0.0, 1.0), pairs):
        name = f"{share:g} saturated at {full:g}, others {a:g}/{b:g}"
        found.append(Mix(name, ((share, full, full), (1 - share, a, b))))
    for share, rate, (a, b) in product(
        (0.02, 0.1), (0, 0.02, 0.1, 0.5, 0.9, 1), ((0, 1), (1, 0), (0.5, 0), (0.5, 1))
    ):
        name = f"rare effect in {share:g}: {a:g}/{b:g}, others {rate:g}"
        found.append(Mix(name, ((share, a, b), (1 - share, rate, rate))))
    return tuple(found)


@lru_cache(maxsize=4)
def table(n: int, confidence: float) -> Table:
    """Return the ends of the lift's interval by hits in both arms of n samples."""
    if n <= 30:  # where the interval has rules of its own
        found = np.array([lift_interval(a, n, b, n, confidence) for a, b in np.ndindex(n + 1, n + 1)])
        return found[:, 0].reshape(n + 1, n + 1), found[:, 1].reshape(n + 1, n + 1)
    rate = np.arange(n + 1) / n
    ends = np.array([modified_wilson(hits, n, confidence) for hits in range(n + 1)])
    below, above = (rate - ends[:, 0]) ** 2, (ends[:, 1] - rate) ** 2
    change = rate[:, None] - rate[None, :]
    hybrid = np.sqrt(below[:, None] + above[None, :]), np.sqrt(above[:, None] + below[None, :])
    middle = (np.arange(n + 1) + 1) / (n + 2)
    variance = middle * (1 - middle) / (n + 2)
    shrunk = middle[:, None] - middle[None, :]
    half = normal_quantile(confidence) * np.sqrt(variance[:, None] + variance[None, :])
    low, high = np.minimum(change - hybrid[0], shrunk - half), np.maximum(change + hybrid[1], shrunk + half)
    return np.maximum(low, -1.0), np.minimum(high, 1.0)


def _see(n: int, arms: Table, lifts: Floats, places: Iterable[str], found: Questions) -> None:
    """See suites of n samples an arm, given the probabilities of the hits in both arms, and their lifts."""
    beyond, short = errors(table(n, 0.95), *arms, lifts)
    failing = errors(table(n, gate_confidence()), *arms, lifts)[1]
    for number, where in enumerate(places):
        missed = float(beyond[number] + short[number])
        found.interval.see(1.0 - missed, where)
        (found.upper if lifts[number] <= 0.5 else found.steep).see(float(failing[number]), where)
        if abs(lifts[number]) < 1e-12:
            found.none.see(missed, where)


@lru_cache(maxsize=1)
def gate_confidence() -> float:
    """Return the confidence of the interval whose upper end `min_lift` is held against, found by asking the gate."""
    lift = verdict.measure([verdict.CaseCount("case", 10, 20, 10, 20)], deterministic=False)
    if lift.interval is None or lift.interval90 is None:
        raise SystemExit("20 samples an arm have no interval")
    between = Fraction((lift.interval90[1] + lift.interval[1]) / 2)
    rules = gate.GateRules(min_pass_rate=None, min_lift=between)
    return 0.90 if gate.decide(lift, verdict.judge(lift), rules, gate.Change()).word == "failed" else 0.95


def errors(ends: Table, first: Floats, second: Floats, lifts: Floats) -> tuple[Floats, Floats]:
    """Return how often each lift lies below its interval, and how often above it.

    Both ends rise with the hits of the first arm, so that a lift is covered by one stretch of these.
    """
    low, high = ends
    if (np.diff(low, axis=0) < -1e-12).any() or (np.diff(high, axis=0) < -1e-12).any():
        raise SystemExit("an end of the interval falls with one more hit")
    reached = [np.searchsorted(low[:, b], lifts + 1e-12, side="right") for b in range(low.shape[1])]
    passed = [np.searchsorted(high[:, b], lifts - 1e-12, side="left") for b in range(low.shape[1])]
    below = np.concatenate((np.zeros((len(lifts), 1)), np.cumsum(first, axis=1)), axis=1)
    short = np.take_along_axis(below, _by_lift(passed), axis=1)
    beyond = 1.0 - np.take_along_axis(below, _by_lift(reached), axis=1)
    return (second * beyond).sum(axis=1), (second * short).sum(axis=1)


def _by_lift(columns: Iterable[np.ndarray]) -> Integers:
    return np.stack([np.asarray(column, dtype=np.int64) for column in columns], axis=1)


def _check(sizes: Sequence[int]) -> str:
    dice, count = random.Random(4), 2000
    few = dice.sample(sizes, min(20, len(sizes)))
    for _ in range(count):
        n, confidence = dice.choice(few), 0.95
        a, b = dice.randint(0, n), dice.randint(0, n)
        low, high = table(n, confidence)
        ours, theirs = (low[a, b], high[a, b]), lift_interval(a, n, b, n, confidence)
        if not np.allclose(ours, theirs, rtol=0, atol=1e-12):
            raise SystemExit(f"the table differs from the package at {a}, {b} of {n}: {ours}, {theirs}")
    return f"checked against the package: {count} random intervals, all equal"
