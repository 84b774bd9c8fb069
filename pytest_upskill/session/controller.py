"""The controller: the engine, the gates and what is known, in the one process that makes the calls."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import pytest

from pytest_upskill.calls.attempts import Traffic
from pytest_upskill.calls.engine import Engine, EngineStopped
from pytest_upskill.calls.measure import Measurer, Requests
from pytest_upskill.calls.status import Status
from pytest_upskill.errors import ConfigError
from pytest_upskill.reports import gate_text, junit
from pytest_upskill.reports.plan import Plan
from pytest_upskill.reports.results import RunData
from pytest_upskill.session.answers import Answer, Place
from pytest_upskill.session.baselines import Baselines
from pytest_upskill.session.calling import Calling
from pytest_upskill.session.choosing import choices
from pytest_upskill.session.commands import Commands
from pytest_upskill.session.decisions import Decisions
from pytest_upskill.session.library import Library
from pytest_upskill.session.live import progress
from pytest_upskill.session.planning import Planner
from pytest_upskill.session.prompts import prompt_of
from pytest_upskill.session.recording import Recording
from pytest_upskill.session.rounds import Looking, Rounds, without_gate
from pytest_upskill.session.scoring import ScoringDesk
from pytest_upskill.session.standing import Standing
from pytest_upskill.suite.matrix import Gate, Sample, Suite
from pytest_upskill.types import DEFAULT_CONCURRENCY, Outcome
from pytest_upskill.verdicts.result import GateResult


class Controller:
    """Answers items, here or through the broker. All methods may be called from any thread."""

    def __init__(self, config: pytest.Config, library: Library) -> None:
        self.config = config
        self.library = library
        self._lock = threading.RLock()
        self._roots: set[str] = set()
        self._samples: dict[Place, Sample] = {}
        self._gates: dict[Place, Gate] = {}
        self.selected_samples: dict[Sample, None] = {}
        self.selected_gates: dict[Gate, None] = {}
        self._undecided: dict[Sample, Outcome] = {}
        self._told = 0
        self._total = 0
        self._standing = Standing()
        self._progress = progress(config, self.status)
        self._started = time.time()

    @cached_property
    def requests(self) -> Requests:
        return Requests(prompt_of(self.config.hook.pytest_upskill_prompt), self.library.providers)

    @cached_property
    def calling(self) -> Calling:
        return Calling(self.library, lambda: self.requests, self.wanted)

    @cached_property
    def recording(self) -> Recording:
        return Recording(self.config, self.library, self.requests, self.calling.recordings)

    @cached_property
    def scoring(self) -> ScoringDesk:
        return ScoringDesk(self.library)

    @cached_property
    def baselines(self) -> Baselines:
        return Baselines(self.library)

    @cached_property
    def engine(self) -> Engine:
        def make_measurer() -> Measurer:
            means = self.calling.means(self.recording.unrecorded)
            return Measurer(self.requests, means, self.scoring.scoring())

        stops_early = bool(self.config.getoption("maxfail", 0))
        window = (
            max(model.concurrency or DEFAULT_CONCURRENCY for model in self.library.models)
            if stops_early
            else None
        )
        return Engine(make_measurer, window, self._progress, self.rounds)

    @cached_property
    def rounds(self) -> Rounds:
        # Each of the two needs the other, but not before something is measured.
        return Rounds(Looking(lambda: self.outcomes, lambda: self.decisions.judging))

    @property
    def outcomes(self) -> Mapping[Sample, Outcome]:
        return self.engine.outcomes

    def select(self, places: Iterable[Place]) -> None:
        """Take note of the items that will run, in their order.

        Raises:
            UpskillError: a skill has changed under the run, or the store, a recording or a baseline cannot be used.
        """
        with self._lock:
            if self.calling.store is not None:
                self.calling.store.present([])
            for place in places:
                self._load(place[0])
                if place in self._samples:
                    self.selected_samples[self._samples[place]] = None
                elif place in self._gates:
                    self.selected_gates[self._gates[place]] = None
            self.rounds.add(self.selected_gates)
            self._undecided = without_gate(self._gates.values(), self.selected_gates, self.selected_samples)
            wanted = self.wanted()
            self.recording.check(wanted)
            self.baselines.check(self.selected_gates)
            self.scoring.check()
            self.engine.select(wanted)
            self.engine.settle(self._undecided)
            self._total = len(wanted)

    def wanted(self) -> list[Sample]:
        """Return the samples to measure: the selected ones, then what selected gates need beyond them, at most."""
        with self._lock:
            wanted = dict(self.selected_samples)
            for gate in self.selected_gates:
                wanted.update(dict.fromkeys(gate.samples))
            return [sample for sample in wanted if sample not in self._undecided]

    @cached_property
    def planner(self) -> Planner:
        return Planner(self.library, self.requests, self.calling, self.decisions.judging.further)

    def plan(self) -> Plan:
        """Say what is to be measured, what of it is there, and what the rest will take."""
        # An A/A run measures no lift, so there is none to say how small it may be.
        gates = [] if self.library.settings.aa else list(self.selected_gates)
        return self.planner.plan(self.wanted(), gates)

    def refuse(self) -> None:
        """Refuse a run whose plan is above its budget.

        Raises:
            UpskillError: with the whole sentence.
        """
        settings, option = self.library.settings, self.config.option
        if settings.budget is None and settings.max_calls is None:
            return
        if getattr(option, "setupplan", False) or getattr(option, "setuponly", False):
            return  # nothing is called
        refusal = self.planner.refusal(self.plan())
        if refusal is not None:
            raise ConfigError(refusal)

    def sample(self, place: Place) -> Answer:
        self._standing.begin()
        sample = self._samples[place]
        try:
            outcome = self.engine.outcome(sample)
        except EngineStopped as error:
            return Answer(error=str(error))
        return Answer(
            word="HIT" if outcome.hit else "MISS",
            error=outcome.error,
            skip=outcome.skip,
            seconds=outcome.reply.latency if outcome.reply and not outcome.cached else 0.0,
            properties=junit.sample_properties(sample, outcome),
            log=outcome.log,
        )

    def gate(self, place: Place) -> Answer:
        self._standing.begin()
        gate = self._gates[place]
        try:
            result = self.decisions.of(gate, list(self.selected_gates))
        except EngineStopped as error:
            return Answer(error=str(error))
        decision = result.decision
        if decision is None:
            return Answer(error="the gate was not decided")
        verbose = self.config.get_verbosity() > 0
        down = {**self.down, **self.recording.mend(result)}
        failure = (
            None
            if decision.passed
            else gate_text.failure(
                result, self.outcomes, down, look=self.commands.look(gate), verbose=verbose
            )
        )
        return Answer(word=decision.word, failure=failure, properties=junit.gate_properties(result))

    @property
    def down(self) -> dict[str, str]:
        """Why models could not be called, in whole sentences, by their names."""
        measurer = self.engine.measurer
        return {} if measurer is None else {name: str(error) for name, error in measurer.down.items()}

    @property
    def calls(self) -> int:
        return self.traffic.calls

    @property
    def traffic(self) -> Traffic:
        """What went to the servers so far."""
        measurer = self.engine.measurer
        return Traffic() if measurer is None else measurer.traffic

    def status(self) -> Status:
        """Say how far the run is."""
        self._standing.total = self._total - self.rounds.spared + len(self.decisions.judging.extras)
        return self._standing.status(self.engine, self.traffic, self.calling.budget)

    def results(self) -> list[GateResult]:
        """Return what is known of every skill x model of which something was selected, in collection order."""
        touched = {(sample.suite, sample.model.name) for sample in self.selected_samples}
        found = []
        for gate in self._gates.values():
            if (known := self.decisions.known(gate)) is not None:
                found.append(known)
            elif gate in self.selected_gates or (gate.suite, gate.model.name) in touched:
                found.append(self.decisions.partial(gate))
        return found

    def run_data(self) -> RunData:
        """Return what results.json is made of."""
        library, results = self.library, self.results()
        return RunData(
            rootdir=library.settings.rootdir,
            started=self._started,
            seconds=time.time() - self._started,
            cache=library.settings.cache,
            calls=self.calls,
            retries=self.traffic.retries,
            refusals=self.traffic.refusals,
            models=library.models,
            deterministic={name: provider.deterministic for name, provider in library.providers.items()},
            results=results,
            outcomes=self.outcomes,
            down=self.down,
            spent=None if self.calling.budget.unpriced else self.calling.budget.spent,
            prices={model.name: self.calling.prices.of(model) for model in library.models},
            extras=self.decisions.judging.extras.samples,
            choices=choices(results, self.outcomes, library),
            aa=self.decisions.against_itself.trials() if library.settings.aa else None,
            seed=self.scoring.used_seed(self.outcomes.values()),
        )

    def suites(self) -> list[Suite]:
        return list(dict.fromkeys(result.gate.suite for result in self.results()))

    def tell_finished(self) -> None:
        """Call `pytest_upskill_sample_finished` for what finished since the last time. Main thread."""
        finished = self.engine.finished
        while self._told < len(finished):
            sample = finished[self._told]
            self._told += 1
            self.config.hook.pytest_upskill_sample_finished(sample=sample, outcome=self.outcomes[sample])

    def stop(self) -> None:
        if self._progress is not None:
            self._progress.end()
        self.engine.stop()

    @cached_property
    def commands(self) -> Commands:
        return Commands(self.config, self.library)

    @cached_property
    def decisions(self) -> Decisions:
        return Decisions(
            self.config,
            self.library,
            lambda: self.engine,
            self.baselines,
            self.rounds.decided,
            self._present,
        )

    def _present(self, samples: Sequence[Sample]) -> bool:
        asked = {self.requests.key(sample): sample for sample in samples}
        return asked.keys() <= set().union(*self.calling.there(asked))

    def _load(self, root: str) -> None:
        if root in self._roots:
            return
        matrix = self.library.matrix(Path(root))
        self._samples.update({(root, sample.id): sample for sample in matrix.samples})
        self._gates.update({(root, gate.id): gate for gate in matrix.gates})
        self._roots.add(root)
