"""The text of a gate that failed: which rule, and what the model said around each miss."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping

from pytest_upskill.reports.plan import counted
from pytest_upskill.suite.matrix import Sample
from pytest_upskill.suite.text import shown
from pytest_upskill.types import WITH, Outcome
from pytest_upskill.verdicts.result import GateResult

_MOST_MISSES = 10
_MOST_LINES = 8
_MOST_COLUMNS = 100
_WIDTH = 80


def failure(
    result: GateResult, outcomes: Mapping[Sample, Outcome], down: Mapping[str, str], *, verbose: bool = False
) -> str:
    """Return the whole text of a failed gate.

    Args:
        result: the gate; its decision must have been made.
        outcomes: of the gate's samples.
        down: why models could not be called at all, by their names.
        verbose: show every miss and the whole of each reply.
    """
    gate = result.gate
    word = result.decision.word if result.decision else "failed"
    lines = [f"{gate.suite.skill.name} on {gate.model.name}: gate {word}"]
    said = [*(result.decision.reasons if result.decision else ())]
    if gate.model.name in down:
        said.append(down[gate.model.name])
    if result.verdict is not None and not any(result.verdict.phrase in reason for reason in said):
        said.append(result.verdict.phrase)
    lines += [line for text in said for line in _wrapped(text)]
    misses = [s for s in gate.samples if s.arm == WITH and s in outcomes and _missed(outcomes[s])]
    most = len(misses) if verbose else _MOST_MISSES
    for sample in misses[:most]:
        lines += ["", *_miss(sample, outcomes[sample], verbose=verbose)]
    if len(misses) > most:
        lines += [
            "",
            f"  and {counted(len(misses) - most, 'more miss').replace('misss', 'misses')}: -v shows all",
        ]
    if misses:
        lines += ["", f"  cases: {shown(gate.suite.first.path)}"]
    return "\n".join(lines)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False, break_long_words=False
    )


def _missed(outcome: Outcome) -> bool:
    return outcome.measured and not outcome.hit


def _miss(sample: Sample, outcome: Outcome, *, verbose: bool) -> Iterator[str]:
    yield f"  MISS {sample.id}"
    for score in outcome.scores:
        if not score.hit:
            yield f"    expected: {score.expected}"
            yield f"    evidence: {score.evidence}"
    reply = outcome.reply
    if reply is None:
        return
    if reply.truncated:
        yield "    the reply was cut off at its max_tokens"
    yield "    the model said:"
    text = reply.text.strip().splitlines() or ["(nothing)"]
    for line in text if verbose else text[:_MOST_LINES]:
        yield f"      | {line if verbose or len(line) <= _MOST_COLUMNS else line[: _MOST_COLUMNS - 3] + '...'}".rstrip()
    if not verbose and len(text) > _MOST_LINES:
        yield f"      | ({counted(len(text) - _MOST_LINES, 'more line')}: -v shows all)"
