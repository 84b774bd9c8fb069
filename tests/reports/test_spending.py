"""What was spent, below the summary."""

from __future__ import annotations

import pytest

from pytest_upskill.calls.budget import Budget, BudgetSpent
from pytest_upskill.reports.spending import spending
from pytest_upskill.types import Outcome, Reply


def shown(budget: Budget, *outcomes: Outcome) -> list[str]:
    return [line.text for line in spending(budget, outcomes, 80)]


def made(budget: Budget, *costs: float | None, expected: float | None = 0.1) -> Budget:
    for cost in costs:
        budget.settle(budget.reserve(expected), cost)
    return budget


def test_what_calls_cost_is_said() -> None:
    assert shown(made(Budget(), 0.11, 0.2)) == ["spent: $0.31 in 2 calls"]
    assert shown(made(Budget(2.5), 0.3)) == ["spent: $0.30 of $2.50 in 1 call"]


def test_nothing_is_said_where_nothing_was_called_or_all_was_free() -> None:
    assert shown(Budget(2.5)) == []
    assert shown(made(Budget(), 0.0, 0.0)) == []
    assert shown(made(Budget(2.5), 0.0)) == ["spent: $0.00 of $2.50 in 1 call"]


def test_a_cost_that_is_not_known_is_said_to_be_so() -> None:
    assert shown(made(Budget(), None, expected=None)) == []
    assert shown(made(made(Budget(), 0.2), None, expected=None)) == [
        "spent: $0.20 in 2 calls, the cost of 1 of them unknown"
    ]
    assert shown(made(Budget(2.5), 0.2, None)) == ["spent: about $0.30 of $2.50 in 2 calls"]


def test_a_budget_that_was_reached_says_what_it_kept_from_being_measured() -> None:
    budget = made(Budget(0.25), 0.1, 0.1)
    with pytest.raises(BudgetSpent) as caught:
        budget.reserve(0.1)
    first, others = Outcome(error=str(caught.value)), [Outcome(error=caught.value.short)] * 2
    assert shown(budget, first, *others, Outcome(Reply("yes")), Outcome(error="500")) == [
        "spent: $0.20 of $0.25 in 2 calls",
        "3 samples not measured: the next call may cost more than is left of $0.25",
        "  (--upskill-budget): no further call is made; raise it to go on",
    ]


def test_a_number_of_calls_that_was_reached_is_said_without_any_price() -> None:
    budget = made(Budget(calls=1), None, expected=None)
    with pytest.raises(BudgetSpent):
        budget.reserve(None)
    assert shown(budget) == ["--upskill-max-calls=1 is reached: no further call is made; raise it to go on"]
