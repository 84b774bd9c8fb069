"""The health of a suite on the terminal: what its cases win, lose and do not show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_upskill.errors import one_line
from pytest_upskill.reports.table import Line
from pytest_upskill.reports.words import counted
from pytest_upskill.suite.matrix import Suite
from pytest_upskill.types import JSON
from pytest_upskill.verdicts.cases import CaseWord, health, listed, words
from pytest_upskill.verdicts.result import GateResult
from pytest_upskill.verdicts.verdict import CaseCount

MOST_NAMES = 5


def health_lines(results: Sequence[GateResult], *, verbose: bool = False) -> Iterator[Line]:
    """Yield a line for each skill and one for each of its gates, where there is something to say.

    Args:
        results: of all gates; those that were not selected are left out.
        verbose: name every case, and not the first five.
    """
    most = None if verbose else MOST_NAMES
    suites: dict[Suite, list[GateResult]] = {}
    for result in results:
        if result.verdict is not None:
            suites.setdefault(result.gate.suite, []).append(result)
    for suite, own in suites.items():
        yield from _line(suite.skill.name, _of_skill(suite, own, most))
        for result in own:
            place = f"{suite.skill.name} on {result.gate.model.name}"
            yield from _line(place, _of_gate(result.tally.counts, most))


def _line(place: str, parts: Iterator[str]) -> Iterator[Line]:
    if text := "; ".join(parts):
        yield Line(one_line(f"{place}: {text}"))


def _of_skill(suite: Suite, results: Sequence[GateResult], most: int | None) -> Iterator[str]:
    found = health(results)
    arms = "both arms" if len(suite.arms) == 2 else "all arms"
    if found.dead:
        yield f"never hit: {listed(found.dead, most)} ({arms})"
    if found.idle:
        yield f"hit by all: {listed(found.idle, most)} ({arms})"


def _of_gate(counts: Sequence[CaseCount], most: int | None) -> Iterator[str]:
    for word in ("wins", "loses"):
        found = _with(word, counts)
        if found:
            yield f"{word}: {listed([count.case for count in found], most)} ({_runs(found)})"
    flaky = [f"{count.case} {_rates(count)}" for count in _with("flaky", counts)]
    if flaky:
        yield f"flaky: {listed(flaky, most)}"


def _with(word: CaseWord, counts: Sequence[CaseCount]) -> list[CaseCount]:
    return [count for count in counts if word in words(count)]


def _runs(counts: Sequence[CaseCount]) -> str:
    """Return over how many runs an arm it was; replies that are the same count once, so that cases may differ."""
    runs = [run for count in counts for run in (count.with_runs, count.without_runs)]
    if min(runs) < max(runs):
        return f"{min(runs)} to {max(runs)} runs each"
    return f"{counted(runs[0], 'run')} each"


def _rates(count: CaseCount) -> str:
    arms = (
        ("with", count.with_hits, count.with_runs),
        ("without", count.without_hits, count.without_runs),
        ("before", count.old_hits, count.old_runs),
    )
    return " and ".join(f"{hits}/{runs} {arm}" for arm, hits, runs in arms if 0 < hits < runs)


def health_data(results: Sequence[GateResult]) -> JSON:
    """Return what results.json says of the cases of a skill; None where none of its gates was selected."""
    if all(result.verdict is None for result in results):
        return None
    found = health(results)
    return {"never_hit": list[JSON](found.dead), "always_hit": list[JSON](found.idle)}


def case_data(count: CaseCount) -> JSON:
    """Return what results.json says of a case on one model: hits and runs by arm, and what they show."""
    return {
        "case": count.case,
        "with": [count.with_hits, count.with_runs],
        "without": [count.without_hits, count.without_runs],
        "old": [count.old_hits, count.old_runs] if count.old_runs else None,
        "findings": list[JSON](words(count)),
    }
