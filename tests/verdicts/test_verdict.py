from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.verdicts.intervals import cases_like_these, lift_interval
from pytest_upskill.verdicts.verdict import CaseCount, Lift, judge, measure


def pooled(with_hits: int, without_hits: int, n: int, *, deterministic: bool = False) -> Lift:
    """Return the lift of n cases with one run each."""
    cases = [CaseCount(f"case-{i}", int(i < with_hits), 1, int(i < without_hits), 1) for i in range(n)]
    return measure(cases, deterministic=deterministic)


def test_counts_are_pooled_over_cases_and_runs() -> None:
    lift = measure([CaseCount("a", 3, 3, 1, 3), CaseCount("b", 2, 3, 2, 3)], deterministic=False)
    assert (lift.with_hits, lift.with_n, lift.without_hits, lift.without_n, lift.cases) == (5, 6, 3, 6, 2)
    assert (lift.with_rate, lift.without_rate, lift.lift) == (Fraction(5, 6), Fraction(1, 2), Fraction(1, 3))
    assert lift.interval == lift_interval(5, 6, 3, 6)
    assert lift.interval90 == lift_interval(5, 6, 3, 6, confidence=0.90)
    assert lift.cases_interval == cases_like_these([2 / 3, 0.0])


def test_one_case_says_nothing_about_cases_like_these() -> None:
    assert measure([CaseCount("a", 9, 9, 0, 9)], deterministic=False).cases_interval is None


@pytest.mark.parametrize(("n", "few"), [(7, True), (8, False)])
def test_under_8_cases_are_few(n: int, few: bool) -> None:
    assert pooled(0, 0, n).few_cases is few


def test_a_case_without_runs_is_not_counted() -> None:
    lift = measure([CaseCount("a", 1, 1, 0, 1), CaseCount("b", 0, 0, 0, 0)], deterministic=False)
    assert (lift.cases, lift.with_n, lift.cases_interval) == (1, 1, None)


def test_rounds_that_are_not_complete_are_refused_with_the_name_of_the_case() -> None:
    with pytest.raises(ValueError, match="'b' has 3 runs with the skill and 2 without"):
        measure([CaseCount("a", 1, 1, 1, 1), CaseCount("b", 1, 3, 1, 2)], deterministic=False)


@pytest.mark.parametrize("case", [CaseCount("a", 2, 1, 0, 1), CaseCount("a", 0, 1, -1, 1)])
def test_hits_that_no_runs_can_have_are_refused(case: CaseCount) -> None:
    with pytest.raises(ValueError, match="case 'a' cannot have"):
        measure([case], deterministic=False)


def test_a_deterministic_lift_has_no_interval() -> None:
    lift = pooled(3, 1, 4, deterministic=True)
    assert (lift.interval, lift.interval90, lift.cases_interval) == (None, None, None)


@pytest.mark.parametrize(
    ("with_hits", "without_hits", "word", "phrase"),
    [
        (16, 9, "helps", "helps: 45 % -> 80 % (+35 points, between +5 and +59)"),
        (9, 16, "hurts", "hurts: 80 % -> 45 % (-35 points, between -59 and -5)"),
        (
            19,
            19,
            "inconclusive",
            "not settled: +0, between -19 and +19; 20 samples reliably show only lifts above 44 points",
        ),
    ],
)
def test_the_95_percent_interval_gives_the_verdict(
    with_hits: int, without_hits: int, word: str, phrase: str
) -> None:
    verdict = judge(pooled(with_hits, without_hits, 20))
    assert (verdict.word, verdict.phrase) == (word, phrase)


def test_a_90_percent_interval_inside_the_equivalence_is_no_effect() -> None:
    lift = pooled(100, 101, 200)
    verdict = judge(lift)
    assert verdict.word == "no effect"
    assert verdict.phrase == (
        "no effect beyond 10 points: 51 % -> 50 % (-1 point, 90 % sure between -9 and +8)"
    )
    assert judge(lift, equivalence=Fraction(1, 20)).word == "inconclusive"


def test_a_lift_that_is_shown_helps_even_where_it_is_within_the_equivalence() -> None:
    verdict = judge(pooled(1063, 1000, 2000))
    assert (verdict.word, verdict.phrase) == ("helps", "helps: 50 % -> 53 % (+3 points, between +0.1 and +6)")


def test_an_end_that_is_not_zero_is_not_printed_as_zero() -> None:
    assert judge(pooled(194, 200, 200)).phrase == "hurts: 100 % -> 97 % (-3 points, between -6 and -0.3)"


@pytest.mark.parametrize(
    ("with_hits", "without_hits", "word", "phrase"),
    [
        (4, 3, "helps", "helps: 75 % -> 100 % (+25 points, exact)"),
        (3, 4, "hurts", "hurts: 100 % -> 75 % (-25 points, exact)"),
        (3, 3, "no effect", "no effect: 75 % -> 75 % (+0 points, exact)"),
    ],
)
def test_the_sign_of_a_deterministic_lift_is_the_verdict(
    with_hits: int, without_hits: int, word: str, phrase: str
) -> None:
    verdict = judge(pooled(with_hits, without_hits, 4, deterministic=True))
    assert (verdict.word, verdict.phrase) == (word, phrase)


@pytest.mark.parametrize("deterministic", [False, True])
def test_nothing_measured_is_its_own_word(deterministic: bool) -> None:
    lift = measure([], deterministic=deterministic)
    assert (lift.with_rate, lift.without_rate, lift.lift, lift.interval) == (None, None, None, None)
    assert judge(lift).word == "not measured"


def test_samples_too_few_for_any_lift_say_so() -> None:
    assert judge(pooled(3, 3, 3)).phrase.endswith("; 3 samples can show no lift reliably")
    assert judge(pooled(1, 0, 1)).phrase.endswith("; 1 sample can show no lift reliably")


@settings(deadline=None)
@given(st.integers(1, 80), st.data())
def test_swapping_the_arms_turns_helps_into_hurts_and_nothing_else(n: int, data: st.DataObject) -> None:
    x, y = data.draw(st.integers(0, n)), data.draw(st.integers(0, n))
    swapped = {"helps": "hurts", "hurts": "helps"}
    word = judge(pooled(x, y, n)).word
    assert judge(pooled(y, x, n)).word == swapped.get(word, word)
