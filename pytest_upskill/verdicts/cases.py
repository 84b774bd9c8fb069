"""What the single cases of a skill show: which it wins and loses, and which of them prove nothing.

An arm of a case hits in every run, in none, or in some. All against none is a *win* or a *loss*; a case that
hits in some runs of an arm is *flaky*, and is a win or a loss as well where an exact one-sided test (Fisher 1935,
The Design of Experiments) has p <= 0.05. These words describe runs and claim nothing of the skill: a case that is
hit as often with the skill as without is called a win by chance in up to 25, 6.3, 1.6 % of suites at 1, 2, 3 runs an
arm, and in less than 5 % with more. What is claimed is pooled over cases, in `verdict`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import comb
from typing import Literal, TypeAlias

from pytest_upskill.verdicts.result import GateResult
from pytest_upskill.verdicts.verdict import CaseCount

CaseWord: TypeAlias = Literal["wins", "loses", "never hit", "always hit", "flaky"]
_MOST_NAMES = 20


@dataclass(frozen=True, slots=True)
class Health:
    """The cases of a skill that tell nothing, by id: nothing ever hits the `dead` ones, or misses the `idle` ones."""

    dead: tuple[str, ...]
    idle: tuple[str, ...]


def words(count: CaseCount) -> tuple[CaseWord, ...]:
    """Return what one case shows on one model; nothing where it has no runs."""
    with_, without = (count.with_hits, count.with_runs), (count.without_hits, count.without_runs)
    if not count.with_runs or not count.without_runs:
        return ()
    arms = [arm for arm in (with_, without, (count.old_hits, count.old_runs)) if arm[1]]
    if not any(hits for hits, _ in arms):
        return ("never hit",)
    if all(hits == runs for hits, runs in arms):
        return ("always hit",)
    found: list[CaseWord] = []
    if _more_often(with_, without):
        found.append("wins")
    if _more_often(without, with_):
        found.append("loses")
    if any(0 < hits < runs for hits, runs in arms):
        found.append("flaky")
    return tuple(found)


def _more_often(arm: tuple[int, int], other: tuple[int, int]) -> bool:
    (hits, runs), (other_hits, other_runs) = arm, other
    if hits == runs and not other_hits:
        return True
    if hits * other_runs <= other_hits * runs:
        return False
    total = hits + other_hits
    tail = sum(comb(runs, k) * comb(other_runs, total - k) for k in range(hits, min(runs, total) + 1))
    return 20 * tail <= comb(runs + other_runs, total)


def health(results: Sequence[GateResult]) -> Health:
    """Return what no model ever hits and what every model hits always, of the results of one skill.

    A gate that was not selected has no say, nor has one of which no case was measured. Of a case that some other gate
    has not measured whole nobody knows.
    """
    judged = [result for result in results if result.verdict is not None and result.tally.counts]
    unknown = {case for result in judged for case in _not_whole(result)}
    said: dict[str, set[CaseWord | None]] = {}
    for result in judged:
        for count in result.tally.counts:
            if count.case not in unknown and count.with_runs:
                found = words(count)
                said.setdefault(count.case, set()).add(found[0] if found else None)
    return Health(
        dead=tuple(case for case, found in said.items() if found == {"never hit"}),
        idle=tuple(case for case, found in said.items() if found == {"always hit"}),
    )


def _not_whole(result: GateResult) -> set[str]:
    counted = {count.case for count in result.tally.counts}
    skipped = {sample.case.id for sample, _ in result.tally.skips}
    return {sample.case.id for sample in result.gate.samples} - counted - skipped


def strict_reasons(results_of_one_skill: Sequence[GateResult]) -> tuple[str, ...]:
    """Return why the gates of a skill fail under --upskill-strict-cases: a sentence, or nothing.

    Args:
        results_of_one_skill: those of all of its gates that were selected. While one of them was not measured, a
            case that seems dead may yet be hit there: nothing is said then, and that gate fails by itself.
    """
    if any(not result.tally.counts and not result.tally.complete for result in results_of_one_skill):
        return ()
    dead = health(results_of_one_skill).dead
    if not dead:
        return ()
    were, mend = (
        ("was", "it (its expectation may be wrong, or it is too hard)")
        if len(dead) == 1
        else ("were", "them (what they expect may be wrong, or they are too hard)")
    )
    return (
        f"strict cases: {listed(dead, _MOST_NAMES)} {were} never hit, with or without the skill, by any model: "
        f"mend or remove {mend}",
    )


def listed(names: Iterable[str], most: int | None) -> str:
    """Return the first names of a list and how many more there are; all of them where `most` is None."""
    found = list(names)
    if most is None or len(found) <= most:
        return ", ".join(found)
    return f"{', '.join(found[:most])} and {len(found) - most} more"
