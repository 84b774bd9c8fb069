"""What changed since the base or the saved baseline: in words, and as data of results.json."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_upskill.reports.redaction import public_text
from pytest_upskill.reports.words import counted
from pytest_upskill.types import JSON
from pytest_upskill.verdicts.change import Finding
from pytest_upskill.verdicts.gate import Against
from pytest_upskill.verdicts.intervals import lift_interval
from pytest_upskill.verdicts.result import GateResult
from pytest_upskill.verdicts.stratified import Stratum, informed
from pytest_upskill.verdicts.wording import between, counted_points


def against_notes(result: GateResult) -> Iterator[str]:
    """Yield what is to be said of what changed, in phrases; what failed the gate has been said there."""
    against = result.change.against
    if against is None or result.decision is None:
        return
    if against.state != "changed":
        yield f"new since {against.name}" if against.state == "new" else f"unchanged since {against.name}"
    elif result.change.old:
        yield f"since {against.name}: {_step(result)}"
    if against.left_out:
        cases = counted(len(against.left_out), "case")
        yield f"{cases} new or changed since {against.name}, and not compared"
    yield from against.notes


def _step(result: GateResult) -> str:
    old_hits, old_runs, new_hits, new_runs = _pooled(result.change.old)
    lift = result.lift
    counts = f"{old_hits}/{old_runs} -> {new_hits}/{new_runs} hits with the skill"
    if not (old_runs and new_runs):
        return "no case was measured in both"
    change = counted_points(new_hits / new_runs - old_hits / old_runs)
    if lift.deterministic:
        lost = len(result.change.lost)
        return f"{counts} ({change}, exact); " + (f"{counted(lost, 'case')} lost" if lost else "no case lost")
    low, high = lift_interval(new_hits, new_runs, old_hits, old_runs)
    return f"{counts} ({change}, {between(low, high)}): {_word(result, low)}"


def _word(result: GateResult, low: float) -> str:
    proven = [each for each in result.change.findings if each.question == "regressed" and each.proven]
    if proven:
        # All cases together may be better, and one of them broken.
        return f"{proven[0].case} is worse" if proven[0].path == "case" else "worse"
    return "better" if low > 0 else "no proven change"


def change_data(result: GateResult, rootdir: Path) -> JSON:
    """Return what stands in results.json of a gate's comparisons; None where it was not decided."""
    if result.decision is None:
        return None
    return {
        "against": _against_data(result.change.against),
        "family": result.change.family,
        "comparisons": [_finding_data(finding, rootdir) for finding in result.change.findings],
        "lost": [stratum.case for stratum in result.change.lost],
        "old_counts": [_counts(stratum) for stratum in result.change.old],
    }


def _against_data(against: Against | None) -> JSON:
    if against is None:
        return None
    return {
        "name": against.name,
        "state": against.state,
        "left_out": list[JSON](against.left_out),
        "notes": list[JSON](against.notes),
    }


def _finding_data(finding: Finding, rootdir: Path) -> dict[str, JSON]:
    return {
        "question": finding.question,
        "proven": finding.proven,
        "path": finding.path,
        "p": float(finding.p),
        "suite_p": float(finding.suite_p),
        "fresh_p": None if finding.fresh_p is None else float(finding.fresh_p),
        "case_p": float(finding.case_p),
        "case": finding.case,
        "worst": [_counts(stratum) for stratum in finding.worst],
        "reason": public_text(finding.reason, rootdir),
        "unsettled": [public_text(sentence, rootdir) for sentence in finding.unsettled],
    }


def _counts(stratum: Stratum) -> dict[str, JSON]:
    return {
        "case": stratum.case,
        "old_hits": stratum.old_hits,
        "old_runs": stratum.old_runs,
        "new_hits": stratum.new_hits,
        "new_runs": stratum.new_runs,
    }


def _pooled(strata: Sequence[Stratum]) -> tuple[int, int, int, int]:
    known = informed(strata)
    return (
        sum(stratum.old_hits for stratum in known),
        sum(stratum.old_runs for stratum in known),
        sum(stratum.new_hits for stratum in known),
        sum(stratum.new_runs for stratum in known),
    )
