"""The decisions over the gates of a run: made together, once, when the first of them is asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING

from pytest_upskill.session.aa import SelfTrials
from pytest_upskill.session.judging import Judging
from pytest_upskill.session.rules import rules_for
from pytest_upskill.suite.matrix import Gate
from pytest_upskill.verdicts.gate import GateRules
from pytest_upskill.verdicts.result import GateResult, evaluate, failed_for

if TYPE_CHECKING:
    import pytest

    from pytest_upskill.calls.engine import Engine
    from pytest_upskill.session.baselines import Baselines
    from pytest_upskill.session.library import Library


class Decisions:
    """Decides gates, and remembers it. All methods may be called from any thread.

    Args:
        config: asks plugins.
        library: settings, rules and providers.
        engine: makes the engine when it is first asked for.
        baselines: what earlier runs saved.
        settled: after how many runs a gate was decided; None for all that were made.
    """

    def __init__(
        self,
        config: pytest.Config,
        library: Library,
        engine: Callable[[], Engine],
        baselines: Baselines,
        settled: Callable[[Gate], int | None],
    ) -> None:
        self._config = config
        self._library = library
        self._engine = engine
        self._baselines = baselines
        self._settled = settled
        self._deciding = threading.Lock()
        self._results: dict[Gate, GateResult] = {}

    @cached_property
    def judging(self) -> Judging:
        return Judging(self._library, self._engine(), self.rules, self._baselines, self._settled)

    @cached_property
    def against_itself(self) -> SelfTrials:
        return SelfTrials(self._library, self._engine(), self.rules)

    def rules(self, gate: Gate) -> GateRules:
        return rules_for(gate, self._library.file, self._library.settings.gate)

    def known(self, gate: Gate) -> GateResult | None:
        """Return the decision over a gate, None before it is made."""
        return self._results.get(gate)

    def of(self, gate: Gate, selected: Iterable[Gate]) -> GateResult:
        """Return the decision over a gate, once all that it needs is measured.

        Args:
            gate: which.
            selected: all gates of the run: what got worse is judged over all of them.

        Raises:
            EngineStopped: the run ended before.
        """
        with self._deciding:
            if gate not in self._results:
                undecided = [each for each in selected if each not in self._results]
                judges = self.against_itself if self._library.settings.aa else self.judging
                found = judges.results(undecided)
                self._results.update({each: self._with_plugins(result) for each, result in found.items()})
        return self._results[gate]

    def partial(self, gate: Gate) -> GateResult:
        """Return what is known of a gate that was not selected."""
        deterministic = self._library.providers[gate.model.name].deterministic
        outcomes = self._engine().outcomes
        return evaluate(gate, outcomes, self.rules(gate), deterministic=deterministic, selected=False)

    def _with_plugins(self, result: GateResult) -> GateResult:
        for reason in self._config.hook.pytest_upskill_gate(result=result):
            result = failed_for(result, str(reason))
        return result
