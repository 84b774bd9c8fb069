"""What a model that changed does to the counts of a baseline: named where it shows, and allowed for where it hides."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.verdicts.drift import Drift, drift, p_beyond_drift
from pytest_upskill.verdicts.stratified import Stratum, suite_p

LEVEL = Fraction(1, 25)  # that of a suite within its gate
Rates = Sequence[float]


def pooled(old_hits: int, new_hits: int, runs: int = 20) -> list[Stratum]:
    return [Stratum("one", old_hits, runs, new_hits, runs)]


def swapped(strata: Sequence[Stratum]) -> list[Stratum]:
    return [Stratum(each.case, each.new_hits, each.new_runs, each.old_hits, each.old_runs) for each in strata]


def drawn(chance: random.Random, old: Rates, new: Rates, old_runs: int, new_runs: int) -> list[Stratum]:
    def hits(rate: float, runs: int) -> int:
        return sum(chance.random() < rate for _ in range(runs))

    return [
        Stratum(f"case-{number}", hits(before, old_runs), old_runs, hits(now, new_runs), new_runs)
        for number, (before, now) in enumerate(zip(old, new, strict=True))
    ]


@st.composite
def suites(draw: st.DrawFn, runs: int = 4) -> tuple[list[Stratum], list[Stratum]]:
    """Draw a suite's cases with the skill, and those without it."""

    def stratum(name: str) -> Stratum:
        old, new = draw(st.integers(1, runs)), draw(st.integers(1, runs))
        return Stratum(name, draw(st.integers(0, old)), old, draw(st.integers(0, new)), new)

    names = [f"case-{number}" for number in range(draw(st.integers(1, 6)))]
    with_ = [stratum(name) for name in names]
    return with_, [stratum(name) for name in names if draw(st.booleans())]


def test_a_model_that_got_better_is_named_with_its_counts() -> None:
    found = drift(pooled(12, 19))
    assert found is not None
    assert found == Drift(12, 20, 19, 20, found.p)
    assert not found.down
    said = "the model changed since 2026-11-02: without the skill 12/20 -> 19/20 (p = 0.013)"
    assert found.phrase("2026-11-02") == said


def test_a_model_that_got_worse_explains_a_fall() -> None:
    found = drift(pooled(19, 12))
    assert found is not None
    assert found.down


def test_the_same_counts_swapped_are_the_same_drift_the_other_way() -> None:
    up, down = drift(pooled(12, 19)), drift(pooled(19, 12))
    assert up is not None
    assert down is not None
    assert up.p == down.p


def test_what_luck_explains_is_no_drift() -> None:
    assert drift(pooled(12, 16)) is None
    assert drift([]) is None
    assert drift([Stratum("one", 0, 0, 3, 5)]) is None


def test_a_change_that_nobody_cares_for_is_no_drift_however_credible() -> None:
    strata = pooled(394, 400, runs=400)
    assert drift(strata) is None
    assert drift(strata, min_drop=Fraction(1, 100)) is not None


@settings(deadline=None, max_examples=80)
@given(suites())
def test_a_drift_is_only_claimed_in_the_direction_of_the_rates(
    suite: tuple[list[Stratum], list[Stratum]],
) -> None:
    found, other = drift(suite[0]), drift(swapped(suite[0]))
    assert (found is None) == (other is None)
    if found is not None and other is not None:
        assert found.p == other.p <= Fraction(1, 20)


@settings(deadline=None, max_examples=80)
@given(suites(), st.randoms(use_true_random=False))
def test_one_more_hit_with_the_skill_never_makes_a_fall_more_credible(
    suite: tuple[list[Stratum], list[Stratum]], chance: random.Random
) -> None:
    with_, without = suite
    index = chance.randrange(len(with_))
    if with_[index].new_hits == with_[index].new_runs:
        return
    better = list(with_)
    better[index] = replace(better[index], new_hits=better[index].new_hits + 1)
    assert p_beyond_drift(with_, without) <= p_beyond_drift(better, without)


@settings(deadline=None, max_examples=80)
@given(suites())
def test_it_is_never_more_certain_than_the_test_that_knows_of_no_drift(
    suite: tuple[list[Stratum], list[Stratum]],
) -> None:
    assert suite_p(suite[0]) <= p_beyond_drift(*suite) <= 1


