"""Gates as a run judges them that has no other gate, and nothing to compare with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_upskill.suite.matrix import Gate, Sample
from pytest_upskill.types import Outcome
from pytest_upskill.verdicts import result
from pytest_upskill.verdicts.change import conclude
from pytest_upskill.verdicts.gate import Change, GateRules
from pytest_upskill.verdicts.result import GateResult, comparison
from pytest_upskill.verdicts.tally import tally
from pytest_upskill.verdicts.verdict import CaseCount


def alone(counts: Sequence[CaseCount], rules: GateRules, *, deterministic: bool = False) -> Change:
    """Return what such a run finds out about harm."""
    if deterministic:
        return Change()
    return Change(findings=(conclude({0: comparison(counts, "hurts", rules)})[0],))


def evaluate(
    gate: Gate,
    outcomes: Mapping[Sample, Outcome],
    rules: GateRules,
    *,
    deterministic: bool,
    selected: bool = True,
) -> GateResult:
    """Judge a gate, or only count its samples if it was not selected."""
    change = alone(tally(gate, outcomes).counts, rules, deterministic=deterministic) if selected else None
    return result.evaluate(gate, outcomes, rules, deterministic=deterministic, change=change)
