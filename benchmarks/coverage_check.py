"""Hold the fast re-implementation of the staged test to the package: the same drawn replies, the same findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from benchmarks.coverage_change import Design, Replies, Truths, draw, paths
from pytest_upskill.verdicts.change import Comparison, Finding, Needs, conclude, needs
from pytest_upskill.verdicts.family import holm
from pytest_upskill.verdicts.stratified import Stratum, case_weight, suite_p, suite_weight


def check(families: int, seed: int) -> str:
    """Compare random families of 1 to 4 comparisons, each played stage by stage, and say how many agreed.

    Raises:
        SystemExit: something differs.
    """
    dice = np.random.default_rng(seed)
    proven = 0
    for _ in range(families):
        drawn = [_random(dice) for _ in range(int(dice.integers(1, 5)))]
        ps = {number: _p(replies) for number, replies in enumerate(drawn)}
        ours, theirs = holm(ps), {key for key, finding in played(drawn).items() if finding.proven}
        if ours != theirs:
            raise SystemExit(f"proven are {sorted(theirs)} by the package and {sorted(ours)} here, of {ps}")
        proven += len(ours)
    return f"checked against the package: {families} random families played, {proven} falls proven, all equal"


def _random(dice: np.random.Generator) -> Replies:
    cases, old, new = (int(dice.integers(1, most)) for most in (16, 15, 15))
    before = dice.choice([0.0, 0.5, 0.9, 1.0], cases)
    fallen = dice.random(cases) < dice.choice([0.0, 0.2, 1.0])
    today = np.where(fallen, before * dice.random(), before)
    return draw(Design(cases, old, new), (before, before, today), 1, dice, stored=bool(dice.integers(2)))


def _p(replies: Replies) -> Fraction:
    """Return the p of one comparison, after its suite's p was compared with the package's."""
    (suite,), (confirmed,), (case,) = paths(replies)
    exact = float(suite_p(_strata(replies)))
    if abs(suite - exact) > 1e-9:
        raise SystemExit(f"the suite's p is {exact} by the package and {suite} here")
    ours = suite_weight(Fraction(confirmed)), case_weight(Fraction(case), replies.design.cases)
    # A float that should lie on the level may lie just beyond it.
    return min(ours).limit_denominator(10**12)


def played(drawn: Sequence[Replies]) -> dict[int, Finding]:
    """Return the package's findings on one suite each, given what it asks for."""
    family = {
        number: Comparison("regressed", _strata(replies), stored=replies.fresh is not None, extra=True)
        for number, replies in enumerate(drawn)
    }
    while wanted := needs(family):
        for number, more in wanted.items():
            family[number] = _answered(family[number], drawn[number], more)
    return dict(conclude(family))


def _answered(comparison: Comparison, replies: Replies, more: Needs) -> Comparison:
    design, topped = replies.design, dict[str, Stratum](comparison.topped)
    for case, runs in more.runs.items():
        topped[case] = _stratum(replies, int(case), max(design.old, runs), max(design.new, runs))
    comparison = replace(comparison, topped=topped)
    if not more.fresh or replies.fresh is None:
        return comparison
    hits = _hits(replies.fresh, more.fresh)
    fresh = (
        replace(stratum, old_hits=hits[int(stratum.case)], old_runs=more.fresh)
        for stratum in comparison.strata
    )
    return replace(comparison, fresh=tuple(fresh))


def _strata(replies: Replies) -> tuple[Stratum, ...]:
    design = replies.design
    return tuple(_stratum(replies, case, design.old, design.new) for case in range(design.cases))


def _stratum(replies: Replies, case: int, old: int, new: int) -> Stratum:
    return Stratum(str(case), _hits(replies.old, old)[case], old, _hits(replies.new, new)[case], new)


def _hits(outcomes: Truths, runs: int) -> Mapping[int, int]:
    """Return the hits of each case of the first suite in its first runs."""
    return dict(enumerate(outcomes[0, :, :runs].sum(axis=1).tolist()))
