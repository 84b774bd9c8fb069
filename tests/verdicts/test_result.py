"""A gate's result: judged when it was selected, only counted when not, and failed where a plugin says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import pytest

from pytest_upskill.suite.matrix import Gate, Sample
from pytest_upskill.types import Outcome, Reply, Score
from pytest_upskill.verdicts.gate import GateDecision, GateRules
from pytest_upskill.verdicts.result import GateResult, failed_for
from tests.calls.fakes import case, gate, suite
from tests.judged import evaluate

RULES = GateRules()
REASON = "the skill is too dear"


def ten_cases() -> Gate:
    return gate(suite(*(case(f"case-{n}") for n in range(10))))


def helpful(of: Gate) -> dict[Sample, Outcome]:
    """Return outcomes that hit with the skill and miss without."""
    return {s: Outcome(Reply(s.id), (Score(s.arm == "with_skill"),)) for s in of.samples}


def judged(outcomes: Mapping[Sample, Outcome], of: Gate, rules: GateRules = RULES) -> GateResult:
    return evaluate(of, outcomes, rules, deterministic=False)


def decision(result: GateResult) -> GateDecision:
    assert result.decision is not None
    return result.decision


def first_reason(errors: Sequence[str | Outcome], pending: int = 0) -> str:
    of = ten_cases()
    outcomes = helpful(of)
    for sample, error in zip(list(outcomes), errors, strict=False):
        outcomes[sample] = Outcome(error=error) if isinstance(error, str) else error
    for sample in list(outcomes)[len(errors) : len(errors) + pending]:
        del outcomes[sample]
    found = decision(judged(outcomes, of))
    assert (found.passed, found.word) == (False, "incomplete")
    return found.reasons[0]


def test_a_gate_that_was_selected_is_judged() -> None:
    of = ten_cases()
    result = judged(helpful(of), of)
    assert result.verdict is not None
    assert result.verdict.word == "helps"
    assert (decision(result).passed, decision(result).word) == (True, "passed")
    assert (result.lift.with_hits, result.lift.with_n, result.lift.without_hits) == (10, 10, 0)


def test_a_gate_that_was_not_selected_is_counted_and_not_judged() -> None:
    of = ten_cases()
    outcomes = dict(list(helpful(of).items())[:6])
    result = evaluate(of, outcomes, RULES, deterministic=False, selected=False)
    assert (result.verdict, result.decision) == (None, None)
    assert (result.lift.with_n, result.tally.pending) == (3, 14)


def test_a_deterministic_model_is_judged_without_an_interval() -> None:
    of = ten_cases()
    result = evaluate(of, helpful(of), RULES, deterministic=True)
    assert result.lift.interval is None
    assert result.verdict is not None
    assert result.verdict.phrase.endswith("exact)")


def test_what_was_not_measured_is_counted_in_words() -> None:
    assert first_reason(["no key"]) == "Incomplete: 1 sample was not measured: no key."
    assert first_reason(["no key"] * 3) == "Incomplete: 3 samples were not measured: no key."
    assert first_reason(["a", "b", "b"]) == "Incomplete: 3 samples were not measured: b (2 of them)."
    assert (
        first_reason(["no key"], pending=2) == "Incomplete: 3 samples were not measured: no key (1 of them)."
    )
    whole = Outcome(error="haiku answered 400: too hot", short="bad request")
    assert first_reason([whole, Outcome(error="bad request", short="bad request")]) == (
        "Incomplete: 2 samples were not measured: bad request."
    )
    assert first_reason([], pending=2) == "Incomplete: 2 samples were not measured."
    assert first_reason(["It is late."]) == "Incomplete: 1 sample was not measured: It is late."


def test_what_is_skipped_makes_no_gate_incomplete() -> None:
    of = ten_cases()
    outcomes = {s: Outcome(skip="no GPU") for s in of.samples}
    assert decision(judged(outcomes, of)).word == "not measured"
    assert decision(judged(outcomes, of)).passed


def test_a_plugin_fails_a_gate_that_would_pass() -> None:
    of = ten_cases()
    found = decision(failed_for(judged(helpful(of), of), REASON))
    assert (found.passed, found.word, found.reasons) == (False, "failed", (REASON,))


def test_a_plugin_adds_its_reason_to_a_gate_that_fails_already() -> None:
    of = ten_cases()
    before = decision(judged({}, of))
    after = decision(failed_for(judged({}, of), REASON))
    assert (after.passed, after.word, after.reasons) == (False, "incomplete", (REASON, *before.reasons))


@pytest.mark.parametrize("measured", [True, False])
def test_a_gate_that_is_off_never_fails_not_even_for_a_plugin(measured: bool) -> None:
    of = ten_cases()
    outcomes = helpful(of) if measured else {}
    found = decision(failed_for(judged(outcomes, of, GateRules(mode="off")), REASON))
    assert (found.passed, found.word, found.reasons[0]) == (True, "failed", REASON)


def test_a_plugin_has_no_say_over_a_gate_that_was_not_selected() -> None:
    of = ten_cases()
    result = evaluate(of, {}, RULES, deterministic=False, selected=False)
    assert failed_for(result, REASON) == result


def test_the_rules_of_a_gate_are_those_that_it_is_judged_by() -> None:
    of = ten_cases()
    high = GateRules(min_lift=Fraction(1), min_pass_rate=None)
    assert decision(judged(helpful(of), of, high)).word == "passed"
    outcomes = {s: Outcome(Reply(s.id), (Score(True),)) for s in of.samples}
    assert decision(judged(outcomes, of, high)).word == "failed"
