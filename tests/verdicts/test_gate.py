from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.verdicts.gate import GateDecision, GateRules, decide
from pytest_upskill.verdicts.verdict import CaseCount, Lift, judge, measure
from tests.judged import alone

RULES = GateRules()


def pooled(with_hits: int, without_hits: int, n: int, *, deterministic: bool = False) -> Lift:
    """Return the lift of one case with n runs."""
    return measure([CaseCount("a", with_hits, n, without_hits, n)], deterministic=deterministic)


def gate(lift: Lift, rules: GateRules = RULES, incomplete: str | None = None) -> GateDecision:
    count = CaseCount("a", lift.with_hits, lift.with_n, lift.without_hits, lift.without_n)
    change = alone([count], rules, deterministic=lift.deterministic)
    return decide(lift, judge(lift, rules.equivalence), rules, change, incomplete=incomplete)


def test_a_skill_that_meets_its_target_and_helps_passes_without_reasons() -> None:
    assert gate(pooled(18, 5, 20)) == GateDecision(True, "passed", ())


def test_a_rate_that_is_proven_to_be_below_its_target_fails() -> None:
    assert gate(pooled(9, 0, 20)) == GateDecision(
        False,
        "failed",
        (
            "min_pass_rate: 9/20 with the skill is 45 %, and even its upper bound of 65 % (one-sided 95 %) "
            "is below the target of 80 %.",
        ),
    )


def test_a_rate_that_is_not_proven_to_be_below_its_target_is_inconclusive() -> None:
    assert gate(pooled(9, 2, 12)) == GateDecision(
        True,
        "inconclusive",
        (
            "min_pass_rate: below target, not proven (9/12): 75 % with the skill, upper bound 93 % "
            "(one-sided 95 %), target 80 %.",
        ),
    )


def test_a_single_miss_proves_nothing_but_where_the_target_is_perfection() -> None:
    assert gate(pooled(0, 0, 1)).word == "inconclusive"
    assert gate(pooled(0, 0, 1), GateRules(min_pass_rate=Fraction(1))).word == "failed"


def test_exactly_the_target_is_not_below_it() -> None:
    assert gate(pooled(16, 4, 20)).word == "passed"


def test_a_lift_that_is_proven_to_be_below_its_target_fails() -> None:
    rules = GateRules(min_pass_rate=None, min_lift=Fraction(1, 2))
    decision = gate(pooled(12, 9, 20), rules)
    assert (decision.passed, decision.word) == (False, "failed")
    assert decision.reasons[0] == (
        "min_lift: the lift is +15 points (9/20 -> 12/20), and even the upper end of its "
        "95 % interval, +43, is below the target of +50."
    )


def test_a_lift_that_is_not_proven_to_be_below_its_target_is_inconclusive() -> None:
    decision = gate(pooled(18, 12, 20), GateRules(min_lift=Fraction(2, 5)))
    assert decision == GateDecision(
        True,
        "inconclusive",
        (
            "min_lift: below target, not proven (12/20 -> 18/20): +30 points, 95 % interval "
            "up to +53, target +40.",
        ),
    )


def test_a_skill_that_hurts_fails_whatever_else_is_asked() -> None:
    decision = gate(pooled(9, 16, 20), GateRules(min_pass_rate=None))
    assert decision == GateDecision(
        False,
        "failed",
        (
            "Hurts: 16/20 -> 9/20 hits, without the skill -> with it, on the same cases (p = 0.018, exact stratified "
            "test); most changed: a 16/20 -> 9/20.",
        ),
    )


def test_a_lift_that_is_not_settled_is_inconclusive() -> None:
    decision = gate(pooled(19, 19, 20))
    assert (decision.passed, decision.word) == (True, "inconclusive")
    assert decision.reasons == (f"The lift is {judge(pooled(19, 19, 20)).phrase}.",)


def test_a_lift_that_is_open_upwards_alone_passes() -> None:
    lift = pooled(18, 13, 20)
    assert judge(lift).word == "inconclusive"
    assert gate(lift, GateRules(on_inconclusive="fail")).word == "passed"


def test_no_effect_passes() -> None:
    assert gate(pooled(190, 190, 200), GateRules(on_inconclusive="fail")) == GateDecision(True, "passed", ())


def test_inconclusive_fails_where_that_is_asked() -> None:
    rules = GateRules(on_inconclusive="fail")
    assert (gate(pooled(9, 2, 12), rules).passed, gate(pooled(9, 2, 12), rules).word) == (
        False,
        "inconclusive",
    )


def test_failures_stand_before_doubts() -> None:
    decision = gate(pooled(9, 8, 20), GateRules(min_lift=Fraction(1, 10)))
    assert [reason.split(":")[0] for reason in decision.reasons] == [
        "min_pass_rate",
        "min_lift",
        "The lift is not settled",
    ]


@pytest.mark.parametrize("lift", [pooled(20, 0, 20), measure([], deterministic=False)])
def test_incomplete_is_a_failure_with_its_own_word(lift: Lift) -> None:
    decision = gate(lift, incomplete="2 of 40 samples timed out")
    assert decision == GateDecision(False, "incomplete", ("Incomplete: 2 of 40 samples timed out.",))


