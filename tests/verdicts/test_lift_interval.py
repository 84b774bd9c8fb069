from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep

from pytest_upskill.verdicts.intervals import (
    Interval,
    agresti_caffo,
    clopper_pearson,
    lift_interval,
    modified_wilson,
    newcombe,
)

GRID = [(0, 1), (1, 1), (0, 3), (2, 3), (0, 10), (4, 10), (10, 10), (0, 60), (1, 60), (29, 60), (60, 60)]


def statsmodels_interval(arm: tuple[int, int], other: tuple[int, int], alpha: float, method: str) -> Interval:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        low, high = confint_proportions_2indep(*arm, *other, method=method, compare="diff", alpha=alpha)
    return float(low), float(high)


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_newcombe_and_agresti_caffo_are_those_of_statsmodels(confidence: float) -> None:
    for arm, other in product(GRID, GRID):
        for ours, theirs in ((newcombe, "newcomb"), (agresti_caffo, "agresti-caffo")):
            expected = statsmodels_interval(arm, other, 1 - confidence, theirs)
            assert ours(*arm, *other, confidence) == pytest.approx(expected, abs=1e-9)


def test_newcombes_own_examples_are_met() -> None:
    assert newcombe(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert newcombe(9, 10, 3, 10) == pytest.approx((0.1705, 0.8090), abs=5e-5)
    assert newcombe(10, 10, 0, 10) == pytest.approx((0.6075, 1.0), abs=5e-5)


def test_the_three_lifts_of_the_readme_have_these_intervals() -> None:
    assert lift_interval(16, 20, 9, 20) == pytest.approx((0.0462, 0.5901), abs=5e-5)
    assert lift_interval(17, 20, 8, 20) == pytest.approx((0.1480, 0.6702), abs=5e-5)
    assert lift_interval(19, 20, 19, 20) == pytest.approx((-0.1921, 0.1921), abs=5e-5)


def hybrid(single: Callable[..., Interval], arm: tuple[int, int], other: tuple[int, int]) -> Interval:
    (low, high), (other_low, other_high) = single(*arm), single(*other)
    rate, other_rate = arm[0] / arm[1], other[0] / other[1]
    below = ((rate - low) ** 2 + (other_high - other_rate) ** 2) ** 0.5
    above = ((high - rate) ** 2 + (other_rate - other_low) ** 2) ** 0.5
    return rate - other_rate - below, rate - other_rate + above


@pytest.mark.parametrize("sizes", [(3, 3), (10, 10), (10, 11), (11, 11), (12, 20), (20, 60)])
def test_the_lift_interval_is_the_clipped_hull_of_its_parts(sizes: tuple[int, int]) -> None:
    n, m = sizes
    for x, y in product(range(n + 1), range(m + 1)):
        parts = [hybrid(modified_wilson, (x, n), (y, m)), agresti_caffo(x, n, y, m)]
        corner = x in {0, n} or y in {0, m}
        if min(sizes) <= 10 or (max(sizes) <= 20 and corner):
            parts.append(hybrid(clopper_pearson, (x, n), (y, m)))
        hull = max(-1.0, min(low for low, _ in parts)), min(1.0, max(high for _, high in parts))
        assert lift_interval(x, n, y, m) == pytest.approx(hull, abs=1e-12)


def is_monotone(n: int, m: int, confidence: float) -> bool:
    found = {(x, y): lift_interval(x, n, y, m, confidence) for x, y in product(range(n + 1), range(m + 1))}
    more_with = all(found[x, y][end] <= found[x + 1, y][end] for x, y in found if x < n for end in (0, 1))
    more_without = all(found[x, y][end] >= found[x, y + 1][end] for x, y in found if y < m for end in (0, 1))
    return more_with and more_without


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_the_lift_interval_is_monotone_in_every_count_up_to_30_samples(confidence: float) -> None:
    assert all(is_monotone(n, n, confidence) for n in range(1, 31))


def test_the_lift_interval_is_monotone_where_the_arms_differ_in_size() -> None:
    assert all(
        is_monotone(n, m, 0.95) for n, m in product((1, 2, 9, 10, 11, 20, 21, 30), (1, 3, 10, 12, 17, 20))
    )


counts = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


pairs = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.integers(0, n), st.just(n)))


@settings(deadline=None)
@given(pairs, st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_one_more_hit_moves_no_end_the_wrong_way(counts: tuple[int, int, int], confidence: float) -> None:
    x, y, n = counts
    low, high = lift_interval(x, n, y, n, confidence)
    if x < n:
        better = lift_interval(x + 1, n, y, n, confidence)
        assert low <= better[0]
        assert high <= better[1]
    if y < n:
        worse = lift_interval(x, n, y + 1, n, confidence)
        assert low >= worse[0]
        assert high >= worse[1]


@settings(deadline=None)
@given(counts, counts, st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_swapping_the_arms_negates_the_interval_to_the_last_bit(
    arm: tuple[int, int], other: tuple[int, int], confidence: float
) -> None:
    low, high = lift_interval(*arm, *other, confidence)
    assert lift_interval(*other, *arm, confidence) == (-high, -low)


@settings(deadline=None)
@given(counts, counts)
def test_the_lift_lies_in_its_interval_and_the_90_percent_one_in_the_95_percent_one(
    arm: tuple[int, int], other: tuple[int, int]
) -> None:
    (low, high), (inner_low, inner_high) = lift_interval(*arm, *other), lift_interval(*arm, *other, 0.90)
    lift = arm[0] / arm[1] - other[0] / other[1]
    assert -1.0 <= low <= inner_low <= lift <= inner_high <= high <= 1.0


def test_equal_arms_never_exclude_no_lift() -> None:
    assert all(
        lift_interval(x, n, x, n)[0] < 0 < lift_interval(x, n, x, n)[1] for n in (1, 7, 60) for x in (0, n)
    )
