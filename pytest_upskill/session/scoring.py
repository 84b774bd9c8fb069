"""What scores the replies of a run: the registered scorers, their processes, and the seed of the run."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING

from pytest_upskill.calls.scoring import Scoring
from pytest_upskill.errors import ConfigError, listing, nearest
from pytest_upskill.scorers.isolate import Judges
from pytest_upskill.session.library import Library
from pytest_upskill.types import Outcome, ScoringRun

if TYPE_CHECKING:
    from concurrent.futures import Executor

_SEED = 16


class ScoringDesk:
    """Makes the scoring of a run; its seed is secret until the run is over."""

    def __init__(self, library: Library) -> None:
        self._library = library

    @cached_property
    def seed(self) -> bytes:
        """The seed that the user gave, or a new secret."""
        return self._library.settings.seed or secrets.token_bytes(_SEED)

    def used_seed(self, outcomes: Iterable[Outcome]) -> str | None:
        """Return the seed in hexadecimal digits where something was drawn from it, for the end of the run."""
        return self.seed.hex() if any(outcome.stages for outcome in outcomes) else None

    def check(self) -> None:
        """Raise `ConfigError` where an executor is asked for that nobody registers."""
        name, known = self._library.settings.executor, self._library.registry.executors
        if name not in known:
            raise ConfigError(
                f"--upskill-kernel-executor: no plugin registers an executor called '{name}'{nearest(name, known)}; "
                f"there are: {listing(known)}"
            )

    def scoring(self) -> Scoring:
        """Return what judges the replies. On the engine's loop."""
        hidden = self._hidden
        run = ScoringRun(
            folder=self._library.settings.cache_dir,
            seed=self.seed,
            unsafe=self._library.settings.unsafe,
            hidden=hidden,
            executor=self._executor(),
        )
        return Scoring(self._library.registry.scorers, Judges(secrets=hidden), run)

    @property
    def _hidden(self) -> frozenset[str]:
        return frozenset(model.api_key_env for model in self._library.models if model.api_key_env)

    def _executor(self) -> Executor | None:
        return self._library.registry.executors[self._library.settings.executor]()
