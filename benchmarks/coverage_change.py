"""The staged test for a fall, for many random suites at once: what `coverage_alarms.py` simulates with.

The suite path needs the distribution of a total of hypergeometric counts: a product in the frequency domain over how
many cases have 0, 1, 2 ... hits in both arms. The case path is followed exactly, stage by stage, by the package's own
rules, which are read into tables.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from benchmarks.coverage_cells import Floats, Integers, binomial
from pytest_upskill.verdicts.change import FRESH
from pytest_upskill.verdicts.stratified import MIN_DROP, Stratum, case_p
from pytest_upskill.verdicts.topup import TOPPED, runs_wanted

Truths = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Design:
    """A suite of so many cases, and its runs in the old arm and in the new one."""

    cases: int
    old: int
    new: int


@lru_cache(maxsize=256)
def logarithms(design: Design) -> npt.NDArray[np.complex128]:
    """Return the log of the transform of one case's new hits, by its hits in both arms."""
    every = design.old + design.new
    size = 1 << (design.cases * design.new).bit_length()
    rows = np.zeros((every + 1, size))
    for hits in range(every + 1):
        for new in range(max(0, hits - design.old), min(hits, design.new) + 1):
            ways = math.comb(design.new, new) * math.comb(design.old, hits - new)
            rows[hits, new] = ways / math.comb(every, hits)
    found = np.fft.rfft(rows)
    # A root on the unit circle: its log, times a count of 0, must stay 0.
    return np.log(np.where(np.abs(found) < 1e-300, 1e-300, found))


def by_hits(hits: Integers, most: int) -> Integers:
    """Return, of each suite, how many cases have 0, 1, ... hits in both arms."""
    suites = len(hits)
    flat = (hits + (most + 1) * np.arange(suites)[:, None]).ravel()
    return np.bincount(flat, minlength=suites * (most + 1)).reshape(suites, most + 1)


def totals(design: Design, counts: Integers) -> Floats:
    """Return the probabilities of the new arm's total hits where nothing changed, given the hits of both arms."""
    logs = logarithms(design)
    size = 2 * (logs.shape[1] - 1)
    found = np.fft.irfft(np.exp(counts @ logs), n=size)
    return np.maximum(found[:, : design.cases * design.new + 1], 0.0)


def dropped(design: Design, hits: Integers, new: Integers) -> Truths:
    """Tell where the drop is not under the smallest one that counts; `hits` are those of both arms."""
    lost = (hits - new) * design.new - new * design.old
    found: Truths = lost * MIN_DROP.denominator >= MIN_DROP.numerator * design.cases * design.new * design.old
    return found


def suite_ps(design: Design, old: Integers, new: Integers) -> Floats:
    """Return the suite's p (mid-p, 1 where the drop is too small) of each suite, from hits by case."""
    mass = totals(design, by_hits(old + new, design.old + design.new))
    hits, reached = (old + new).sum(axis=1), new.sum(axis=1)
    here = np.take_along_axis(mass, reached[:, None], axis=1)[:, 0]
    below = np.take_along_axis(np.cumsum(mass, axis=1), reached[:, None], axis=1)[:, 0]
    return np.where(dropped(design, hits, reached), below - here / 2, 1.0)


def suite_alarms(design: Design, counts: Integers, levels: Floats) -> Floats:
    """Return how often each suite's p is at most each level where nothing changed, given the hits of both arms.

    Exact for the hits given: only these are drawn, so that small levels need no more draws than large ones.
    """
    mass = totals(design, counts)
    mids = np.cumsum(mass, axis=1) - mass / 2
    hits = (counts * np.arange(counts.shape[1])).sum(axis=1)
    mids[~dropped(design, hits[:, None], np.arange(mass.shape[1])[None, :])] = 2.0
    return np.stack([np.where(mids <= level, mass, 0.0).sum(axis=1) for level in levels], axis=1)


@lru_cache(maxsize=4096)
def wanted(old: int, new: int) -> Integers:
    """Return the runs that a case is to reach, 0 where no more are wanted, by its hits in the old and new arm."""
    found = np.zeros((old + 1, new + 1), dtype=np.int64)
    for a, b in np.ndindex(old + 1, new + 1):
        found[a, b] = runs_wanted([Stratum("", a, old, b, new)]).get("", 0)
    return found


