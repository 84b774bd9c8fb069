"""The A/A run (--upskill-aa): the skill against itself, which asks about the suite and does not judge the skill."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_upskill.reports.aa import SEED, Trial, Trials
from pytest_upskill.suite.matrix import Gate, Sample
from pytest_upskill.types import Case, Outcome
from pytest_upskill.verdicts.gate import Change, GateRules
from pytest_upskill.verdicts.resampling import resampled
from pytest_upskill.verdicts.result import GateResult, evaluate
from pytest_upskill.verdicts.splits import Pool, Splits
from pytest_upskill.verdicts.tally import distinct

if TYPE_CHECKING:
    from pytest_upskill.calls.engine import Engine
    from pytest_upskill.session.library import Library
    from pytest_upskill.settings import Settings


def check(settings: Settings) -> None:
    """Refuse what cannot be asked for together with --upskill-aa.

    Raises:
        pytest.UsageError: with the whole sentence.
    """
    if settings.save_baseline:
        raise pytest.UsageError(
            "--upskill-save-baseline cannot be used with --upskill-aa: an A/A run has no arm without the skill, "
            "so there is no baseline to save: save it in a run of its own"
        )
    if settings.runs is not None and not isinstance(settings.runs, int):
        raise pytest.UsageError(
            "--upskill-runs=auto cannot be used with --upskill-aa: the replies are split into two halves of a "
            "fixed number of runs: give that number, such as --upskill-runs=5"
        )


class SelfTrials:
    """Decides gates where `Judging` does in other runs, by whether their samples could be measured.

    Args:
        library: settings and providers.
        engine: measures, and knows what was measured.
        rules: of a gate.
    """

    def __init__(self, library: Library, engine: Engine, rules: Callable[[Gate], GateRules]) -> None:
        self._library = library
        self._engine = engine
        self._rules = rules
        self._trials: dict[Gate, Trial] = {}
        self._found: Trials | None = None

    def results(self, gates: Sequence[Gate]) -> dict[Gate, GateResult]:
        """Decide gates, and wait until all of their samples are measured.

        Raises:
            EngineStopped: the run ended before.
        """
        self._engine.gather([sample for gate in gates for sample in gate.samples])
        return {gate: self._result(gate) for gate in gates}

    def trials(self) -> Trials:
        """Split the replies of all gates that were measured whole. Takes seconds for many replies."""
        if self._found is None or len(self._found.of) < len(self._trials):
            self._found = self._all()
        return self._found

    def _all(self) -> Trials:
        splits = {
            gate: Splits(trial.pools, self._rules(gate).min_drop)
            for gate, trial in self._trials.items()
            if not trial.deterministic
        }
        if not splits:
            return Trials(tuple(self._trials.values()), None)
        rates, family = resampled(splits, random.Random(SEED).randrange)  # noqa: S311 - no secret
        done = {
            gate: replace(self._trials[gate], rates=rates[gate], p=own.as_it_was() if own.pools else None)
            for gate, own in splits.items()
        }
        return Trials(tuple((self._trials | done).values()), family)

    def _result(self, gate: Gate) -> GateResult:
        exact = self._library.providers[gate.model.name].deterministic
        outcomes = self._engine.outcomes
        # Nothing was measured without the skill: what is left to say is whether anything is missing.
        result = evaluate(gate, outcomes, self._rules(gate), deterministic=exact, change=Change())
        replies = _replies(gate, outcomes)
        if result.decision is None or result.decision.word == "incomplete" or not replies:
            return result
        self._trials[gate] = _trial(gate, replies, deterministic=exact)
        return replace(result, decision=replace(result.decision, passed=True, word="passed", reasons=()))


def _replies(gate: Gate, outcomes: Mapping[Sample, Outcome]) -> dict[Case, list[Outcome]]:
    found: dict[Case, list[Outcome]] = {}
    for sample in gate.samples:
        if outcomes[sample].measured:
            found.setdefault(sample.case, []).append(outcomes[sample])
    return found


def _trial(gate: Gate, replies: Mapping[Case, Sequence[Outcome]], *, deterministic: bool) -> Trial:
    counted = {case.id: [outcome.hit for outcome in distinct(found)] for case, found in replies.items()}
    hits = [hit for found in counted.values() for hit in found]
    trial = Trial(gate, deterministic, sum(hits), len(hits))
    if deterministic:
        return trial
    halves = {name: len(found) // 2 for name, found in counted.items()}
    pools = [
        Pool(name, sum(counted[name][:half]), sum(counted[name][half : 2 * half]), half)
        for name, half in halves.items()
        if half
    ]
    repeated = [(name, half) for name, half in halves.items() if len(counted[name]) < gate.runs]
    return replace(trial, pools=tuple(pools), repeated=tuple(repeated))
