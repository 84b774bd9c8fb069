"""What a run spent, in a line or two below its summary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pytest_upskill.calls.budget import SHORT, Budget
from pytest_upskill.calls.prices import in_dollars
from pytest_upskill.reports.table import Line
from pytest_upskill.reports.words import counted, wrapped
from pytest_upskill.types import Outcome


def spending(budget: Budget, outcomes: Iterable[Outcome], width: int) -> Iterator[Line]:
    """Yield what was spent, and what the budget kept from being measured; nothing where all was free.

    Args:
        budget: of the run, which is over.
        outcomes: of all samples that finished.
        width: of the terminal, in columns.
    """
    if budget.calls and (budget.spent or budget.dollars is not None):
        yield Line(f"spent: {_amount(budget)} in {counted(budget.calls, 'call')}{_unpriced(budget)}")
    if budget.exhausted is not None:
        missing = sum(outcome.error in (budget.exhausted, SHORT) for outcome in outcomes)
        less = f"{counted(missing, 'sample')} not measured: " if missing else ""
        yield from (Line(text, {"red": True}) for text in wrapped(less + budget.exhausted, width, "", "  "))


def _amount(budget: Budget) -> str:
    # A call that was lost, or came back without usage, counts as what it was expected to cost.
    about = "about " if budget.unknown > budget.unpriced and budget.spent >= 0.0001 else ""
    limit = "" if budget.dollars is None else f" of {in_dollars(budget.dollars)}"
    return f"{about}{in_dollars(budget.spent)}{limit}"


def _unpriced(budget: Budget) -> str:
    return f", the cost of {budget.unpriced} of them unknown" if budget.unpriced else ""
