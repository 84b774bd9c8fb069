"""False alarms over all splits of a suite's replies: counted, listed one by one, and drawn at random."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import combinations, combinations_with_replacement, product
from math import comb, factorial, prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.verdicts.family import LEVEL
from pytest_upskill.verdicts.intervals import clopper_pearson
from pytest_upskill.verdicts.resampling import Family, Rates, Sampled
from pytest_upskill.verdicts.resampling import resampled as resampled_with
from pytest_upskill.verdicts.splits import Pool, Splits
from pytest_upskill.verdicts.stratified import gate_p

DROPS = st.sampled_from([Fraction(0), Fraction(1, 50), Fraction(1, 5), Fraction(2, 5)])


def resampled(
    gates: Mapping[int, Splits], times: int = 2000, seed: int = 1
) -> tuple[dict[int, Rates], Family]:
    return resampled_with(gates, random.Random(seed).randrange, times)


@st.composite
def pools(draw: st.DrawFn, same_runs: bool = True) -> list[Pool]:
    """Few and small enough to list every split."""
    most = draw(st.integers(1, 3))
    found = []
    for n in range(draw(st.integers(1, {1: 6, 2: 4, 3: 2}[most]))):
        own = most if same_runs else draw(st.integers(1, most))
        hits = [draw(st.integers(0, own)) for _ in range(2)]
        found.append(Pool(f"case-{n}", hits[0], hits[1], own))
    return found


def every_split(suite: Sequence[Pool]) -> Iterator[tuple[int, ...]]:
    """Yield the new hits by case of each way to choose the new half of each case's replies."""
    of_case = []
    for pool in suite:
        replies = [number < pool.hits for number in range(2 * pool.runs)]
        of_case.append([sum(half) for half in combinations(replies, pool.runs)])
    yield from product(*of_case)


def listed(suite: Sequence[Pool], min_drop: Fraction) -> tuple[Fraction, Fraction, Fraction]:
    """Return what `Splits` counts, by asking the three rules of every split."""
    alarms = lost = dropped = every = 0
    runs = sum(pool.runs for pool in suite)
    for split in every_split(suite):
        strata = [pool.stratum(new) for pool, new in zip(suite, split, strict=True)]
        every += 1
        alarms += gate_p(strata, min_drop) <= LEVEL
        lost += any(each.new_hits < each.old_hits for each in strata)
        dropped += 20 * sum(each.old_hits - each.new_hits for each in strata) > runs
    return Fraction(alarms, every), Fraction(lost, every), Fraction(dropped, every)


@given(pools(), DROPS)
@settings(deadline=None, max_examples=60)
def test_the_exact_rates_are_those_of_all_splits_one_by_one(suite: list[Pool], min_drop: Fraction) -> None:
    splits = Splits(suite, min_drop)
    assert (splits.alarms(), splits.any_lost(), splits.dropped()) == listed(suite, min_drop)


@given(pools(same_runs=False), DROPS)
@settings(deadline=None, max_examples=60)
def test_cases_with_fewer_runs_are_counted_exactly_or_not_at_all(
    suite: list[Pool], min_drop: Fraction
) -> None:
    splits = Splits(suite, min_drop)
    alarms, lost, dropped = listed(suite, min_drop)
    assert (splits.any_lost(), splits.dropped()) == (lost, dropped)
    assert splits.alarms() in (alarms, None)


def test_the_case_path_is_counted_too() -> None:
    # With a drop of all cases asked for, only the one case that hits and misses can raise an alarm.
    for runs, alarms in ((5, Fraction(0)), (8, Fraction(1, comb(16, 8)))):  # 5 x 4 / 252 is above 5 %
        suite = [Pool("a", runs, 0, runs), *(Pool(name, runs, runs, runs) for name in "bcd")]
        assert Splits(suite, min_drop=Fraction(1)).alarms() == alarms


def test_a_sampled_rate_is_what_is_left_where_the_total_does_not_tell_the_drop() -> None:
    # The same total is a large drop where the case of one run fell, and a small one where the others did.
    suite = [Pool("one", 1, 0, 1), *(Pool(f"c{n}", 2, 1, 3) for n in range(2))]
    of_drop = {Fraction(n, 50): Splits(suite, Fraction(n, 50)).alarms() for n in range(50)}
    assert of_drop[Fraction(0)] == listed(suite, Fraction(0))[0]
    min_drop = next(drop for drop, alarms in of_drop.items() if alarms is None)
    rates, family = resampled({0: Splits(suite, min_drop)})
    assert (rates[0].alarms, family.rates.alarms) == (None, None)
    low, high = rates[0].sampled.interval
    assert low <= listed(suite, min_drop)[0] <= high


