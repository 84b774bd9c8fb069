"""The text of a gate that failed: which rule, and what the model said around each miss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pytest_upskill.errors import one_line
from pytest_upskill.reports.words import counted, folded, quoted_line, wrapped
from pytest_upskill.suite.matrix import Sample
from pytest_upskill.suite.text import shown
from pytest_upskill.types import WITH, Outcome, Reply
from pytest_upskill.verdicts.result import GateResult

_MOST_MISSES = 10
_MOST_LINES = 8
_MOST_SENTENCES = 3
_MOST_COLUMNS = 100
_WIDTH = 80


def failure(
    result: GateResult,
    outcomes: Mapping[Sample, Outcome],
    down: Mapping[str, str],
    *,
    look: str = "",
    verbose: bool = False,
) -> str:
    """Return the whole text of a failed gate.

    Args:
        result: the gate; its decision must have been made.
        outcomes: of the gate's samples.
        down: why models could not be called at all, by their names.
        look: the command that shows the replies, whole.
        verbose: show every miss and the whole of each reply.
    """
    gate = result.gate
    word = result.decision.word if result.decision else "failed"
    lines = [one_line(f"{gate.suite.skill.name} on {gate.model.name}: gate {word}")]
    for text in _said(result, outcomes, down):
        lines += wrapped(folded(text), _WIDTH, "  ", "    ")
    misses = [s for s in gate.samples if s.arm == WITH and s in outcomes and _missed(outcomes[s])]
    most = len(misses) if verbose else _MOST_MISSES
    for sample in misses[:most]:
        lines += ["", *_miss(sample, outcomes[sample], verbose=verbose)]
    if len(misses) > most:
        lines += ["", f"  and {counted(len(misses) - most, 'more miss', 'more misses')}: -v shows all"]
    if misses:
        lines += ["", f"  cases: {', '.join(_files(misses))}"]
        if look and not verbose:
            lines.append(f"  look: {look}")
    return "\n".join(lines)


def _said(result: GateResult, outcomes: Mapping[Sample, Outcome], down: Mapping[str, str]) -> Iterator[str]:
    reasons = result.decision.reasons if result.decision else ()
    yield from reasons
    cause = down.get(result.gate.model.name)
    if cause is not None:
        yield cause
    # The reasons name causes in a few words; whoever selected the gate alone reads the sentences nowhere else.
    told = (*reasons, *([cause] if cause else ()))
    sentences = [sentence for sentence in _sentences(result.gate.samples, outcomes) if sentence not in told]
    yield from sentences[:_MOST_SENTENCES]
    verdict = result.verdict
    if verdict is not None and not any(verdict.phrase in reason for reason in reasons):
        yield verdict.phrase


def _sentences(samples: Sequence[Sample], outcomes: Mapping[Sample, Outcome]) -> list[str]:
    """Return what errors say beyond their few words, each once."""
    known = (outcomes[sample] for sample in samples if sample in outcomes)
    return list(
        dict.fromkeys(each.error for each in known if each.error and each.short not in {None, each.error})
    )


def _files(misses: Sequence[Sample]) -> list[str]:
    cases = {sample.case for sample in misses}
    return [one_line(shown(file.path)) for file in misses[0].suite.files if not cases.isdisjoint(file.cases)]


def _missed(outcome: Outcome) -> bool:
    return outcome.measured and not outcome.hit


def _miss(sample: Sample, outcome: Outcome, *, verbose: bool) -> Iterator[str]:
    yield f"  MISS {sample.id}"
    for score in outcome.scores:
        if not score.hit:
            yield f"    expected: {folded(score.expected)}"
            yield f"    evidence: {folded(score.evidence)}"
    if outcome.reply is not None:
        if outcome.reply.truncated:
            yield "    the reply was cut off at its max_tokens"
        yield "    the model said:"
        yield from (f"      | {line}".rstrip() for line in _quotation(outcome.reply, verbose=verbose))


def _quotation(reply: Reply, *, verbose: bool) -> Iterator[str]:
    lines = reply.text.splitlines()
    while lines and not lines[0].strip():
        del lines[0]
    while lines and not lines[-1].strip():
        del lines[-1]
    if not lines:
        yield "(nothing)"
    elif verbose:
        yield from (quoted_line(line) for line in lines)
    else:
        yield from (quoted_line(line, _MOST_COLUMNS) for line in lines[:_MOST_LINES])
        if len(lines) > _MOST_LINES:
            yield f"({counted(len(lines) - _MOST_LINES, 'more line')}: -v shows all)"
