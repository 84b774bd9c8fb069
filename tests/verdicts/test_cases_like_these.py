from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pytest_upskill.verdicts.intervals import cases_like_these

differences = st.lists(st.floats(-1, 1), max_size=40)


@settings(deadline=None)
@given(differences, st.sampled_from([0.8, 0.9, 0.95]))
def test_it_is_the_t_interval_over_the_cases_and_two_pseudo_cases(
    values: list[float], confidence: float
) -> None:
    everything = [*values, 1.0, -1.0]
    mean, error = statistics.fmean(everything), statistics.stdev(everything) / math.sqrt(len(everything))
    half = stats.t.ppf((1 + confidence) / 2, len(values) + 1) * error
    expected = max(-1.0, mean - half), min(1.0, mean + half)
    assert cases_like_these(values, confidence) == pytest.approx(expected, abs=1e-9)


@settings(deadline=None)
@given(differences)
def test_negated_differences_negate_it_to_the_last_bit(values: list[float]) -> None:
    low, high = cases_like_these(values)
    assert cases_like_these([-value for value in values]) == (-high, -low)


def test_cases_that_all_agree_leave_doubt_about_the_next_one() -> None:
    low, high = cases_like_these([1.0] * 10)
    assert 0.3 < low < 0.6
    assert high == 1.0


def test_no_case_says_nothing() -> None:
    assert cases_like_these([]) == (-1.0, 1.0)


def test_a_difference_that_two_rates_cannot_have_is_refused() -> None:
    with pytest.raises(ValueError, match="between -1 and 1"):
        cases_like_these([0.5, 1.5])
