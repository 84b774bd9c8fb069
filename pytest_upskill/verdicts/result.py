"""What is said of a skill on a model: its counts, its lift, the verdict and the gate's decision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pytest_upskill.suite.matrix import Gate, Sample
from pytest_upskill.types import Outcome
from pytest_upskill.verdicts.change import Comparison, Question
from pytest_upskill.verdicts.gate import Change, GateDecision, GateRules, decide
from pytest_upskill.verdicts.stopping import claim_confidence
from pytest_upskill.verdicts.stratified import Stratum
from pytest_upskill.verdicts.tally import Tally, tally
from pytest_upskill.verdicts.verdict import CaseCount, Lift, Verdict, judge, measure


@dataclass(frozen=True, slots=True)
class GateResult:
    """A gate with what was measured for it.

    `verdict` and `decision` are None where the gate was not selected: its samples are then only a part.
    """

    gate: Gate
    rules: GateRules
    tally: Tally
    lift: Lift
    verdict: Verdict | None
    decision: GateDecision | None
    change: Change = field(default_factory=Change)


def evaluate(
    gate: Gate,
    outcomes: Mapping[Sample, Outcome],
    rules: GateRules,
    *,
    deterministic: bool,
    change: Change | None,
    settled: Tally | None = None,
) -> GateResult:
    """Judge a gate from the outcomes of its samples, or only count them if it was not selected.

    Args:
        gate: which.
        outcomes: what became of samples.
        rules: what the gate asks for.
        deterministic: the model has no noise.
        change: what the comparisons of the run say of it; None where it was not selected.
        settled: what the gate is judged on, where that is less than was measured: `auto` may go on for the lift alone.
    """
    counted = tally(gate, outcomes)
    confidence = claim_confidence(gate.runs) if gate.auto else 0.95
    lift = measure(counted.counts, deterministic=deterministic, confidence=confidence)
    if change is None:
        return GateResult(gate, rules, counted, lift, None, None)
    verdict = judge(lift, rules.equivalence)
    judged, on = lift, verdict
    if settled is not None and settled.rounds != counted.rounds:
        judged = measure(settled.counts, deterministic=deterministic, confidence=confidence)
        on = judge(judged, rules.equivalence)
    decision = decide(judged, on, rules, change, incomplete=_incomplete(counted))
    return GateResult(gate, rules, counted, lift, verdict, decision, change)


def comparison(counts: Sequence[CaseCount], question: Question, rules: GateRules) -> Comparison:
    """Return what one question of a gate is tested on, from its whole rounds."""
    old = question == "regressed"
    strata = tuple(
        Stratum(
            count.case,
            count.old_hits if old else count.without_hits,
            count.old_runs if old else count.without_runs,
            count.with_hits,
            count.with_runs,
        )
        for count in counts
    )
    return Comparison(question, strata, rules.min_drop)


def failed_for(result: GateResult, reason: str) -> GateResult:
    """Return the result with its gate failed for a reason from outside of it; a gate that is off still passes."""
    decision = result.decision
    if decision is None:
        return result
    reasons = (reason, *decision.reasons)
    if not decision.passed:
        return replace(result, decision=replace(decision, reasons=reasons))
    passed = result.rules.mode == "off"
    return replace(result, decision=replace(decision, passed=passed, word="failed", reasons=reasons))


def _incomplete(counted: Tally) -> str | None:
    if counted.complete:
        return None
    causes = Counter(outcome.short or outcome.error for _, outcome in counted.errors)
    missing = len(counted.errors) + counted.pending
    text = f"{missing} samples were not measured" if missing != 1 else "1 sample was not measured"
    if causes:
        cause, count = causes.most_common(1)[0]
        text += f": {cause}" + (f" ({count} of them)" if count < missing else "")
    return text