def drawn(cases: int, runs: int, seed: int) -> list[Pool]:
    rng = random.Random(seed)
    rates = [0.5, 0.8, 0.95, 1.0]

    def hits(rate: float) -> int:
        return sum(rng.random() < rate for _ in range(runs))

    return [Pool(f"c{n}", hits(rates[n % 4]), hits(rates[n % 4]), runs) for n in range(cases)]


@pytest.mark.parametrize(("cases", "runs"), [(3, 2), (10, 3), (20, 5), (50, 10)])
def test_random_splits_agree_with_the_exact_rates(cases: int, runs: int) -> None:
    splits = {seed: Splits(drawn(cases, runs, seed)) for seed in range(3)}
    rates, family = resampled(splits, times=1000)
    for found in [*rates.values(), family.rates]:
        # 99.99 %: twelve comparisons, none of which may fail by luck.
        low, high = clopper_pearson(found.sampled.count, 1000, confidence=0.9999)
        assert found.alarms is not None
        assert low <= found.alarms <= high
    for seed, own in splits.items():
        draws = own.draw(random.Random(1).randrange, 1000)
        for flags, rate in ((draws.lost, rates[seed].any_lost), (draws.dropped, rates[seed].dropped)):
            low, high = clopper_pearson(sum(flags), 1000, confidence=0.9999)
            assert low <= rate <= high


def test_the_same_seed_yields_the_same_figures() -> None:
    splits = {0: Splits(drawn(20, 5, 7))}
    assert resampled(splits, seed=3) == resampled(splits, seed=3)
    assert resampled(splits, seed=3) != resampled(splits, seed=4)


def test_the_family_is_held_where_naive_rules_are_not() -> None:
    _, family = resampled({seed: Splits(drawn(10, 3, seed)) for seed in range(10)}, times=200)
    assert family.gates == 10
    assert family.rates.alarms is not None
    assert family.rates.alarms <= LEVEL
    assert family.rates.any_lost > Fraction(99, 100)
    assert family.rates.dropped > Fraction(9, 10)


def test_the_family_counts_what_its_splits_as_they_were_have_raised() -> None:
    fallen = Splits([Pool(f"c{n}", 5, 0, 5) for n in range(5)])
    calm = Splits([Pool(f"c{n}", 4, 4, 5) for n in range(5)])
    assert fallen.as_it_was() <= LEVEL < calm.as_it_was()
    assert resampled({1: fallen, 2: calm}, times=10)[1].rejected == 1


def alarm_rate(cases: int, runs: int, rate: Fraction) -> Fraction:
    """Return the chance of an alarm where each reply of each case hits at the same rate."""
    found = Fraction(0)
    for hits in combinations_with_replacement(range(2 * runs + 1), cases):
        suite = [Pool(f"c{n}", min(k, runs), max(0, k - runs), runs) for n, k in enumerate(hits)]
        orders = factorial(cases) // prod(factorial(hits.count(k)) for k in set(hits))
        chance = prod(
            (comb(2 * runs, k) * rate**k * (1 - rate) ** (2 * runs - k) for k in hits), start=Fraction(1)
        )
        alarms = Splits(suite).alarms()
        assert alarms is not None
        found += orders * chance * alarms
    return found


@pytest.mark.parametrize(("cases", "runs"), [(1, 6), (2, 5), (3, 3), (4, 2), (5, 1), (8, 1), (12, 1)])
def test_over_all_replies_a_suite_without_a_change_raises_alarms_in_at_most_one_of_twenty(
    cases: int, runs: int
) -> None:
    for tenths in range(11):
        assert alarm_rate(cases, runs, Fraction(tenths, 10)) <= LEVEL


@given(pools())
@settings(deadline=None, max_examples=60)
def test_no_single_suite_raises_more_than_one_in_eleven(suite: list[Pool]) -> None:
    """Half of the last step counts (mid-p): of one small suite's splits more than one in twenty may be alarms."""
    alarms = Splits(suite).alarms()
    assert alarms is not None
    assert alarms <= 2 * Fraction(4, 5) * LEVEL + LEVEL / 5


def test_a_suite_without_two_replies_of_any_case_has_no_alarms() -> None:
    splits = Splits([])
    assert [splits.alarms(), splits.any_lost(), splits.dropped(), splits.as_it_was()] == [0, 0, 0, 1]
    _, family = resampled({0: splits}, times=10)
    assert family.rates.alarms == 0
    assert family.rates.sampled == Sampled(0, 10)
    assert family.rejected == 0


@pytest.mark.parametrize(("old", "new", "runs"), [(0, 0, 0), (2, 0, 1), (0, -1, 1)])
def test_a_case_has_no_more_hits_than_runs(old: int, new: int, runs: int) -> None:
    with pytest.raises(ValueError, match="case 'x' cannot have more hits than runs, nor fewer than none"):
        Pool("x", old, new, runs)
