"""What is said of a change for the worse, in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from pytest_upskill.verdicts.stratified import Stratum
from pytest_upskill.verdicts.topup import unsettled as not_tested
from pytest_upskill.verdicts.wording import p_text

_MOST_NAMES = 5


@dataclass(frozen=True, slots=True)
class Told:
    """What a sentence is made from.

    Attributes:
        question: as in `change.Comparison`.
        path: what proves it; None where it is not proven.
        strata: the whole rounds.
        worst: the cases that fell most, with all of their runs.
        case: the one with the smallest p of those tested.
        p: over the family and both paths.
        suite_p, fresh_p: of all cases, against the old runs and against fresh ones.
        family: how many comparisons there are.
        unconfirmed: only fresh runs of the old arm are missing to prove it, or to refute it.
    """

    question: Literal["regressed", "hurts"]
    path: Literal["suite", "case"] | None
    strata: Sequence[Stratum]
    worst: Sequence[Stratum]
    case: Stratum | None
    p: Fraction
    suite_p: Fraction
    fresh_p: Fraction | None
    family: int
    unconfirmed: bool


def reason(told: Told) -> str:
    """Return the sentence on a comparison, with its counts and its p."""
    if told.path == "case" and told.case is not None:
        return _of_case(told, told.case)
    if told.path == "suite":
        return f"{_verb(told)}: {_hits(told)} ({_p(told)}{_fresh(told)}){_most_changed(told.worst)}."
    noun = "regression" if told.question == "regressed" else "harm"
    return f"No {noun} is proven: {_hits(told)} ({_p(told)}{_fresh(told)})."


def unsettled(told: Told, cases: Sequence[Stratum]) -> tuple[str, ...]:
    """Return a sentence for each thing that further runs would have settled."""
    found = []
    if told.unconfirmed:
        found.append(
            f"Not settled: {_hits(told)} are a fall (p = {p_text(told.suite_p)}), but against stored replies and not "
            f"confirmed by fresh runs {_of_old(told)}: the provider may have changed since."
        )
    if fell := not_tested(cases):
        were, it = ("case", "it was") if len(fell) == 1 else ("cases", "they were")
        found.append(
            f"Not settled: {len(fell)} {were} fell by half or more, and {it} not run often enough to tell luck "
            f"from loss: {_named(sorted(fell, key=lambda each: -each.drop))}."
        )
    return tuple(found)


def _of_case(told: Told, case: Stratum) -> str:
    others = [stratum for stratum in told.worst if stratum.case != case.case]
    return (
        f"{_verb(told)}: {_named([case])} hits{_arms(told)}, on this one of {len(told.strata)} cases ({_p(told)}); "
        f"all cases together {_pooled(told.strata)}{_most_changed(others)}."
    )


def _verb(told: Told) -> str:
    return "Regressed" if told.question == "regressed" else "Hurts"


def _arms(told: Told) -> str:
    return "" if told.question == "regressed" else ", without the skill -> with it"


def _hits(told: Told) -> str:
    arms = _arms(told)
    return f"{_pooled(told.strata)} hits{arms}{',' if arms else ''} on the same cases"


def _pooled(strata: Sequence[Stratum]) -> str:
    old = f"{sum(each.old_hits for each in strata)}/{sum(each.old_runs for each in strata)}"
    return f"{old} -> {sum(each.new_hits for each in strata)}/{sum(each.new_runs for each in strata)}"


def _p(told: Told) -> str:
    test = "exact test of each case" if told.path == "case" else "exact stratified test"
    among = f" over {told.family} comparisons" if told.family > 1 else ""
    return f"p = {p_text(told.p)}, {test}{among}"


def _fresh(told: Told) -> str:
    """Return what was found against stored replies and against fresh ones, where that may differ."""
    if told.fresh_p is None:
        return f"; against stored replies p = {p_text(told.suite_p)}" if told.unconfirmed else ""
    fresh = f"5 fresh runs {_of_old(told)}"
    if told.path == "suite":
        return f"; {fresh} confirm it, p = {p_text(told.fresh_p)}"
    return f"; against stored replies p = {p_text(told.suite_p)}, against {fresh} p = {p_text(told.fresh_p)}"


def _of_old(told: Told) -> str:
    return "of the old skill" if told.question == "regressed" else "without the skill"


def _most_changed(worst: Sequence[Stratum]) -> str:
    return f"; most changed: {_named(worst)}" if worst else ""


def _named(cases: Sequence[Stratum]) -> str:
    named = [
        f"{each.case} {each.old_hits}/{each.old_runs} -> {each.new_hits}/{each.new_runs}"
        for each in cases[:_MOST_NAMES]
    ]
    rest = len(cases) - len(named)
    return ", ".join(named) + (f" and {rest} more" if rest else "")
