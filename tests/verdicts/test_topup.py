"""Which cases are run further, and which are tested."""

from __future__ import annotations

from fractions import Fraction

import pytest

from pytest_upskill.verdicts.stratified import Stratum
from pytest_upskill.verdicts.topup import TOPPED, fell, runs_wanted, smallest, unsettled


def counts(text: str, case: str = "a") -> Stratum:
    """Return a case from `3/3 0/3`."""
    old, new = ([int(number) for number in arm.split("/")] for arm in text.split())
    return Stratum(case, *old, *new)


@pytest.mark.parametrize("text", ["1/1 0/1", "2/2 1/2", "3/3 1/3", "2/3 0/3", "5/10 0/10", "9/12 3/12"])
def test_a_case_that_lost_half_of_its_runs_is_suspicious(text: str) -> None:
    assert fell(counts(text))


@pytest.mark.parametrize(
    "text", ["1/1 1/1", "0/1 1/1", "3/3 2/3", "1/3 0/3", "0/3 0/3", "5/10 1/10", "0/0 0/3", "3/3 0/0"]
)
def test_one_that_lost_less_is_not(text: str) -> None:
    assert not fell(counts(text))


def test_a_case_that_was_missed_before_is_not_run_further() -> None:
    assert runs_wanted([counts("0/1 0/1"), counts("0/3 0/1", "b")]) == {}


@pytest.mark.parametrize(
    ("text", "runs"),
    [("1/1 0/1", 3), ("2/2 0/2", 3), ("3/3 0/3", 12), ("5/5 1/5", 12), ("11/11 2/11", 12), ("30/30 0/1", 3)],
)
def test_a_suspicious_case_is_run_to_the_next_stage(text: str, runs: int) -> None:
    assert runs_wanted([counts(text), counts("3/3 3/3", "b")]) == {"a": runs}


def test_a_case_that_has_all_runs_is_run_no_further() -> None:
    assert runs_wanted([counts("12/12 0/12"), counts("20/20 0/20", "b")]) == {}


def test_where_more_runs_may_be_had_only_what_reached_the_last_stage_is_tested() -> None:
    strata = [counts("3/3 0/3"), counts("3/3 0/3", "b")]
    assert smallest(strata, {}, extra=True) == (Fraction(1), None)
    topped = {"a": counts("9/12 3/12"), "b": counts("6/6 0/6", "b")}
    p, case = smallest(strata, topped, extra=True)
    assert case == topped["a"]
    assert p == Fraction(52_901, 2_704_156)


def test_where_no_more_may_be_had_the_whole_rounds_are_tested() -> None:
    strata = [counts("3/3 0/3"), counts("3/3 1/3", "b")]
    assert smallest(strata, {}, extra=False) == (Fraction(1, 20), strata[0])
    assert smallest(strata, {"a": counts("5/8 3/8")}, extra=False) == (Fraction(1, 20), strata[0])


def test_a_case_that_has_all_runs_anyway_is_tested_without_suspicion() -> None:
    """Of many runs a smaller fall can be proven too."""
    strata = [counts("38/40 22/40")]
    assert not fell(strata[0])
    p, case = smallest(strata, {}, extra=True)
    assert case == strata[0]
    assert p < Fraction(1, 1000)


def test_a_case_is_not_settled_where_it_fell_by_half_and_was_not_run_to_the_last_stage() -> None:
    left = [counts("3/3 0/3"), counts("12/12 0/12", "b"), counts("0/1 0/1", "c"), counts("3/3 2/3", "d")]
    assert unsettled(left) == [left[0]]


def test_a_broken_case_is_found_among_50_cases_and_60_comparisons() -> None:
    p, _ = smallest([Stratum("a", TOPPED, TOPPED, 0, TOPPED)], {}, extra=True)
    assert 5 * 50 * 60 * p <= Fraction(1, 20)
