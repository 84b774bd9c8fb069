"""What a run gets its replies with, put together from its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pytest_upskill.calls.attempts import Attempts
from pytest_upskill.calls.batch import Batcher, Wanted
from pytest_upskill.calls.budget import Budget
from pytest_upskill.calls.caller import Caller
from pytest_upskill.calls.claims import Claims
from pytest_upskill.calls.clients import Clients
from pytest_upskill.calls.estimate import Estimator
from pytest_upskill.calls.limits import Limits
from pytest_upskill.calls.prices import Prices
from pytest_upskill.calls.recordings import Recordings
from pytest_upskill.calls.retry import Policy
from pytest_upskill.calls.store import Store, endpoint_of
from pytest_upskill.errors import CallError
from pytest_upskill.protocols import Provider
from pytest_upskill.suite.matrix import Sample
from pytest_upskill.types import Account, CacheMode, Model


@dataclass(frozen=True, slots=True)
class Setting:
    """What a run was told about its calls.

    Attributes:
        mode: of the store.
        accounts: limits that models share, by their names.
        batch: asked once a model for all requests that may go into a batch; None makes no batches.
        unrecorded: the error of a sample whose reply is nowhere, where no call may be made.
        notice: takes whole sentences for the end of the run.
        policy: how patient it is.
    """

    mode: CacheMode = "auto"
    accounts: Mapping[str, Account] | None = None
    batch: Callable[[Model], Sequence[Wanted]] | None = None
    unrecorded: Callable[[Sample], CallError] | None = None
    notice: Callable[[str], None] = lambda _: None
    policy: Policy | None = None


class Means:
    """The parts, each made once for a run; on the engine's loop."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        setting: Setting,
        store: Store | None = None,
        claims: Claims | None = None,
        *,
        budget: Budget | None = None,
        prices: Prices | None = None,
        recordings: Recordings | None = None,
    ) -> None:
        self.mode = setting.mode
        self._unrecorded = setting.unrecorded
        self.prices = prices or Prices()
        self.budget = budget or Budget()
        self.recordings = recordings or Recordings()
        self.clients = Clients(providers)
        self.limits = Limits(setting.accounts or {})
        estimator = Estimator(
            self.prices, lambda model: None if store is None else store.history(endpoint_of(model))
        )
        self.attempts = Attempts(
            self.clients, self.limits, self.budget, estimator.call, self.prices.cost, setting.policy
        )
        self.batcher: Batcher | None = None
        if setting.batch is not None:
            self.batcher = Batcher(
                store,
                claims,
                setting.batch,
                self.budget,
                lambda model, request: estimator.call(model, request).cost,
                setting.notice,
                clients=self.clients,
                paid=self.prices.cost,
            )
        self.caller = Caller(
            self.clients, self.attempts, store, claims, setting.mode, self.batcher, setting.notice
        )

    def words(self) -> str:
        """Say what is waited for that nobody here can hasten: batches, and calls of other runs. Any thread."""
        batches = "" if self.batcher is None else self.batcher.words()
        return ", ".join(filter(None, (batches, self.caller.words())))

    def unrecorded(self, sample: Sample) -> CallError:
        """Return the error of a sample whose reply is nowhere, where no call may be made."""
        if self._unrecorded is not None:
            return self._unrecorded(sample)
        name = sample.model.name
        return CallError(f"{name}: no stored reply, and --upskill-cache=replay makes no call")
