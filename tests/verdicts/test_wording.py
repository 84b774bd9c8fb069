from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.verdicts.wording import between, counted_points, p_text, percents, points, points_apart


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(0), "+0"),
        (0.0, "+0"),
        (-0.0, "+0"),
        (Fraction(7, 20), "+35"),
        (Fraction(-7, 20), "-35"),
        (Fraction(1, 200), "+1"),
        (Fraction(-1, 200), "-1"),
        (Fraction(25, 1000), "+3"),
        (Fraction(-25, 1000), "-3"),
        (Fraction(3, 1000), "+0.3"),
        (Fraction(-3, 1000), "-0.3"),
        (Fraction(3, 100_000), "+0.003"),
        (0.19208, "+19"),
        (1, "+100"),
    ],
)
def test_points_are_whole_signed_and_zero_only_for_zero(value: Fraction | float, text: str) -> None:
    assert points(value) == text


@settings(deadline=None)
@given(st.floats(-1, 1).filter(lambda value: value == 0 or abs(value) > 1e-12))
def test_points_have_the_sign_of_the_lift_and_its_negation_the_other(value: float) -> None:
    text = points(value)
    assert (text == "+0") == (value == 0)
    assert text.startswith("-") == (value < 0)
    assert value == 0 or points(-value)[1:] == text[1:]
    assert abs(float(text) - 100 * value) <= 0.5 + 1e-9


def test_one_point_is_singular() -> None:
    assert counted_points(Fraction(1, 100)) == "+1 point"
    assert counted_points(Fraction(-1, 100)) == "-1 point"
    assert counted_points(Fraction(0)) == "+0 points"
    assert counted_points(Fraction(1, 1000)) == "+0.1 points"


def test_an_interval_has_its_ends_in_points() -> None:
    assert between(-0.19, 0.0004) == "between -19 and +0.04"


def test_a_rate_is_100_percent_only_without_a_miss_and_0_percent_only_without_a_hit() -> None:
    assert percents(Fraction(999, 1000), Fraction(1)) == ("99.9 %", "100 %")
    assert percents(Fraction(1, 1000), Fraction(0)) == ("0.1 %", "0 %")
    assert percents(Fraction(9, 12)) == ("75 %",)


def test_what_differs_is_printed_apart() -> None:
    assert percents(Fraction(796, 1000), Fraction(4, 5)) == ("79.6 %", "80 %")
    assert percents(Fraction(332, 1000), Fraction(1, 3)) == ("33.2 %", "33.3 %")
    assert points_apart(0.0996, Fraction(1, 10)) == ("+9.96", "+10")
    assert percents(0.5, Fraction(1, 2)) == ("50 %", "50 %")


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (Fraction(0), "0"),
        (Fraction(1), "1"),
        (Fraction(9996, 10_000), "0.9996"),
        (Fraction(27, 100), "0.27"),
        (Fraction(1, 10), "0.1"),
        (Fraction(1, 16), "0.063"),
        (Fraction(1, 20), "0.05"),
        (Fraction(501, 10_000), "0.0501"),
        (Fraction(4999, 100_000), "0.04999"),
        (Fraction(1, 100), "0.01"),
        (Fraction(45, 10_000), "0.005"),
        (Fraction(4, 10_000), "0.0004"),
        (Fraction(96, 100_000), "0.001"),
        (Fraction(1, 10_000), "0.0001"),
        (Fraction(4, 10_000_000), "4e-7"),
        (Fraction(97, 10**8), "1e-6"),
        (Fraction(1, 10**400), "1e-400"),
    ],
)
def test_a_p_has_one_digit_that_counts_or_as_many_as_tell_it_from_the_level(p: Fraction, text: str) -> None:
    assert p_text(p) == text


@settings(deadline=None)
@given(st.fractions(0, 1))
def test_a_p_is_printed_on_its_side_of_the_level(p: Fraction) -> None:
    printed = Fraction(p_text(p))
    assert (printed <= Fraction(1, 20)) == (p <= Fraction(1, 20))
    assert (printed == 0, printed == 1) == (p == 0, p == 1)
    assert abs(printed - p) <= p / 2
