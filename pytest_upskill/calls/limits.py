"""The limiters of a run: one for each model, some of whose limits are those of an account."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TypeAlias

from pytest_upskill.calls.limiter import Limiter, Shared, Ticket
from pytest_upskill.types import Account, Model

__all__ = ["Limiter", "Limits", "Ticket"]

_Key: TypeAlias = tuple[str | None, ...]


class Limits:
    """All limiters of a run, on the engine's loop.

    Args:
        accounts: limits that models share, by their names.
        chance: for the pauses that no server names; by default one that nobody seeds again.
    """

    def __init__(self, accounts: Mapping[str, Account], chance: random.Random | None = None) -> None:
        self._accounts = accounts
        self._chance = chance or random.Random()  # noqa: S311 - spreads pauses
        self._shared: dict[_Key, Shared] = {}
        self._limiters: dict[_Key, Limiter] = {}

    def of(self, model: Model) -> Limiter:
        """Return the limiter of a model. Two names of one model share it, and the stricter limits hold."""
        key = (model.account, model.provider, model.base_url, model.api_key_env, model.model)
        if model.account is not None:
            key = (model.account, model.provider, model.base_url, None, model.model)
        limiter = self._limiters.get(key)
        if limiter is None:
            limiter = self._limiters[key] = Limiter(self._share(model), self._chance)
        limiter.obey(model)
        return limiter

    def waiting(self) -> tuple[float, str]:
        """Return the longest wait now in force, in seconds, and why; 0 and no words where nobody waits."""
        waits = [limiter.waiting() for limiter in self._limiters.values()]
        return max(waits, default=(0.0, ""), key=lambda wait: wait[0])

    def _share(self, model: Model) -> Shared:
        named = model.account
        owner: _Key = (named,) if named is not None else (model.provider, model.base_url, model.api_key_env)
        found = self._shared.get(owner)
        if found is None:
            account = self._accounts.get(named) if named is not None else None
            found = self._shared[owner] = Shared(account or Account())
        return found
