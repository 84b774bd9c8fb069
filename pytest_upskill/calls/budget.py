"""The budget of a run: what a call may cost is set aside before it is sent."""

from __future__ import annotations

from pytest_upskill.calls.prices import in_dollars
from pytest_upskill.errors import CallError

SHORT = "budget spent"
_UNPRICED = "the price of a call is unknown, so --upskill-budget cannot be held: give its model a price in upskill.yaml"
_UNIT = 10**12  # sums are whole numbers of these parts of a dollar: no order of calls changes them


class BudgetSpent(CallError):
    """A call was not made, as it could have gone above what the run may spend."""


class Reservation:
    """What is set aside for one call that is under way."""

    __slots__ = ("expected", "priced")

    def __init__(self, expected: int, *, priced: bool) -> None:
        self.expected = expected
        self.priced = priced


class Budget:
    """What a run may spend; without limits it only counts. Once it has refused a call it refuses all.

    A call that is sent in spite of what is in flight could overshoot by all of that: `reserve` comes before a call,
    and one of `settle`, `release` and `lose` after it. Those belong to the engine's loop; any thread may read.

    Args:
        dollars: US dollars; None for any.
        calls: None for any.
    """

    def __init__(self, dollars: float | None = None, calls: int | None = None) -> None:
        self.dollars = dollars
        self.most_calls = calls
        self._limit = None if dollars is None else _parts(dollars)
        self._spent = 0
        self._held: set[Reservation] = set()
        self._aside = 0
        self._calls = 0
        self._unknown = 0
        self._unpriced = 0
        self._exhausted: str | None = None

    @property
    def spent(self) -> float:
        """What calls that have ended cost, in US dollars: the expected cost where theirs is not known."""
        return self._spent / _UNIT

    @property
    def calls(self) -> int:
        """How many calls have ended, those left out that were not served."""
        return self._calls

    @property
    def unknown(self) -> int:
        """Of how many of those calls the cost is not known."""
        return self._unknown

    @property
    def unpriced(self) -> int:
        """Of how many of those not even the price is known: nothing of them is in `spent`."""
        return self._unpriced

    @property
    def exhausted(self) -> str | None:
        """The whole sentence of why calls are refused; None as long as none was."""
        return self._exhausted

    def refuse_vain_calls(self, expected: float | None) -> None:
        """Raise `BudgetSpent` for a call that is refused whenever its turn comes; see `reserve`."""
        if expected is None and self._limit is not None:
            raise BudgetSpent(_UNPRICED, short="price unknown")
        if self._exhausted is not None:
            raise BudgetSpent(self._exhausted, short=SHORT)

    def reserve(self, expected: float | None) -> Reservation:
        """Set aside what a call is expected to cost, in US dollars; None where nobody knows.

        Raises:
            BudgetSpent: the call must not be made.
        """
        self.refuse_vain_calls(expected)
        parts = _parts(expected or 0.0)
        self._exhausted = self._refusal(parts)
        self.refuse_vain_calls(expected)
        reservation = Reservation(parts, priced=expected is not None)
        self._held.add(reservation)
        self._aside += parts
        return reservation

    def settle(self, reservation: Reservation, cost: float | None) -> None:
        """Note what a call cost, in US dollars; where that is not known, what it was expected to cost counts."""
        self._give_back(reservation)
        self._calls += 1
        self._unknown += cost is None
        self._unpriced += cost is None and not reservation.priced
        self._spent += reservation.expected if cost is None else _parts(cost)

    def release(self, reservation: Reservation) -> None:
        """Give back what was set aside for a call that was not served."""
        self._give_back(reservation)

    def lose(self, reservation: Reservation) -> None:
        """Note a call without a reply that may have been billed all the same."""
        self.settle(reservation, None)

    def _give_back(self, reservation: Reservation) -> None:
        self._held.remove(reservation)
        self._aside -= reservation.expected

    def _refusal(self, expected: int) -> str | None:
        if self.most_calls is not None and self._calls + len(self._held) >= self.most_calls:
            return f"--upskill-max-calls={self.most_calls} is reached: no further call is made; raise it to go on"
        if self.dollars is None or self._limit is None:
            return None
        if self._spent + self._aside + expected <= self._limit:
            return None
        # Less than the limit is spent where calls are expected to cost more than is left.
        rest = f"the next call may cost more than is left of {in_dollars(self.dollars)} (--upskill-budget)"
        return f"{rest}: no further call is made; raise it to go on"


def _parts(dollars: float) -> int:
    return round(dollars * _UNIT)
