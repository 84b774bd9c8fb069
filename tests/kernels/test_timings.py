"""What times say, without any device."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.kernels.timings import (
    RESOLUTION_MS,
    Series,
    drift,
    flat,
    mad,
    median_interval,
    order_ranks,
    speedup,
)

TIMES = st.lists(st.floats(0.01, 100.0), min_size=6, max_size=60)
BLOCKS = 16


def series(ours: float, theirs: float, noise: float = 0.0, seed: int = 1, heat: float = 0.0) -> Series:
    """Return 16 blocks of 4 calls a side; by its end the device has slowed down by `heat`."""
    dice = random.Random(seed)

    def block(ms: float, number: int) -> tuple[float, ...]:
        slowed = ms * (1.0 + heat * number / (BLOCKS - 1))
        return tuple(slowed * dice.lognormvariate(0.0, noise) for _ in range(4))

    numbers = range(BLOCKS)
    return Series(tuple(block(ours, n) for n in numbers), tuple(block(theirs, n) for n in numbers))


@pytest.mark.parametrize(
    ("n", "ranks"), [(5, None), (6, (1, 6)), (8, (1, 8)), (9, (2, 8)), (16, (4, 13)), (64, (24, 41))]
)
def test_the_ranks_are_those_of_the_tables_of_the_sign_test(n: int, ranks: tuple[int, int] | None) -> None:
    assert order_ranks(n) == ranks


@pytest.mark.parametrize("n", [6, 7, 16, 50, 64, 101])
def test_the_interval_misses_the_median_no_more_often_than_it_says_and_is_the_narrowest_of_these(
    n: int,
) -> None:
    ranks = order_ranks(n)
    assert ranks is not None

    def missed(k: int) -> float:
        return 2 * sum(math.comb(n, below) for below in range(k)) / 2.0**n

    assert missed(ranks[0]) <= 0.05 < missed(ranks[0] + 1)


def test_the_interval_covers_the_true_median_of_a_skewed_distribution() -> None:
    dice = random.Random(7)
    true, covered = math.log(2.0), 0
    for _ in range(400):
        low, high = median_interval([dice.expovariate(1.0) for _ in range(64)])
        covered += low <= true <= high
    assert covered >= 0.93 * 400


@given(TIMES)
def test_the_interval_of_a_median_encloses_the_median_of_what_was_measured(values: list[float]) -> None:
    low, high = median_interval(values)
    assert low <= median(values) <= high


def test_too_few_times_leave_everything_open() -> None:
    assert median_interval([1.0, 1.0, 1.0, 1.0, 1.0]) == (0.0, math.inf)


def test_a_single_slow_call_moves_neither_median_nor_mad() -> None:
    assert mad([1.0, 1.1, 0.9, 1.0, 50.0]) == pytest.approx(0.1)


def test_the_speedup_is_baseline_over_candidate_and_lies_in_its_interval() -> None:
    found = speedup(series(0.5, 1.0, noise=0.02))
    assert found.value == pytest.approx(2.0, rel=0.02)
    assert found.interval[0] < found.value < found.interval[1]
    assert found.interval[1] / found.interval[0] < 1.06


def test_heat_that_slows_both_sides_alike_leaves_the_speedup_as_it_is() -> None:
    hot = speedup(series(0.5, 1.0, heat=0.5))
    assert hot.value == pytest.approx(2.0)
    assert hot.interval == pytest.approx((2.0, 2.0), rel=0.005)


def test_what_the_clock_cannot_tell_apart_is_never_a_proven_speedup() -> None:
    found = speedup(series(0.0020, 0.0024))
    assert found.value == pytest.approx(1.2)
    assert found.interval == pytest.approx((0.0019 / 0.0025, 0.0029 / 0.0015))


def test_a_time_below_what_the_clock_resolves_has_no_upper_end() -> None:
    found = speedup(series(RESOLUTION_MS, 1.0))
    assert found.interval[1] == math.inf


@settings(deadline=None)
@given(st.floats(0.01, 10.0), st.floats(0.01, 10.0), st.integers(0, 99))
def test_the_interval_encloses_the_ratio_whatever_the_sides_are(
    ours: float, theirs: float, seed: int
) -> None:
    found = speedup(series(ours, theirs, noise=0.1, seed=seed))
    assert found.interval[0] <= found.value <= found.interval[1]


def test_code_as_fast_as_the_baseline_is_called_faster_or_slower_in_less_than_five_of_a_hundred() -> None:
    wrong = 0
    for seed in range(300):
        low, high = speedup(series(1.0, 1.0, noise=0.05, seed=seed)).interval
        wrong += low > 1.0 or high < 1.0
    assert wrong <= 15


def test_drift_is_how_far_the_halves_lie_apart() -> None:
    assert drift([1.0] * 32 + [1.1] * 32) == pytest.approx(0.1 - RESOLUTION_MS)
    assert drift([1.1] * 32 + [1.0] * 32) == pytest.approx(0.1 - RESOLUTION_MS)


@pytest.mark.parametrize("times", [[1.0], [1.0, 1.0], [0.0020] * 8 + [0.0024] * 8])
def test_what_the_clock_cannot_resolve_is_no_drift(times: list[float]) -> None:
    assert drift(times) == 0.0


def test_the_blocks_of_a_series_stay_in_their_order() -> None:
    values = flat([[1.0, 2.0], [3.0]])
    assert all(a < b for a, b in pairwise(values))


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        (((1.0,),), ((1.0,), (1.0,)), "both sides need the same number of blocks, and every block a time"),
        (((1.0,), ()), ((1.0,), (1.0,)), "both sides need the same number of blocks, and every block a time"),
        (((0.0,),), ((1.0,),), "every time is a finite number of milliseconds above 0"),
        (((1.0,),), ((math.nan,),), "every time is a finite number of milliseconds above 0"),
    ],
)
def test_a_series_that_is_none_is_refused(
    ours: tuple[tuple[float, ...], ...], theirs: tuple[tuple[float, ...], ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Series(ours, theirs)
