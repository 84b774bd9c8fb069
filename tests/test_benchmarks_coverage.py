"""The benchmark of the verdicts simulates what the package does, and not something like it."""

from __future__ import annotations

from itertools import product

import pytest

pytest.importorskip("numpy")

from benchmarks import coverage_check
from benchmarks.coverage_change import case_alarm


def test_the_fast_staged_test_proves_the_same_falls_as_the_package() -> None:
    assert coverage_check.check(40, seed=11).endswith("all equal")


@pytest.mark.parametrize("family", [1, 10, 60])
def test_one_of_twenty_cases_that_broke_wholly_is_found_from_any_number_of_runs(family: int) -> None:
    level = 0.01 / (20 * family)
    for old, new in product(range(1, 11), repeat=2):
        assert case_alarm(old, new, (1.0, 1.0, 0.0), level) >= 0.99


def test_a_case_that_did_not_change_is_called_broken_no_more_often_than_its_level() -> None:
    for old, new, rate in product((1, 3, 10), (1, 3, 10), (0.0, 0.2, 0.5, 0.9, 1.0)):
        assert case_alarm(old, new, (rate, rate, rate), 0.01) <= 0.01
