"""The lift summary, as lines of plain ASCII for a terminal of any width."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pytest_upskill.reports.plan import counted
from pytest_upskill.suite.findings import Finding
from pytest_upskill.suite.matrix import Gate, Sample, Suite
from pytest_upskill.types import WITH, Outcome
from pytest_upskill.verdicts.result import GateResult
from pytest_upskill.verdicts.wording import percents, points

READER_NOTE = (
    "reader is an offline extractive reader and not a language model: its rates say what the text of a skill "
    "carries where one would look for it"
)
_COLUMNS = ("skill", "model", "without", "with", "lift", "95% interval", "tokens/call", "$/hit", "verdict")
_LEFT = ("skill", "model", "verdict")
_GAP = "  "
_COLOURS = {"helps": {"green": True}, "hurts": {"red": True}}


@dataclass(frozen=True, slots=True)
class Look:
    """The terminal: its width in columns and pytest's verbosity."""

    width: int
    verbosity: int


@dataclass(frozen=True, slots=True)
class Line:
    """One line and how it is marked up."""

    text: str
    markup: Mapping[str, bool] = field(default_factory=dict)


def summary(
    results: Sequence[GateResult],
    outcomes: Mapping[Sample, Outcome],
    down: Mapping[str, str],
    findings: Sequence[Finding],
    look: Look,
) -> list[Line]:
    """Return the summary: the table, what is to be said of its rows, the gates.

    Args:
        results: a row each.
        outcomes: of all samples that finished.
        down: why models could not be called, by their names.
        findings: what lint found in the skills.
        look: `-q` leaves the notes out, `-v` adds a line for each case.
    """
    lines = [*_table(results, look.width)]
    if look.verbosity > 0:
        lines += _case_lines(results, outcomes)
    notes: list[Line] = []
    if look.verbosity >= 0:
        notes = [*_notes(results, down), *_case_health(results, outcomes), *_lint(findings)]
    return [*lines, *_wrapped([*notes, *_gates(results)], look.width)]


def _wrapped(lines: Iterable[Line], width: int) -> Iterator[Line]:
    for line in lines:
        indent = " " * (len(line.text) - len(line.text.lstrip()) + 2)
        for part in textwrap.wrap(
            line.text, max(width, 40), subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
        ):
            yield Line(part, line.markup)


def _table(results: Sequence[GateResult], width: int) -> Iterator[Line]:
    rows = [_cells(result) for result in results]
    columns = [name for name in _COLUMNS if name in _LEFT or any(row[name] for row in rows)]
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in columns}
    if sum(widths.values()) + len(_GAP) * (len(columns) - 1) <= width:
        yield Line(_row({name: name for name in columns}, columns, widths), {"bold": True})
        for row in rows:
            yield Line(_row(row, columns, widths), _COLOURS.get(row["verdict"], {}))
        return
    yield from _grouped(rows, [name for name in columns if name != "skill"], widths, width)


def _grouped(
    rows: Sequence[Mapping[str, str]], columns: list[str], widths: Mapping[str, int], width: int
) -> Iterator[Line]:
    # Too narrow for a column of names: each skill's name gets a line of its own.
    for name in ("$/hit", "tokens/call"):
        if sum(widths[column] for column in columns) + len(_GAP) * len(columns) > width and name in columns:
            columns = [column for column in columns if column != name]
    yield Line(_GAP + _row({name: name for name in columns}, columns, widths), {"bold": True})
    last = None
    for row in rows:
        if row["skill"] != last:
            last = row["skill"]
            yield Line(last)
        yield Line(_GAP + _row(row, columns, widths), _COLOURS.get(row["verdict"], {}))


def _row(cells: Mapping[str, str], columns: Sequence[str], widths: Mapping[str, int]) -> str:
    parts = (
        cells[name].ljust(widths[name]) if name in _LEFT else cells[name].rjust(widths[name])
        for name in columns
    )
    return _GAP.join(parts).rstrip()


def _cells(result: GateResult) -> dict[str, str]:
    lift, counted_ = result.lift, result.tally
    rates = [rate for rate in (lift.without_rate, lift.with_rate) if rate is not None]
    without, with_ = (text.replace(" ", "") for text in percents(*rates)) if len(rates) == 2 else ("-", "-")  # noqa: PLR2004
    interval = lift.interval
    return {
        "skill": result.gate.suite.skill.name,
        "model": result.gate.model.name,
        "without": without,
        "with": with_,
        "lift": points(lift.lift) if lift.lift is not None else "-",
        "95% interval": f"{points(interval[0])} .. {points(interval[1])}" if interval else "",
        "tokens/call": _change(counted_.without_tokens, counted_.with_tokens),
        "$/hit": _per_hit(result),
        "verdict": _word(result),
    }


