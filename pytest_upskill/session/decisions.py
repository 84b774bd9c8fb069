"""The decisions over the gates of a run: made together, once, when the first of them is asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from pytest_upskill.session.aa import SelfTrials
from pytest_upskill.session.judging import Judging
from pytest_upskill.session.rules import rules_for
from pytest_upskill.suite.matrix import Gate, Sample
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
        present: tells whether the replies of samples are all stored or recorded.
    """

    def __init__(
        self,
        config: pytest.Config,
        library: Library,
        engine: Callable[[], Engine],
        baselines: Baselines,
        settled: Callable[[Gate], int | None],
        present: Callable[[Sequence[Sample]], bool],
    ) -> None:
        self._config = config
        self._library = library
        self._engine = engine
        self._baselines = baselines
        self._settled = settled
        self._present = present
        self._deciding = threading.Lock()
        self._making = threading.RLock()
        self._judged: dict[Gate, GateResult] = {}
        self._results: dict[Gate, GateResult] = {}
        self._judging: Judging | None = None

    @property
    def judging(self) -> Judging:
        with self._making:  # asked for by looks, by the progress line and by whoever wants a gate, at once
            if self._judging is None:
                self._judging = Judging(
                    self._library, self._engine(), self.rules, self._baselines, self._settled, self._present
                )
            return self._judging

    @cached_property
    def against_itself(self) -> SelfTrials:
        return SelfTrials(self._library, self._engine(), self.rules)

    def rules(self, gate: Gate) -> GateRules:
        return rules_for(gate, self._library.file, self._library.settings.gate)

    def known(self, gate: Gate) -> GateResult | None:
        """Return the decision over a gate, None before it is made."""
        return self._results.get(gate) or self._judged.get(gate)

    def of(self, gate: Gate, selected: Iterable[Gate]) -> GateResult:
        """Return the decision over a gate, once all that it needs is measured.

        Args:
            gate: which.
            selected: all gates of the run: what got worse is judged over all of them.

        Raises:
            EngineStopped: the run ended before.
        """
        with self._deciding:
            if gate not in self._judged:
                undecided = [each for each in selected if each not in self._judged]
                judges = self.against_itself if self._library.settings.aa else self.judging
                self._judged.update(judges.results(undecided))
            if gate not in self._results:
                # Each by itself: a plugin that fails over one gate costs the others nothing.
                self._results[gate] = self._with_plugins(self._judged[gate])
        return self._results[gate]

    def partial(self, gate: Gate) -> GateResult:
        """Return what is known of a gate that was not selected."""
        deterministic = self._library.providers[gate.model.name].deterministic
        outcomes = self._engine().outcomes
        return evaluate(gate, outcomes, self.rules(gate), deterministic=deterministic, change=None)

    def _with_plugins(self, result: GateResult) -> GateResult:
        for reason in self._config.hook.pytest_upskill_gate(result=result):
            result = failed_for(result, str(reason))
        return result