def test_a_fall_of_the_model_as_large_takes_the_proof_away() -> None:
    fell = [Stratum(f"case-{number}", 3, 3, 1 if number % 2 else 2, 3) for number in range(20)]
    steady = [Stratum(each.case, 1, 3, 1, 3) for each in fell]
    assert p_beyond_drift(fell, []) < LEVEL
    assert p_beyond_drift(fell, steady) < LEVEL
    assert p_beyond_drift(fell, fell) == 1
    few = fell[:3]
    assert drift(few) is None
    assert p_beyond_drift(few, few) == Fraction(1, 2)


def test_only_cases_that_were_measured_anew_without_the_skill_are_compared_with_it() -> None:
    fell = [Stratum(f"case-{number}", 5, 5, 1, 5) for number in range(10)]
    steady = [Stratum(each.case, 1, 5, 1, 5) for each in fell]
    stranger = Stratum("another", 0, 5, 5, 5)
    assert p_beyond_drift(fell, [*steady, stranger]) == p_beyond_drift(fell, steady)
    assert p_beyond_drift(fell, [stranger]) == p_beyond_drift(fell, [])


def test_nothing_to_compare_proves_nothing() -> None:
    assert p_beyond_drift([], []) == 1
    assert p_beyond_drift([Stratum("one", 3, 3, 0, 0)], []) == 1
    assert p_beyond_drift(pooled(20, 20), []) == 1


def rejected(draw: Callable[[], tuple[list[Stratum], list[Stratum]]], times: int = 300) -> float:
    return sum(p_beyond_drift(*draw()) <= LEVEL for _ in range(times)) / times


@pytest.mark.parametrize("runs", [(3, 3), (5, 5), (10, 3)], ids=str)
@pytest.mark.parametrize(("skilled", "bare"), [(1.0, 0.2), (0.95, 0.6), (0.85, 0.4), (0.85, 0.0), (0.1, 0.1)])
def test_a_model_that_lost_five_points_raises_few_false_alarms(
    runs: tuple[int, int], skilled: float, bare: float
) -> None:
    chance = random.Random(f"{runs} {skilled} {bare}")
    old, other = [skilled] * 20, [bare] * 20
    now, other_now = [skilled - 0.05] * 20, [max(0.0, bare - 0.05)] * 20
    assert rejected(lambda: (drawn(chance, old, now, *runs), drawn(chance, other, other_now, *runs))) <= 0.05


@pytest.mark.parametrize("lost", [0.1, 0.2, 0.3])
def test_a_model_that_lost_more_in_both_arms_raises_few_false_alarms(lost: float) -> None:
    chance = random.Random(lost)
    old, bare = [0.85] * 20, [0.4] * 20

    def draw() -> tuple[list[Stratum], list[Stratum]]:
        now, bare_now = [rate - lost for rate in old], [rate - lost for rate in bare]
        return drawn(chance, old, now, 3, 3), drawn(chance, bare, bare_now, 3, 3)

    assert rejected(draw) <= 0.05


@pytest.mark.parametrize(
    ("skilled", "bare", "least"), [(0.85, 0.4, 0.9), (0.95, 0.6, 0.85), (0.8, 0.0, 0.97)]
)
def test_a_skill_that_broke_is_found_all_the_same(skilled: float, bare: float, least: float) -> None:
    chance = random.Random(f"{skilled} {bare}")

    def draw() -> tuple[list[Stratum], list[Stratum]]:
        without = [bare] * 20
        return drawn(chance, [skilled] * 20, without, 3, 3), drawn(chance, without, without, 3, 3)

    assert rejected(draw) >= least


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.5, 0.9])
def test_a_model_that_stayed_as_it_was_is_seldom_said_to_have_changed(rate: float) -> None:
    chance = random.Random(rate)
    rates = [rate] * 20
    times = 500
    assert sum(drift(drawn(chance, rates, rates, 3, 3)) is not None for _ in range(times)) / times <= 0.05


def test_a_model_that_credibly_got_worse_leaves_nothing_proven() -> None:
    broken = [Stratum(f"case-{number}", 5, 5, 0, 5) for number in range(20)]
    weaker = [Stratum(each.case, 4, 5, 3, 5) for each in broken]
    found = drift(weaker)
    assert found is not None
    assert found.down
    assert p_beyond_drift(broken, weaker) == 1
    assert p_beyond_drift(broken, swapped(weaker)) < LEVEL
