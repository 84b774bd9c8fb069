"""What the test for a fall finds: a uniform fall by simulation, a case that broke exactly, stages and all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product

import numpy as np

from benchmarks.coverage_alarms import CASE, FAMILIES, SUITE
from benchmarks.coverage_cells import Question
from benchmarks.coverage_change import Design, case_alarm, draw, paths

CASES = 20
FALLS = ((0.9, 0.7), (0.8, 0.6), (0.5, 0.3))
BROKEN = ((1.0, 0.0), (0.95, 0.0))


def questions() -> tuple[Question, Question]:
    """Return what must be found of a case that broke, unanswered."""
    return (
        Question(f"one of {CASES} cases that fell from 1 to 0 is found", 0.99, at_most=False),
        Question("one that fell from 0.95 to 0, of 3 old runs or more, is found", 0.99, at_most=False),
    )


def broken(runs: Sequence[int], found: tuple[Question, Question]) -> Iterator[str]:
    """Answer the questions, by the path of the cases alone; yields tables of the power."""
    for (before, after), m, old, new in product(BROKEN, FAMILIES, runs, runs):
        # Of a single old run, one of 20 such cases was a miss, and is not suspected.
        if before == 1.0 or (m == 1 and old > 1):
            power = case_alarm(old, new, (before, before, after), CASE / (CASES * m))
            question = found[0] if before == 1.0 else found[1]
            question.see(power, f"{old} old and {new} new runs, family of {m}")
    for m, extra in ((1, True), (1, False), (10, True), (60, True)):
        title = f"one case of {CASES}, 0.95 to 0, family of {m}, {'with' if extra else 'without'} the top-up: exact"

        def power_of(old: int, new: int, m: int = m, *, extra: bool = extra) -> float:
            return case_alarm(old, new, (0.95, 0.95, 0.0), CASE / (CASES * m), extra=extra)

        yield from _table(title, runs, power_of)


def uniform(runs: Sequence[int], draws: int, seed: int) -> Iterator[str]:
    """Yield tables of how often a fall of all cases is found."""
    dice = np.random.default_rng(seed)
    for (before, after), stored in product(FALLS, (False, True)):
        rates = tuple(np.full(CASES, rate) for rate in (before, before, after))

        def power(
            old: int, new: int, rates: tuple[np.ndarray, ...] = rates, *, stored: bool = stored
        ) -> float:
            _, suite, case = paths(
                draw(Design(CASES, old, new), (rates[0], rates[1], rates[2]), draws, dice, stored=stored)
            )
            return float(((suite <= SUITE) | (case <= CASE / CASES)).mean())

        told = "stored old runs, confirmed by fresh ones" if stored else "old runs of today"
        yield from _table(f"all of {CASES} cases, {before:g} to {after:g}, {told}", runs, power)


def _table(title: str, runs: Sequence[int], power: Callable[[int, int], float]) -> Iterator[str]:
    yield title
    yield "    old runs  " + "".join(f"{f'{new} new':>8}" for new in runs)
    for old in runs:
        yield f"    {old:>8}  " + "".join(f"{power(old, new):8.3f}" for new in runs)