def test_incomplete_still_says_what_is_proven() -> None:
    decision = gate(pooled(0, 0, 20), incomplete="2 of 40 samples timed out.")
    assert decision.word == "incomplete"
    assert decision.reasons[0] == "Incomplete: 2 of 40 samples timed out."
    assert decision.reasons[1].startswith("min_pass_rate: 0/20")


@pytest.mark.parametrize("mode", ["judge", "strict", "off"])
def test_nothing_measured_passes_with_its_own_word(mode: Literal["judge", "strict", "off"]) -> None:
    rules = GateRules(mode=mode, min_lift=Fraction(1, 10), on_inconclusive="fail")
    decision = gate(measure([], deterministic=False), rules)
    assert (decision.passed, decision.word) == (True, "not measured")


@pytest.mark.parametrize(
    ("with_hits", "rules", "reason"),
    [
        (3, GateRules(), "min_pass_rate: 3/4 with the skill, 75 %, is below the target of 80 %."),
        (
            4,
            GateRules(min_lift=Fraction(3, 10)),
            "min_lift: +25 points (3/4 -> 4/4) is below the target of +30.",
        ),
        (2, GateRules(min_pass_rate=None), "The skill hurts: 75 % -> 50 % (-25 points, exact)."),
    ],
)
def test_a_deterministic_skill_is_compared_exactly(with_hits: int, rules: GateRules, reason: str) -> None:
    decision = gate(pooled(with_hits, 3, 4, deterministic=True), rules)
    assert decision == GateDecision(False, "failed", (reason,))


def test_a_deterministic_skill_that_meets_its_targets_exactly_passes() -> None:
    rules = GateRules(min_pass_rate=Fraction(3, 4), min_lift=Fraction(1, 4), on_inconclusive="fail")
    assert gate(pooled(3, 2, 4, deterministic=True), rules).word == "passed"


def test_strict_fails_on_any_miss_with_the_skill() -> None:
    decision = gate(pooled(19, 2, 20), GateRules(mode="strict"))
    assert decision == GateDecision(False, "failed", ("strict: 1 of 20 samples with the skill missed.",))
    assert gate(pooled(20, 2, 20), GateRules(mode="strict")).passed


@pytest.mark.parametrize("incomplete", [None, "1 sample has no key"])
def test_off_never_fails_and_says_what_it_would_have_said(incomplete: str | None) -> None:
    lift = pooled(9, 16, 20)
    judged, off = gate(lift, RULES, incomplete), gate(lift, GateRules(mode="off"), incomplete)
    assert not judged.passed
    assert off == replace(judged, passed=True)


def test_a_bound_just_below_its_target_is_not_printed_as_the_target() -> None:
    decision = gate(pooled(9, 0, 20), GateRules(min_pass_rate=Fraction(6531, 10_000)))
    assert "upper bound of 65.307 % (one-sided 95 %) is below the target of 65.31 %" in decision.reasons[0]


rules_of = st.builds(
    GateRules,
    min_pass_rate=st.none() | st.fractions(0, 1, max_denominator=20),
    min_lift=st.none() | st.fractions(-1, 1, max_denominator=20),
    on_inconclusive=st.sampled_from(["pass", "fail"]),
    equivalence=st.sampled_from([Fraction(1, 20), Fraction(1, 10), Fraction(3, 10)]),
    mode=st.sampled_from(["judge", "strict", "off"]),
)


@settings(deadline=None, max_examples=300)
@given(st.integers(1, 150), rules_of, st.booleans(), st.data())
def test_one_more_hit_with_the_skill_never_turns_a_pass_into_a_failure(
    n: int, rules: GateRules, deterministic: bool, data: st.DataObject
) -> None:
    x, y = data.draw(st.integers(0, n - 1)), data.draw(st.integers(0, n))
    before = gate(pooled(x, y, n, deterministic=deterministic), rules)
    after = gate(pooled(x + 1, y, n, deterministic=deterministic), rules)
    order = ["failed", "inconclusive", "passed"]
    assert after.passed or not before.passed
    assert order.index(after.word) >= order.index(before.word)


@pytest.mark.parametrize("equivalence", [Fraction(1, 20), Fraction(1, 10)])
def test_no_row_of_counts_at_200_samples_turns_from_pass_to_failure(equivalence: Fraction) -> None:
    rules = GateRules(min_pass_rate=None, on_inconclusive="fail", equivalence=equivalence)
    for without in (0, 100, 190, 200):
        passed = [gate(pooled(hits, without, 200), rules).passed for hits in range(201)]
        assert passed == sorted(passed)


@settings(deadline=None)
@given(st.integers(1, 100), rules_of, st.data())
def test_every_word_but_passed_has_a_reason(n: int, rules: GateRules, data: st.DataObject) -> None:
    decision = gate(pooled(data.draw(st.integers(0, n)), data.draw(st.integers(0, n)), n), rules)
    assert (decision.word == "passed") == (not decision.reasons)
    assert all(reason.endswith(".") for reason in decision.reasons)
