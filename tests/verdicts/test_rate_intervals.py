from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from pytest_upskill.verdicts.intervals import (
    Interval,
    clopper_pearson,
    modified_wilson,
    upper_bound_below,
    wilson,
)

SIZES = [1, 2, 3, 5, 10, 20, 50, 51, 100]


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_wilson_and_clopper_pearson_are_those_of_statsmodels(n: int, confidence: float) -> None:
    for hits in range(n + 1):
        for ours, theirs in ((wilson, "wilson"), (clopper_pearson, "beta")):
            expected = proportion_confint(hits, n, alpha=1 - confidence, method=theirs)
            assert ours(hits, n, confidence) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 20, 50, 51, 100])
def test_modified_wilson_takes_the_chi_square_limit_for_the_smallest_and_largest_counts(n: int) -> None:
    few = 2 if n <= 50 else 3
    for hits in range(n + 1):
        low, high = wilson(hits, n)
        if 1 <= hits <= few:
            low = 0.5 * stats.chi2.ppf(0.05, 2 * hits) / n
        if 1 <= n - hits <= few:
            high = 1 - 0.5 * stats.chi2.ppf(0.05, 2 * (n - hits)) / n
        assert modified_wilson(hits, n) == pytest.approx((low, high), abs=1e-9)


def test_the_modified_limits_of_the_paper_are_met() -> None:
    assert modified_wilson(1, 20)[0] == pytest.approx(0.0512932943875505 / 20)
    assert modified_wilson(2, 20)[0] == pytest.approx(0.355361510698662 / 20)
    assert modified_wilson(3, 20)[0] == wilson(3, 20)[0]
    assert modified_wilson(3, 60)[0] == pytest.approx(0.817691447 / 60)


@pytest.mark.parametrize("interval", [wilson, modified_wilson, clopper_pearson])
@pytest.mark.parametrize("n", SIZES)
def test_no_hit_and_no_miss_end_at_exactly_0_and_1(interval: Callable[..., Interval], n: int) -> None:
    assert interval(0, n)[0] == 0.0
    assert interval(n, n)[1] == 1.0


@pytest.mark.parametrize("counts", [(0, 0), (3, 2), (-1, 2)])
@pytest.mark.parametrize("interval", [wilson, modified_wilson, clopper_pearson])
def test_counts_that_are_no_rate_are_refused(
    interval: Callable[..., Interval], counts: tuple[int, int]
) -> None:
    with pytest.raises(ValueError, match="hits in"):
        interval(*counts)


def decimal_tail(hits: int, n: int, target: Decimal) -> Decimal:
    return sum((comb(n, k) * target**k * (1 - target) ** (n - k) for k in range(hits + 1)), Decimal(0))


def decimal_bound(hits: int, n: int) -> Decimal:
    """Return the one-sided 95 % upper bound to 50 digits, by halving."""
    low, high = Decimal(0), Decimal(1)
    for _ in range(170):
        middle = (low + high) / 2
        low, high = (middle, high) if decimal_tail(hits, n, middle) > Decimal("0.05") else (low, middle)
    return high


@pytest.mark.parametrize("counts", [(0, 1), (0, 3), (1, 3), (9, 12), (12, 20), (41, 60), (19, 20)])
def test_upper_bound_below_is_decided_beyond_the_digits_of_a_float(counts: tuple[int, int]) -> None:
    with localcontext() as context:
        context.prec = 60
        bound, step = decimal_bound(*counts), Decimal(10) ** -40
        above, below = Fraction(bound + step), Fraction(bound - step)
    assert float(above) == float(below)
    assert upper_bound_below(*counts, above)
    assert not upper_bound_below(*counts, below)


@pytest.mark.parametrize("target", [Fraction(1, 2), Fraction(2, 3), Fraction(4, 5), Fraction(19, 20)])
def test_upper_bound_below_agrees_with_decimals_at_every_boundary(target: Fraction) -> None:
    with localcontext() as context:
        context.prec = 60
        exact = Decimal(target.numerator) / Decimal(target.denominator)
        for n in range(1, 41):
            for hits in range(n):
                assert upper_bound_below(hits, n, target) == (decimal_tail(hits, n, exact) < Decimal("0.05"))


@pytest.mark.parametrize("target", [Fraction(1, 2), Fraction(4, 5), Fraction(9, 10), Fraction(99, 100)])
def test_a_rate_that_meets_its_target_is_below_it_in_at_most_one_of_twenty_runs(target: Fraction) -> None:
    for n in (1, 2, 3, 12, 13, 20, 60):
        fails = [hits for hits in range(n + 1) if upper_bound_below(hits, n, target)]
        assert sum(float(stats.binom.pmf(hits, n, float(target))) for hits in fails) < 0.05


def test_one_miss_is_below_a_target_of_1_and_no_count_is_below_a_target_of_0() -> None:
    assert upper_bound_below(99, 100, Fraction(1))
    assert not upper_bound_below(100, 100, Fraction(1))
    assert not upper_bound_below(0, 100, Fraction(0))
    assert not upper_bound_below(0, 0, Fraction(4, 5))


@settings(deadline=None)
@given(st.integers(1, 300), st.fractions(0, 1, max_denominator=1000), st.data())
def test_one_more_hit_never_puts_the_bound_below(n: int, target: Fraction, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, n - 1))
    assert upper_bound_below(hits, n, target) or not upper_bound_below(hits + 1, n, target)


@settings(deadline=None)
@given(st.integers(1, 2000), st.sampled_from([0.8, 0.9, 0.95, 0.99]), st.data())
def test_a_rate_lies_in_its_interval_and_one_more_hit_lowers_no_end(
    n: int, confidence: float, data: st.DataObject
) -> None:
    hits = data.draw(st.integers(0, n - 1))
    for interval in (wilson, modified_wilson, clopper_pearson):
        low, high = interval(hits, n, confidence)
        next_low, next_high = interval(hits + 1, n, confidence)
        assert 0.0 <= low <= hits / n <= high <= 1.0
        assert low <= next_low
        assert high <= next_high
