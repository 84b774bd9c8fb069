"""False alarms of the test for a fall, where nothing changed: of the whole staged procedure.

A comparison alarms by its suite or by a case. How often the suite does is computed for the drawn hits of both arms,
exactly; how often a case does, stages and all, is computed without any draw. Their sum times the comparisons of a
family bounds its false alarms, whatever depends on what in it: Holm's procedure rejects nothing true unless some p is
that small. What the procedure does in fact, confirmation included, is simulated beside that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

from benchmarks.coverage_cells import Mix, Question
from benchmarks.coverage_change import Design, by_hits, case_alarm, draw, paths, suite_alarms
from pytest_upskill.verdicts.change import FRESH

FAMILIES = (1, 10, 60)
DRIFT = 0.05
RATES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0)
LEVEL = 0.05
SUITE, CASE = 0.8 * LEVEL, 0.2 * LEVEL


@dataclass
class Questions:
    """What is asked of the test for a fall where nothing changed, by size of the family."""

    alarms: dict[int, Question]
    drifted: dict[int, Question]
    simulated: Question
    confirmed: Question
    unconfirmed: str = ""
    error: float = 0.0


def questions() -> Questions:
    """Return the questions, unanswered."""

    def of(m: int) -> str:
        return f"a family of {m}" if m > 1 else "one comparison"

    drift = f"a provider that drifted by {DRIFT:g}"
    return Questions(
        {m: Question(f"false alarms of {of(m)}, bounded", LEVEL, at_most=True) for m in FAMILIES},
        {m: Question(f"the same under {drift}, {of(m)}", LEVEL, at_most=True) for m in FAMILIES},
        Question("false alarms of one comparison, simulated", LEVEL, at_most=True),
        Question(f"the same under {drift}, confirmed, simulated", LEVEL, at_most=True),
    )


@lru_cache(maxsize=1)
def mixes() -> tuple[Mix, ...]:
    """Return mixes of cases whose rates are the same in both arms."""
    found = [Mix(f"all {rate:g}", ((1.0, rate, rate),)) for rate in RATES]
    for share, (low, high) in product((0.25, 0.5, 0.75), ((0.05, 0.95), (0.2, 0.9))):
        parts = (share, low, low), (1 - share, high, high)
        found.append(Mix(f"{share:g} at {low:g}, others {high:g}", parts))
    for share, full, rate in product((0.5, 0.8), (0.0, 1.0), (0.1, 0.5, 0.8, 0.95)):
        parts = (share, full, full), (1 - share, rate, rate)
        found.append(Mix(f"{share:g} saturated at {full:g}, others {rate:g}", parts))
    found += [Mix(f"one at {rate:g}, others 1", ((0, rate, rate), (1, 1, 1))) for rate in (0.2, 0.5, 0.9)]
    spread = tuple((1 / 9, tenth / 10, tenth / 10) for tenth in range(1, 10))
    return (*found, Mix("spread from 0.1 to 0.9", spread))


def bound(cases: Sequence[int], runs: Sequence[int], draws: int, seed: int, found: Questions) -> None:
    """Answer how many false alarms there are at most, by the sum of both paths."""
    dice = np.random.default_rng(seed)
    for new, n, mix in product(runs, cases, mixes()):
        by_stored = {
            old: _suites(Design(n, old, new), mix, draws, dice, found) for old in sorted({*runs, FRESH})
        }
        for old in runs:
            where = _where(Design(n, old, new), mix)
            for m in FAMILIES:
                same = max(_cases(n, old, new, mix, m, extra=extra) for extra in (True, False))
                drift = _cases(n, old, new, mix, m, extra=True, drift=DRIFT)
                found.alarms[m].see(m * (by_stored[old][m] + same), where)
                # Whatever the stored runs say: the fresh ones, which are of today, have to agree.
                found.drifted[m].see(m * (by_stored[FRESH][m] + drift), where)


def _suites(
    design: Design, mix: Mix, draws: int, dice: np.random.Generator, found: Questions
) -> dict[int, float]:
    """Return how often the suite's path alarms, for each size of family."""
    every = design.old + design.new
    hits = dice.binomial(every, mix.rates(design.cases)[0], size=(draws, design.cases))
    alarms = suite_alarms(design, by_hits(hits, every), np.array([SUITE / m for m in FAMILIES]))
    error = float((alarms.std(axis=0) * FAMILIES).max() / math.sqrt(draws))
    found.error = max(found.error, error)
    return dict(zip(FAMILIES, alarms.mean(axis=0).tolist(), strict=True))


def _cases(n: int, old: int, new: int, mix: Mix, m: int, *, extra: bool, drift: float = 0.0) -> float:
    """Return how often the path of the cases alarms."""
    quiet = 1.0
    for size, (_, rate, _) in zip(mix.counts(n), mix.parts, strict=True):
        rates = min(1.0, rate + drift), rate, rate
        quiet *= (1.0 - case_alarm(old, new, rates, CASE / (n * m), extra=extra)) ** size
    return 1.0 - quiet


def simulate(cases: Sequence[int], runs: Sequence[int], draws: int, seed: int, found: Questions) -> None:
    """Answer how many false alarms one comparison makes, all stages drawn.

    The highest of many noisy rates is too high: the five highest are drawn anew, ten times as often, and count.
    """
    dice = np.random.default_rng(seed)
    cells = [(Design(n, old, new), mix) for n, old, new, mix in product(cases, runs, runs, mixes()[2:-4:3])]
    for drift, question in ((0.0, found.simulated), (DRIFT, found.confirmed)):
        rates = [_drawn(design, mix, drift, draws, dice) for design, mix in cells]
        question.cells = len(cells)
        for at in np.argsort([confirmed for _, confirmed in rates])[-5:]:
            design, mix = cells[at]
            again = [_drawn(design, mix, drift, draws, dice)[1] for _ in range(10)]
            question.see(float(np.mean(again)), _where(design, mix))
            question.cells -= 1
        if drift:
            alone = [first for first, _ in rates]
            worst = int(np.argmax(alone))
            found.unconfirmed = (
                f"without the confirmation up to {alone[worst]:.2f}, at {_where(*cells[worst])}"
            )


def _where(design: Design, mix: Mix) -> str:
    return f"{design.cases} cases, {design.old} old and {design.new} new runs, {mix.name}"


def _drawn(
    design: Design, mix: Mix, drift: float, draws: int, dice: np.random.Generator
) -> tuple[float, float]:
    """Return how often a comparison alarms, without the confirmation and with it where there was a drift."""
    rate = mix.rates(design.cases)[0]
    rates = np.minimum(1.0, rate + drift), rate, rate
    suite, confirmed, case = paths(draw(design, rates, draws, dice, stored=drift > 0))
    by_case = case <= CASE / design.cases
    return float(((suite <= SUITE) | by_case).mean()), float(((confirmed <= SUITE) | by_case).mean())
