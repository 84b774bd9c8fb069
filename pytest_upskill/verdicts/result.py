"""What is said of a skill on a model: its counts, its lift, the verdict and the gate's decision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pytest_upskill.suite.matrix import Gate, Sample
from pytest_upskill.types import Outcome
from pytest_upskill.verdicts.gate import GateDecision, GateRules, decide
from pytest_upskill.verdicts.tally import Tally, tally
from pytest_upskill.verdicts.verdict import Lift, Verdict, judge, measure


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


def evaluate(
    gate: Gate,
    outcomes: Mapping[Sample, Outcome],
    rules: GateRules,
    *,
    deterministic: bool,
    selected: bool = True,
) -> GateResult:
    """Judge a gate from the outcomes of its samples, or only count them if it was not selected."""
    counted = tally(gate, outcomes)
    lift = measure(counted.counts, deterministic=deterministic)
    if not selected:
        return GateResult(gate, rules, counted, lift, None, None)
    verdict = judge(lift, rules.equivalence)
    decision = decide(lift, verdict, rules, incomplete=_incomplete(counted))
    return GateResult(gate, rules, counted, lift, verdict, decision)


def failed_by_plugin(result: GateResult, reason: str) -> GateResult:
    """Return the result with its gate failed for a reason that a plugin gave; a gate that is off still passes."""
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
