"""The lift summary, as lines of plain ASCII for a terminal of any width."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_upskill.errors import one_line
from pytest_upskill.reports.against import against_notes
from pytest_upskill.reports.choice import choice_lines
from pytest_upskill.reports.health import health_lines
from pytest_upskill.reports.stages import missed_lines, stage_lines
from pytest_upskill.reports.table import Line, table
from pytest_upskill.reports.words import counted, folded, wrapped
from pytest_upskill.suite.findings import Finding
from pytest_upskill.suite.matrix import Gate, Sample, Suite
from pytest_upskill.types import OLD, WITH, WITHOUT, Outcome
from pytest_upskill.verdicts.choice import Choice
from pytest_upskill.verdicts.result import GateResult

READER_NOTE = (
    "reader is an offline extractive reader and not a language model: its rates say what the text of a skill "
    "carries where one would look for it"
)
_GAP = "  "
_NARROWEST = 40


@dataclass(frozen=True, slots=True)
class Look:
    """The terminal: its width in columns and pytest's verbosity."""

    width: int
    verbosity: int


def summary(
    results: Sequence[GateResult],
    outcomes: Mapping[Sample, Outcome],
    down: Mapping[str, str],
    findings: Sequence[Finding],
    look: Look,
    choices: Mapping[Suite, Choice] | None = None,
) -> list[Line]:
    """Return the summary: the table, what is to be said of its rows, the gates.

    Args:
        results: a row each.
        outcomes: of all samples that finished.
        down: why models could not be called, by their names.
        findings: what lint found in the skills.
        look: `-q` leaves the notes out, `-v` adds a line for each case.
        choices: which model to take, by skill.
    """
    stages = stage_lines(results, outcomes, look.width, timed=look.verbosity > 0)
    lines = [*table(results, look.width), *stages]
    if look.verbosity > 0:
        lines += _case_lines(results, outcomes, look.width)
    if look.verbosity >= 0:
        verbose = look.verbosity > 0
        notes = [
            *_notes(results, down),
            *(missed_lines(results, outcomes) if verbose else ()),
            *choice_lines(choices or {}, verbose=verbose),
            *health_lines(results, verbose=verbose),
            *_lint(findings),
        ]
    else:
        # Who is told nothing else has to know why nothing was measured, unless a gate has said so.
        told = {result.gate.model.name for result in results if result.decision is not None}
        notes = list(_causes({name: cause for name, cause in down.items() if name not in told}))
    return [*lines, *_wrapped([*notes, *_gates(results)], look.width)]


def _wrapped(lines: Iterable[Line], width: int) -> Iterator[Line]:
    for line in lines:
        indent = " " * (len(line.text) - len(line.text.lstrip()))
        for part in wrapped(line.text.lstrip(), max(width, _NARROWEST), indent, indent + "  "):
            yield Line(part, line.markup)


def _notes(results: Sequence[GateResult], down: Mapping[str, str]) -> Iterator[Line]:
    for result in results:
        for note in _row_notes(result):
            yield Line(folded(f"{_place(result.gate)}: {note}"))
    yield from _causes(down)
    if any(result.gate.model.provider == "reader" for result in results):
        yield Line(READER_NOTE)


def _causes(down: Mapping[str, str]) -> Iterator[Line]:
    for name, cause in down.items():
        yield Line(folded(cause if cause.startswith(name) else f"{name}: {cause}"), {"red": True})


def _place(gate: Gate) -> str:
    return f"{gate.suite.skill.name} on {gate.model.name}"


def _row_notes(result: GateResult) -> Iterator[str]:
    verdict, tally = result.verdict, result.tally
    if verdict is not None and verdict.word in ("inconclusive", "no effect"):
        yield verdict.phrase + _added_tokens(result)
    if result.decision is not None and result.decision.passed and verdict is not None:
        # A gate that passes in spite of something says why; one that fails has said so above the table.
        yield from (reason for reason in result.decision.reasons if verdict.phrase not in reason)
    yield from against_notes(result)
    if tally.truncated:
        yield f"{counted(tally.truncated, 'reply', 'replies')} cut off at max_tokens"
    if tally.repeated:
        yield f"{counted(len(tally.repeated), 'case')} got one reply in several runs, counted as one run"
    for reason, count in Counter(outcome.skip for _, outcome in tally.skips).items():
        yield f"{counted(count, 'sample')} skipped: {reason}"


def _added_tokens(result: GateResult) -> str:
    tally = result.tally
    if tally.with_tokens is None or tally.without_tokens is None:
        return ""
    added = tally.with_tokens - tally.without_tokens
    return f"; adds {added:.0f} tokens a call" if added >= 1 else ""


def _lint(findings: Iterable[Finding]) -> Iterator[Line]:
    found = list(findings)
    if not found:
        return
    errors = sum(finding.level == "error" for finding in found)
    yield Line(
        f"lint: {counted(errors, 'error')}, {counted(len(found) - errors, 'warning')}", {"yellow": True}
    )
    for finding in found:
        yield Line(f"  {finding}")


def _gates(results: Sequence[GateResult]) -> Iterator[Line]:
    decisions = [result.decision for result in results if result.decision is not None]
    if not decisions:
        return
    words = Counter(decision.word for decision in decisions if not decision.passed)
    passed = [decision for decision in decisions if decision.passed]
    doubts = Counter(decision.word for decision in passed if decision.word != "passed")
    # What does not pass by itself passes where --upskill-gate=off lets it.
    inside = ", ".join(
        f"{count} {'would have ' if word == 'failed' else ''}{word}" for word, count in doubts.items()
    )
    parts = [f"{len(passed)} passed" + (f" ({inside})" if inside else "")]
    parts += [f"{count} {word}" for word, count in sorted(words.items())]
    yield Line("gates: " + ", ".join(parts), {"red": True} if words else {"green": True})


def _case_lines(
    results: Sequence[GateResult], outcomes: Mapping[Sample, Outcome], width: int
) -> Iterator[Line]:
    for result in results:
        gate = result.gate
        before = " and as it was" if OLD in gate.suite.arms else ""
        head = Line(one_line(f"{_place(gate)}, without and with the skill{before}:"))
        yield from _wrapped([head], width)
        longest = max(len(sample.case.id) for sample in gate.samples)
        for case, marks in _marks(gate, outcomes).items():
            seen = _GAP.join(f"{mark:>{max(gate.runs, 4)}}" for mark in marks)
            if len(_GAP) + longest + len(_GAP) + len(seen) <= width:
                yield Line(f"{_GAP}{case.ljust(longest)}{_GAP}{seen}")
            else:
                yield Line(f"{_GAP}{case}")
                yield Line(f"{_GAP}{_GAP}{seen}")


def _marks(gate: Gate, outcomes: Mapping[Sample, Outcome]) -> dict[str, list[str]]:
    arms = [arm for arm in (WITHOUT, WITH, OLD) if arm in gate.suite.arms]
    marks: dict[str, list[str]] = {}
    for sample in gate.samples:
        row = marks.setdefault(sample.case.id, [""] * len(arms))
        row[arms.index(sample.arm)] += _mark(outcomes.get(sample))
    return marks


def _mark(outcome: Outcome | None) -> str:
    if outcome is None:
        return "."
    if outcome.skip is not None:
        return "s"
    return "E" if outcome.error is not None else "+" if outcome.hit else "-"
