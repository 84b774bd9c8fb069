"""What a case shows by its counts, and what the models of a skill say of it together."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pytest_upskill.suite.matrix import Suite
from pytest_upskill.types import Outcome, Reply, Score
from pytest_upskill.verdicts.cases import CaseWord, Health, health, listed, strict_reasons, words
from pytest_upskill.verdicts.gate import GateRules
from pytest_upskill.verdicts.result import GateResult
from pytest_upskill.verdicts.verdict import CaseCount
from tests.calls.fakes import MODEL, case, gate, suite
from tests.judged import evaluate

ERROR, SKIP = Outcome(error="the server answered 500"), Outcome(skip="no GPU")


def count(with_: int, without: int, runs: int, old: int = 0, old_runs: int = 0) -> CaseCount:
    return CaseCount("a", with_, runs, without, runs, old, old_runs)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (count(3, 0, 3), ("wins",)),
        (count(0, 3, 3), ("loses",)),
        (count(0, 0, 3), ("never hit",)),
        (count(3, 3, 3), ("always hit",)),
        (count(2, 0, 3), ("flaky",)),
        (count(3, 1, 3), ("flaky",)),
        (count(5, 1, 5), ("wins", "flaky")),
        (count(0, 4, 5), ("loses", "flaky")),
        (count(5, 2, 5), ("flaky",)),
        (count(1, 0, 1), ("wins",)),
        (count(0, 0, 0), ()),
    ],
)
def test_what_a_case_shows(counts: CaseCount, expected: tuple[CaseWord, ...]) -> None:
    assert words(counts) == expected


def test_the_old_skill_has_a_say_in_what_is_never_and_always_hit_and_in_what_is_flaky() -> None:
    assert words(count(0, 0, 3, 0, 3)) == ("never hit",)
    assert words(count(0, 0, 3, 3, 3)) == ()
    assert words(count(3, 3, 3, 3, 3)) == ("always hit",)
    assert words(count(3, 3, 3, 0, 3)) == ()
    assert words(count(3, 0, 3, 1, 3)) == ("wins", "flaky")


COUNTS = st.integers(1, 12).flatmap(
    lambda runs: st.builds(count, st.integers(0, runs), st.integers(0, runs), st.just(runs))
)


@settings(deadline=None)
@given(COUNTS)
def test_every_case_shows_something_and_to_swap_the_arms_swaps_wins_and_losses(found: CaseCount) -> None:
    swapped = count(found.without_hits, found.with_hits, found.with_runs)
    turned = {"wins": "loses", "loses": "wins"}
    assert words(found)
    assert [turned.get(word, word) for word in words(found)] == list(words(swapped))


@settings(deadline=None)
@given(COUNTS)
def test_a_win_is_all_against_none_or_what_the_exact_test_of_scipy_calls_one(found: CaseCount) -> None:
    hits, other, runs = found.with_hits, found.without_hits, found.with_runs
    p = float(stats.hypergeom.sf(hits - 1, 2 * runs, hits + other, runs))
    assert ("wins" in words(found)) == ((hits, other) == (runs, 0) or (hits > other and p <= 0.05 + 1e-12))


@settings(deadline=None)
@given(COUNTS)
def test_one_more_hit_with_the_skill_never_takes_a_win_away(found: CaseCount) -> None:
    if found.with_hits < found.with_runs and "wins" in words(found):
        assert "wins" in words(replace(found, with_hits=found.with_hits + 1))


@pytest.mark.parametrize(("runs", "most"), [(1, 0.25), (2, 0.0625), (3, 1 / 64), (4, 0.05), (10, 0.05)])
def test_a_case_without_a_difference_is_seldom_called_a_win(runs: int, most: float) -> None:
    wins = [(a, b) for a in range(runs + 1) for b in range(runs + 1) if "wins" in words(count(a, b, runs))]
    for percent in range(1, 100):
        rate = Fraction(percent, 100)
        mass = [comb(runs, k) * rate**k * (1 - rate) ** (runs - k) for k in range(runs + 1)]
        assert sum(mass[a] * mass[b] for a, b in wins) <= most


# Over the models of a skill.


def three_cases() -> Suite:
    return suite(case("a"), case("b"), case("c"))


def result(of: Suite, model: str, *hits: str, selected: bool = True, **instead: Outcome) -> GateResult:
    """Return what a model makes of the cases; `hits` are `a` for both arms, or `a+` with the skill alone."""
    found = gate(of, replace(MODEL, name=model))
    outcomes = {
        sample: instead.get(sample.case.id)
        or Outcome(
            Reply(sample.id),
            (Score(sample.case.id in hits or (sample.arm == "with_skill" and f"{sample.case.id}+" in hits)),),
        )
        for sample in found.samples
        if sample.case.id not in instead or instead[sample.case.id] != Outcome()
    }
    return evaluate(found, outcomes, GateRules(), deterministic=False, selected=selected)


def test_dead_is_what_no_model_hits_and_idle_what_every_model_hits_in_both_arms() -> None:
    of = three_cases()
    assert health([result(of, "m", "a", "b+")]) == Health(dead=("c",), idle=("a",))
    assert health([result(of, "m", "a", "b+"), result(of, "n", "a+", "c+")]) == Health((), ())
    assert health([result(of, "m", "a"), result(of, "n", "a", "b")]) == Health(("c",), ("a",))
    assert health([]) == Health((), ())


@pytest.mark.parametrize("instead", [ERROR, Outcome()], ids=["error", "pending"])
def test_a_case_that_one_model_has_not_measured_whole_is_neither(instead: Outcome) -> None:
    of = three_cases()
    found = [result(of, "m", "a"), result(of, "n", "b", a=instead, c=instead)]
    assert health(found) == Health((), ())


def test_a_model_that_skips_a_case_or_measured_nothing_leaves_it_to_the_others() -> None:
    of = three_cases()
    assert health([result(of, "m", "a"), result(of, "n", "b", a=SKIP, c=SKIP)]) == Health(("c",), ("a",))
    lost = result(of, "n", a=ERROR, b=ERROR, c=ERROR)
    assert health([result(of, "m", "a"), lost]) == Health(("b", "c"), ("a",))


def test_a_gate_that_was_not_selected_has_no_say() -> None:
    of = three_cases()
    assert health([result(of, "m", "a"), result(of, "n", "b", selected=False)]) == Health(("b", "c"), ("a",))


def test_strict_cases_name_what_is_dead_and_say_how_to_mend_it() -> None:
    of = suite(case("build-toml"), case("fused-layernorm"))
    assert strict_reasons([result(of, "m", "build-toml"), result(of, "n", "build-toml")]) == (
        "strict cases: fused-layernorm was never hit, with or without the skill, by any model: mend or remove it "
        "(its expectation may be wrong, or it is too hard)",
    )
    assert strict_reasons([result(three_cases(), "m", "b")]) == (
        "strict cases: a, c were never hit, with or without the skill, by any model: mend or remove them "
        "(what they expect may be wrong, or they are too hard)",
    )


def test_strict_cases_have_nothing_against_a_case_that_is_always_hit() -> None:
    assert strict_reasons([result(three_cases(), "m", "a", "b", "c")]) == ()


def test_strict_cases_are_silent_while_a_gate_of_the_skill_was_not_measured() -> None:
    of = three_cases()
    lost = result(of, "n", a=ERROR, b=ERROR, c=ERROR)
    skipped = result(of, "n", a=SKIP, b=SKIP, c=SKIP)
    assert strict_reasons([result(of, "m", "a"), lost]) == ()
    assert len(strict_reasons([result(of, "m", "a"), skipped])) == 1
    assert strict_reasons([skipped]) == ()


def test_strict_cases_of_many_names_are_cut() -> None:
    of = suite(*(case(f"case-{n}") for n in range(1, 31)))
    (reason,) = strict_reasons([result(of, "m")])
    assert "case-20 and 10 more were never hit" in reason


def test_a_list_of_names_tells_how_many_it_leaves_out() -> None:
    assert listed("abcdef", 5) == "a, b, c, d, e and 1 more"
    assert listed("abcde", 5) == "a, b, c, d, e"
    assert listed("abcdef", None) == "a, b, c, d, e, f"