def _word(result: GateResult) -> str:
    if result.verdict is None:
        return "partial"
    if result.decision is not None and result.decision.word == "incomplete":
        return "incomplete"
    return "not settled" if result.verdict.word == "inconclusive" else result.verdict.word


def _change(without: float | None, with_: float | None) -> str:
    return "" if without is None or with_ is None else f"{without:.0f} -> {with_:.0f}"


def _per_hit(result: GateResult) -> str:
    cost, hits = result.tally.with_cost, result.lift.with_hits
    if cost is None:
        return ""
    return f"{cost / hits:.4f}" if hits else "no hit"


def _notes(results: Sequence[GateResult], down: Mapping[str, str]) -> Iterator[Line]:
    for result in results:
        place = f"{result.gate.suite.skill.name} on {result.gate.model.name}"
        for note in _row_notes(result):
            yield Line(f"{place}: {note}")
    for name, cause in down.items():
        yield Line(cause if cause.startswith(name) else f"{name}: {cause}", {"red": True})
    if any(result.gate.model.provider == "reader" for result in results):
        yield Line(READER_NOTE)


def _row_notes(result: GateResult) -> Iterator[str]:
    verdict, tally = result.verdict, result.tally
    if verdict is not None and verdict.word in ("inconclusive", "no effect"):
        yield verdict.phrase + _added_tokens(result)
    if tally.truncated:
        yield f"{counted(tally.truncated, 'reply')} cut off at max_tokens".replace("replys", "replies")
    if tally.repeated:
        yield f"{counted(len(tally.repeated), 'case')} got one reply in several runs, counted as one run"
    if tally.skips:
        reason, count = Counter(outcome.skip for _, outcome in tally.skips).most_common(1)[0]
        yield f"{counted(count, 'sample')} skipped: {reason}"


def _added_tokens(result: GateResult) -> str:
    tally = result.tally
    if tally.with_tokens is None or tally.without_tokens is None:
        return ""
    added = tally.with_tokens - tally.without_tokens
    return f"; adds {added:.0f} tokens a call" if added >= 1 else ""


def _case_health(results: Sequence[GateResult], outcomes: Mapping[Sample, Outcome]) -> Iterator[Line]:
    hits: dict[Suite, dict[str, list[bool]]] = {}
    for result in results:
        if result.verdict is not None:
            for sample in result.gate.samples:
                outcome = outcomes.get(sample)
                if outcome is not None and outcome.measured:
                    hits.setdefault(result.gate.suite, {}).setdefault(sample.case.id, []).append(outcome.hit)
    for suite, cases in hits.items():
        never = [case for case, seen in cases.items() if not any(seen)]
        always = [case for case, seen in cases.items() if all(seen)]
        if never:
            yield Line(f"{suite.skill.name}: never hit, in no arm: {_some(never)}")
        if always:
            yield Line(f"{suite.skill.name}: hit by all, with and without the skill: {_some(always)}")


def _some(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


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
    inside = ", ".join(f"{count} {word}" for word, count in doubts.items())
    parts = [f"{len(passed)} passed" + (f" ({inside})" if inside else "")]
    parts += [f"{count} {word}" for word, count in sorted(words.items())]
    yield Line("gates: " + ", ".join(parts), {"red": True} if words else {"green": True})


def _case_lines(results: Sequence[GateResult], outcomes: Mapping[Sample, Outcome]) -> Iterator[Line]:
    for result in results:
        gate = result.gate
        yield Line(f"{gate.suite.skill.name} on {gate.model.name}, without and with the skill:")
        longest = max(len(sample.case.id) for sample in gate.samples)
        for case, (without, with_) in _marks(gate, outcomes).items():
            yield Line(f"  {case.ljust(longest)}  {without:>4}  {with_:>4}")


def _marks(gate: Gate, outcomes: Mapping[Sample, Outcome]) -> dict[str, list[str]]:
    marks: dict[str, list[str]] = {}
    for sample in gate.samples:
        row = marks.setdefault(sample.case.id, ["", ""])
        row[sample.arm == WITH] += _mark(outcomes.get(sample))
    return marks


def _mark(outcome: Outcome | None) -> str:
    if outcome is None:
        return "."
    if outcome.skip is not None:
        return "s"
    return "E" if outcome.error is not None else "+" if outcome.hit else "-"