@lru_cache(maxsize=4096)
def case_ps(old: int, new: int) -> Floats:
    """Return the exact p of one case by its hits in the old and new arm."""
    found = np.ones((old + 1, new + 1))
    for a, b in np.ndindex(old + 1, new + 1):
        found[a, b] = float(case_p(Stratum("", a, old, b, new)))
    return found


@lru_cache(maxsize=65536)
def case_alarm(
    old: int, new: int, rates: tuple[float, float, float], level: float, *, extra: bool = True
) -> float:
    """Return how often one case is proven to have fallen at a level: exact.

    Args:
        old: stored runs.
        new: new runs.
        rates: of the stored old runs, of further old runs, and of new runs.
        level: for the case's own p.
        extra: whether further runs may be had.
    """
    stored, further, today = rates
    at = {(old, new): np.outer(binomial(old, stored), binomial(new, today))}
    found = 0.0
    while at:
        (a, b), mass = at.popitem()
        if min(a, b) >= TOPPED or not extra:
            found += float(mass[case_ps(a, b) <= level * (1 + 1e-12)].sum())
            continue
        goals = wanted(a, b)
        for goal in {int(goal) for goal in np.unique(goals)} - {0}:
            kept = np.where(goals == goal, mass, 0.0)
            more = (binomial(max(0, goal - a), further), binomial(max(0, goal - b), today))
            key = max(a, goal), max(b, goal)
            at[key] = at.get(key, 0.0) + _spread(kept, *more)
    return found


def _spread(mass: Floats, old: Floats, new: Floats) -> Floats:
    """Return the probabilities after further hits in each arm."""
    found = np.zeros((mass.shape[0] + len(old) - 1, mass.shape[1] + len(new) - 1))
    for (a, b), weight in np.ndenumerate(np.outer(old, new)):
        found[a : a + mass.shape[0], b : b + mass.shape[1]] += weight * mass
    return found


@dataclass(frozen=True)
class Replies:
    """Hits or misses of many suites: by suite, case and run; `old` and `new` as many as can be asked for.

    `fresh` are those of the fresh runs of the old arm, and there are none where the old arm is not stored.
    """

    design: Design
    old: Truths
    new: Truths
    fresh: Truths | None


def draw(
    design: Design,
    rates: tuple[Floats, Floats, Floats],
    suites: int,
    dice: np.random.Generator,
    *,
    stored: bool,
) -> Replies:
    """Draw suites; `rates` by case, of the stored old runs, of further old runs, and of new runs."""
    before, further, today = (rate[None, :, None] for rate in rates)
    shape = suites, design.cases
    first = dice.random((*shape, design.old)) < before
    later = dice.random((*shape, max(0, TOPPED - design.old))) < further
    return Replies(
        design,
        np.concatenate((first, later), axis=2),
        dice.random((*shape, max(design.new, TOPPED))) < today,
        dice.random((*shape, FRESH)) < further if stored else None,
    )


def paths(replies: Replies) -> tuple[Floats, Floats, Floats]:
    """Return of each suite the p of the suite path, the same with its confirmation, and the least p of a case.

    None is weighted, and all further runs are had that the stages ask for.
    """
    design = replies.design
    old = replies.old[:, :, : design.old].sum(axis=2)
    new = replies.new[:, :, : design.new].sum(axis=2)
    first = confirmed = suite_ps(design, old, new)
    if replies.fresh is not None:
        again = Design(design.cases, FRESH, design.new)
        confirmed = np.maximum(first, suite_ps(again, replies.fresh.sum(axis=2), new))
    return first, confirmed, _cases(replies).min(axis=1)


def _cases(replies: Replies) -> Floats:
    """Return the p of each case after its last stage, 1 where it is not tested."""
    cells = replies.old.shape[:2]
    old, new = np.cumsum(replies.old, axis=2), np.cumsum(replies.new, axis=2)
    found = np.ones(cells)
    at = {(replies.design.old, replies.design.new): np.ones(cells, dtype=bool)}
    while at:
        (a, b), here = at.popitem()
        hits = old[here, a - 1], new[here, b - 1]
        if min(a, b) >= TOPPED:
            found[here] = case_ps(a, b)[hits]
            continue
        goals = np.zeros(cells, dtype=np.int64)
        goals[here] = wanted(a, b)[hits]
        for goal in {int(goal) for goal in np.unique(goals)} - {0}:
            key = max(a, goal), max(b, goal)
            at[key] = at.get(key, np.zeros(cells, dtype=bool)) | (goals == goal)
    return found
