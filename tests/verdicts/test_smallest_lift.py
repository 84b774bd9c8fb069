from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import stats

from pytest_upskill.verdicts.intervals import lift_interval, smallest_lift


def power(n: int, lift: float, centre: float = 0.5) -> float:
    """Return how often n samples an arm show this lift, summed over every pair of counts."""
    counts = np.arange(n + 1)
    shown = np.array([[lift_interval(x, n, y, n)[0] > 0 for y in counts.tolist()] for x in counts.tolist()])
    arm = stats.binom.pmf(counts, n, centre + lift / 2)
    other = stats.binom.pmf(counts, n, centre - lift / 2)
    return float(arm @ shown @ other)


@pytest.mark.parametrize("n", [4, 7, 10, 20, 45])
def test_the_smallest_lift_is_shown_with_the_power_and_a_smaller_one_is_not(n: int) -> None:
    smallest = smallest_lift(n)
    assert smallest is not None
    assert power(n, smallest) >= 0.8
    assert power(n, smallest - 1e-4) < 0.8


@pytest.mark.parametrize("centre", [0.3, 0.4, 0.6, 0.7])
def test_rates_around_one_half_are_the_worst_case(centre: float) -> None:
    smallest = smallest_lift(20)
    assert smallest is not None
    assert power(20, smallest, centre) > 0.8


@pytest.mark.parametrize("n", [1, 2, 3])
def test_so_few_samples_show_no_lift_at_all(n: int) -> None:
    assert smallest_lift(n) is None


@pytest.mark.parametrize(("n", "expected"), [(20, 0.4393), (60, 0.2492), (200, 0.1391), (400, 0.0986)])
def test_the_smallest_lift_at_common_sizes(n: int, expected: float) -> None:
    assert smallest_lift(n) == pytest.approx(expected, abs=5e-5)


def test_more_power_asks_for_a_larger_lift() -> None:
    lifts = [smallest_lift(n, power) or 0.0 for n in (20, 300) for power in (0.3, 0.5, 0.8, 0.95)]
    assert lifts[:4] == sorted(lifts[:4])
    assert lifts[4:] == sorted(lifts[4:])


def test_the_approximation_takes_over_without_a_step() -> None:
    exact, approximate = smallest_lift(200), smallest_lift(201)
    assert exact is not None
    assert approximate is not None
    assert abs(exact - approximate) < 0.002


def test_200_samples_take_less_than_50_milliseconds() -> None:
    smallest_lift.cache_clear()
    started = time.process_time()
    smallest_lift(200)
    assert time.process_time() - started < 0.05
