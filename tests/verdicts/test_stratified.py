"""The exact stratified test: held against plain enumeration, monotone, symmetric, the same in any order."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import combinations, product
from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.verdicts.stratified import (
    Stratum,
    case_p,
    gate_p,
    informed,
    mean_drop,
    mid_p,
    suite_p,
)


@st.composite
def stratum(draw: st.DrawFn, most: int = 6, least: int = 0) -> Stratum:
    old, new = draw(st.integers(least, most)), draw(st.integers(least, most))
    return Stratum("c", draw(st.integers(0, old)), old, draw(st.integers(0, new)), new)


def suites(most: int = 6, cases: int = 8, least: int = 0) -> st.SearchStrategy[list[Stratum]]:
    return st.lists(stratum(most, least), max_size=cases)


def swapped(each: Stratum) -> Stratum:
    return Stratum(each.case, each.new_hits, each.new_runs, each.old_hits, each.old_runs)


def draws(each: Stratum) -> Iterator[tuple[int, Fraction]]:
    """Yield the new hits of each way to deal the hits of both arms to their runs, and the chance of the way."""
    runs, hits = each.old_runs + each.new_runs, each.old_hits + each.new_hits
    dealt = list(combinations(range(runs), hits))
    for way in dealt:
        yield sum(run < each.new_runs for run in way), Fraction(1, len(dealt))


def enumerated(strata: list[Stratum]) -> Fraction:
    observed, below = sum(each.new_hits for each in strata), Fraction(0)
    for ways in product(*(list(draws(each)) for each in strata)):
        total, chance = sum(hits for hits, _ in ways), prod((way[1] for way in ways), start=Fraction(1))
        if total <= observed:
            below += chance if total < observed else chance / 2
    return below


@settings(deadline=None, max_examples=60)
@given(suites(most=2, cases=3))
def test_the_suite_agrees_with_the_enumeration_of_every_way_to_deal_the_hits(strata: list[Stratum]) -> None:
    assert mid_p(strata) == enumerated(strata)


@settings(deadline=None)
@given(stratum(most=5))
def test_a_case_agrees_with_the_enumeration_of_every_way_to_deal_its_hits(each: Stratum) -> None:
    assert case_p(each) == sum(chance for hits, chance in draws(each) if hits <= each.new_hits)


def test_one_run_an_arm_is_the_mid_p_of_mcnemar() -> None:
    strata = (
        [Stratum("lost", 1, 1, 0, 1)] * 5 + [Stratum("won", 0, 1, 1, 1)] + [Stratum("same", 1, 1, 1, 1)] * 9
    )
    # Of 6 cases that differ, 1 was won: the binomial tail below it and half of it.
    assert mid_p(strata) == Fraction(1, 64) + Fraction(6, 64) / 2


def test_one_case_is_the_tail_of_fisher() -> None:
    assert case_p(Stratum("a", 3, 3, 0, 3)) == Fraction(1, 20)
    assert case_p(Stratum("a", 10, 10, 0, 10)) == Fraction(1, 184_756)
    assert mid_p([Stratum("a", 3, 3, 0, 3)]) == Fraction(1, 40)


def test_a_mix_of_easy_and_hard_cases_does_no_harm() -> None:
    """Pooled, 3/9 against 6/9 would be a fall; each case for itself is as it was."""
    strata = [Stratum("easy", 9, 9, 3, 3), Stratum("hard", 0, 3, 0, 9)]
    assert mean_drop(strata) == 0
    assert mid_p(strata) == Fraction(1, 2)
    assert suite_p(strata) == 1


@settings(deadline=None)
@given(suites())
def test_to_swap_the_arms_turns_the_lower_tail_into_the_upper(strata: list[Stratum]) -> None:
    assert mid_p(strata) + mid_p([swapped(each) for each in strata]) == 1


@settings(deadline=None)
@given(suites(), st.randoms(use_true_random=False), st.fractions(0, Fraction(1, 2)))
def test_the_order_of_the_cases_does_not_matter(
    strata: list[Stratum], rng: random.Random, min_drop: Fraction
) -> None:
    other = rng.sample(strata, len(strata))
    assert suite_p(strata, min_drop) == suite_p(other, min_drop)
    assert gate_p(strata, min_drop) == gate_p(other, min_drop)


@settings(deadline=None)
@given(suites(), st.data())
def test_one_more_new_hit_or_one_old_hit_less_never_lowers_a_p(
    strata: list[Stratum], data: st.DataObject
) -> None:
    open_to = [i for i, each in enumerate(strata) if each.new_hits < each.new_runs or each.old_hits]
    if not open_to:
        return
    at = data.draw(st.sampled_from(open_to))
    each = strata[at]
    if each.new_hits < each.new_runs and (not each.old_hits or data.draw(st.booleans())):
        better = replace(each, new_hits=each.new_hits + 1)
    else:
        better = replace(each, old_hits=each.old_hits - 1)
    strata_of_more = [*strata[:at], better, *strata[at + 1 :]]
    assert mid_p(strata_of_more) >= mid_p(strata)
    assert suite_p(strata_of_more) >= suite_p(strata)
    assert case_p(better) >= case_p(each)
    assert gate_p(strata_of_more) >= gate_p(strata)


@settings(deadline=None)
@given(suites(), st.integers(0, 5), st.integers(0, 5))
def test_a_case_without_runs_on_one_side_says_nothing(strata: list[Stratum], hits: int, more: int) -> None:
    lonely = [Stratum("old", hits, hits + more, 0, 0), Stratum("new", 0, 0, hits, hits + more)]
    assert informed(lonely) == ()
    assert mean_drop([*strata, *lonely]) == mean_drop(strata)
    assert suite_p([*strata, *lonely]) == suite_p(strata)
    assert gate_p([*strata, *lonely]) == gate_p(strata)


def test_nothing_to_compare_proves_nothing() -> None:
    assert suite_p([]) == gate_p([]) == 1
    assert mean_drop([]) == 0
    assert suite_p([Stratum("a", 3, 3, 0, 0)], Fraction(0)) == 1


def test_a_drop_under_the_smallest_one_is_no_fall_and_at_it_is_tested() -> None:
    strata = [Stratum("lost", 1, 1, 0, 1)] + [Stratum("same", 1, 1, 1, 1)] * 49
    assert mean_drop(strata) == Fraction(1, 50)
    assert suite_p(strata) == Fraction(1, 4)
    assert suite_p([*strata, strata[1]]) == 1
    assert suite_p([*strata, strata[1]], Fraction(0)) == Fraction(1, 4)


def test_the_gate_takes_the_suite_at_four_fifths_of_the_level_and_the_worst_case_at_one_fifth() -> None:
    broken = [Stratum("a", 10, 10, 0, 10)] + [Stratum("b", 1, 10, 1, 10)] * 19
    assert gate_p(broken) == 5 * 20 * Fraction(1, 184_756)
    uniform = [Stratum("a", 3, 3, 1, 3)] * 6
    assert gate_p(uniform) == Fraction(5, 4) * mid_p(uniform)
    assert gate_p([Stratum("a", 1, 1, 0, 1)]) == Fraction(5, 16)
    assert gate_p([Stratum("a", 0, 1, 1, 1)]) == 1


def test_the_number_of_cases_does_not_fall_where_one_says_nothing_any_more() -> None:
    """Else one more hit, after which a case is always hit, would lower the p of the others."""
    strata = [Stratum("a", 10, 10, 0, 10)] + [Stratum("b", 10, 10, 9, 10)] * 6 + [Stratum("c", 1, 10, 10, 10)]
    better = [replace(each, new_hits=10) if each.case == "b" else each for each in strata]
    assert gate_p(strata) == gate_p(better) == 5 * 8 * Fraction(1, 184_756)


@pytest.mark.parametrize("counts", [(2, 1, 0, 1), (0, 1, 2, 1), (-1, 1, 0, 1), (0, 1, -1, 1), (0, -1, 0, 0)])
def test_counts_that_cannot_be_are_refused_with_the_name_of_the_case(
    counts: tuple[int, int, int, int],
) -> None:
    with pytest.raises(ValueError) as caught:
        Stratum("build-toml", *counts)
    assert str(caught.value) == "case 'build-toml' cannot have more hits than runs, nor fewer than none"


def test_many_cases_with_many_runs_are_exact() -> None:
    """Half of the cases mirror the other half, so that the distribution is symmetric about what was found."""
    half = [Stratum("a", hits, 10, 10 - hits, 10) for hits in range(11)] * 3
    assert mid_p([*half, *map(swapped, half)]) == Fraction(1, 2)
