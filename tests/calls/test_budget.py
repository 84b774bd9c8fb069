"""The budget: nothing is sent that could go above it, whatever is in flight."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.calls.budget import Budget, BudgetSpent, Reservation
from pytest_upskill.errors import CallError

DOLLARS = (
    "the next call may cost more than is left of $1.00 (--upskill-budget): no further call is made; "
    "raise it to go on"
)
UNPRICED = "the price of a call is unknown, so --upskill-budget cannot be held: give its model a price in upskill.yaml"


def refused(budget: Budget, expected: float | None) -> CallError:
    with pytest.raises(BudgetSpent) as caught:
        budget.reserve(expected)
    return caught.value


def test_without_limits_it_only_counts() -> None:
    budget = Budget()
    for cost in (0.5, None, 1000.0):
        budget.settle(budget.reserve(0.25), cost)
    budget.settle(budget.reserve(None), None)
    assert (budget.spent, budget.calls, budget.unknown, budget.unpriced) == (1000.75, 4, 2, 1)
    assert budget.exhausted is None


def test_what_is_in_flight_is_spent_as_far_as_the_next_call_is_concerned() -> None:
    budget = Budget(1.0)
    first = budget.reserve(0.6)
    assert str(refused(budget, 0.6)) == DOLLARS
    assert (budget.spent, budget.calls) == (0.0, 0)
    budget.settle(first, 0.1)
    assert (budget.spent, budget.calls) == (0.1, 1)


def test_a_budget_may_be_spent_to_the_last_part_of_a_cent() -> None:
    budget = Budget(0.3)
    for _ in range(3):
        budget.settle(budget.reserve(0.1), 0.1)
    assert budget.spent == 0.3
    assert budget.exhausted is None


def test_once_it_has_refused_it_refuses_all_in_the_same_words() -> None:
    budget = Budget(1.0)
    budget.settle(budget.reserve(0.5), 0.5)
    error = refused(budget, 0.6)
    assert (str(error), error.short, error.fatal, error.fault) == (DOLLARS, "budget spent", False, "final")
    again = refused(budget, 0.0)
    assert str(again) == budget.exhausted == DOLLARS
    assert again is not error


def test_a_call_that_was_not_served_gives_back_what_was_set_aside() -> None:
    budget = Budget(1.0, calls=1)
    budget.release(budget.reserve(0.9))
    budget.settle(budget.reserve(0.9), 0.9)
    assert (budget.spent, budget.calls) == (0.9, 1)


def test_a_call_that_was_lost_counts_as_what_it_was_expected_to_cost() -> None:
    budget = Budget(1.0)
    budget.lose(budget.reserve(0.9))
    assert (budget.spent, budget.calls, budget.unknown, budget.unpriced) == (0.9, 1, 1, 0)
    assert str(refused(budget, 0.2)) == DOLLARS


def test_calls_are_counted_with_those_in_flight() -> None:
    budget = Budget(calls=2)
    first, second = budget.reserve(None), budget.reserve(None)
    said = "--upskill-max-calls=2 is reached: no further call is made; raise it to go on"
    assert str(refused(budget, None)) == budget.exhausted == said
    budget.settle(first, None)
    budget.lose(second)
    assert budget.calls == 2


def test_none_may_be_allowed() -> None:
    assert (
        str(refused(Budget(calls=0), 0.0))
        == "--upskill-max-calls=0 is reached: no further call is made; raise it to go on"
    )
    free = Budget(0.0)
    free.settle(free.reserve(0.0), 0.0)
    assert str(refused(free, 0.01)).startswith("the next call may cost more than is left of $0.00 ")


def test_a_call_without_a_price_is_refused_alone_where_dollars_are_counted() -> None:
    budget = Budget(1.0)
    error = refused(budget, None)
    assert (str(error), error.short, budget.exhausted) == (UNPRICED, "price unknown", None)
    budget.settle(budget.reserve(0.5), 0.5)
    Budget(calls=1).reserve(None)


AMOUNTS = st.floats(0, 5, allow_nan=False)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "settle", "unknown", "release", "lose"]), AMOUNTS, st.integers(0, 9)
    ),
    max_size=60,
)


@settings(deadline=None)
@given(st.floats(0, 10), st.none() | st.integers(0, 20), STEPS)
def test_it_is_exceeded_by_no_more_than_calls_cost_beyond_what_was_expected(
    limit: float, most: int | None, steps: list[tuple[str, float, int]]
) -> None:
    budget = Budget(limit, most)
    flying: list[tuple[Reservation, float]] = []
    beyond, made = 0.0, 0
    for step, amount, which in steps:
        if step == "reserve":
            try:
                flying.append((budget.reserve(amount), amount))
            except BudgetSpent:
                assert budget.exhausted is not None
        elif flying:
            reservation, expected = flying.pop(which % len(flying))
            made += step != "release"
            if step == "settle":
                beyond += max(amount - expected, 0.0)
                budget.settle(reservation, amount)
            elif step == "unknown":
                budget.settle(reservation, None)
            else:
                (budget.release if step == "release" else budget.lose)(reservation)
        assert budget.spent <= limit + beyond + 1e-9
        assert budget.calls == made
        assert most is None or made + len(flying) <= most
