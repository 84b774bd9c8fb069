"""A saved baseline was measured on the model of its day, and that model is gone: what it may have done to the counts.

Two questions. Did the model itself change: do the runs *without* the skill differ from those of then? And did the
hits with the skill fall by more than a change of the model explains? Runs of then cannot be made again, so no fresh
ones can confirm what the old ones say, as they do for a skill at a base ref.

Against a baseline a fall counts as the skill's where all three of these reject (each test is the exact stratified one
of `stratified`; to take the largest p of several is Berger's intersection-union test, 1982, Technometrics 24:295):

* the old hits, less five points of the old runs, still exceed the new ones;
* the old hits exceed the new ones, plus five points of the new runs. The first allowance keeps the spread that
  rates near 1 have after a small fall, this one that of rates near 0;
* the fall with the skill exceeds the fall without it. A miss without the skill then counts as a hit: where both arms
  fell by as much, what the one lost the other gained, and the sum stands.

The first two hold for a model that got worse by up to five points, whatever it does without the skill; the third for
one that got worse by more in both arms alike. Simulated at the level that a suite has in a gate (0.04), 5 to 20 cases,
1 to 10 runs: where a model lost 5 points, evenly or in a few cases, at most 4.3 of 100 gates fail, where it lost 10 in
both arms, 4. The plain test fails 12 to 36 of 100 for 5 points spread evenly over 20 cases of 3 runs, and up to all. A
skill that falls from 0.85 to the 0.4 of its model without it is found in 97 of 100.

A single case that is lost, with the skill alone, is what a model that changed does as well as a skill that broke: the
path of single cases in `topup` proves nothing against a baseline.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import cycle, islice
from math import ceil

from pytest_upskill.verdicts.family import LEVEL
from pytest_upskill.verdicts.stratified import (
    MIN_DROP,
    Stratum,
    informed,
    mean_drop,
    mid_p,
    suite_weight,
)
from pytest_upskill.verdicts.wording import p_text

ALLOWANCE = Fraction(1, 20)


@dataclass(frozen=True, slots=True)
class Drift:
    """The model gives other replies than it did: its hits and runs without the skill, then and now.

    `p` is two-sided, a mid-p that counts as a suite's does in a gate.
    """

    old_hits: int
    old_runs: int
    new_hits: int
    new_runs: int
    p: Fraction

    @property
    def down(self) -> bool:
        """Tell whether the model got worse: a skill that fell with it is then not proven to be the cause."""
        return self.new_hits * self.old_runs < self.old_hits * self.new_runs

    def phrase(self, since: object) -> str:
        """Return what is said of it; `since` is the day of the old runs."""
        counts = f"{self.old_hits}/{self.old_runs} -> {self.new_hits}/{self.new_runs}"
        return f"the model changed since {since}: without the skill {counts} (p = {p_text(self.p)})"


def drift(strata: Sequence[Stratum], min_drop: Fraction = MIN_DROP) -> Drift | None:
    """Return how the model changed, by its runs without the skill; None where that is not credible.

    Args:
        strata: the cases without the skill, then and now. Replies of then that are replayed show nothing.
        min_drop: the least change of the rate that is of interest.
    """
    known = informed(strata)
    change = mean_drop(known)
    if not known or abs(change) < min_drop:
        return None
    fell = mid_p(known)
    p = suite_weight(2 * min(fell, 1 - fell))
    if p > LEVEL or (change > 0) != (2 * fell < 1):
        return None
    return Drift(
        sum(stratum.old_hits for stratum in known),
        sum(stratum.old_runs for stratum in known),
        sum(stratum.new_hits for stratum in known),
        sum(stratum.new_runs for stratum in known),
        p,
    )


def p_beyond_drift(
    with_strata: Sequence[Stratum], without_strata: Sequence[Stratum], min_drop: Fraction = MIN_DROP
) -> Fraction:
    """Return the p of a fall with the skill that a change of the model does not explain; 1 under `min_drop`.

    It stands where `suite_p` stands against a base ref, and is never below it. It is 1 as well where the model
    credibly got worse. One more hit with the skill today never lowers it.

    Args:
        with_strata: the cases with the skill, then and now.
        without_strata: those without it, as far as they were measured anew.
        min_drop: the least fall of the rate that is of interest.
    """
    known = informed(with_strata)
    if not known or mean_drop(known) < min_drop:
        return Fraction(1)
    model = drift(without_strata, min_drop)
    if model is not None and model.down:
        return Fraction(1)
    return max(
        mid_p(_old_lowered(known)), mid_p(_new_raised(known)), _beyond_the_other(known, without_strata)
    )


def _old_lowered(strata: Sequence[Stratum]) -> list[Stratum]:
    """Take the allowance from the old hits, one by one from where most are."""
    hits = [stratum.old_hits for stratum in strata]
    for _ in range(_allowed(stratum.old_runs for stratum in strata)):
        most = max(range(len(hits)), key=hits.__getitem__)
        hits[most] = max(0, hits[most] - 1)
    return [replace(stratum, old_hits=left) for stratum, left in zip(strata, hits, strict=True)]


def _new_raised(strata: Sequence[Stratum]) -> list[Stratum]:
    """Add the allowance to the new hits, evenly, first where most old ones are; what is full stays full."""
    # The order must not look at the new hits: one more of them might then lower the p.
    order = sorted(range(len(strata)), key=lambda index: -strata[index].old_hits)
    more = [0] * len(strata)
    for index in islice(cycle(order), _allowed(stratum.new_runs for stratum in strata)):
        more[index] += 1
    return [
        replace(stratum, new_hits=min(stratum.new_runs, stratum.new_hits + extra))
        for stratum, extra in zip(strata, more, strict=True)
    ]


def _allowed(runs: Iterable[int]) -> int:
    return ceil(ALLOWANCE * sum(runs))


def _beyond_the_other(strata: Sequence[Stratum], others: Sequence[Stratum]) -> Fraction:
    """Return the p of a fall with the skill that exceeds the one without it; 0 where there is none to compare with."""
    there = {stratum.case: stratum for stratum in informed(others)}
    own = [stratum for stratum in strata if stratum.case in there]
    return mid_p([*own, *(_mirrored(there[stratum.case]) for stratum in own)]) if own else Fraction(0)


def _mirrored(stratum: Stratum) -> Stratum:
    return replace(
        stratum,
        old_hits=stratum.old_runs - stratum.old_hits,
        new_hits=stratum.new_runs - stratum.new_hits,
    )
