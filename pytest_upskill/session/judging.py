"""Deciding all gates of a run together: what got worse is judged over all at once, and may take further runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_upskill.session.extras import Asked, Extras, further_calls
from pytest_upskill.suite.matrix import Gate, Sample, Suite
from pytest_upskill.types import OLD, Arm, Case, Outcome
from pytest_upskill.verdicts.cases import strict_reasons
from pytest_upskill.verdicts.change import Comparison, Finding, Needs, Question, conclude, exact_loss, needs
from pytest_upskill.verdicts.drift import drift, p_beyond_drift
from pytest_upskill.verdicts.gate import Against, Change, GateRules, State
from pytest_upskill.verdicts.result import GateResult, comparison, evaluate, failed_for
from pytest_upskill.verdicts.stopping import EARLY
from pytest_upskill.verdicts.tally import Tally, tally
from pytest_upskill.verdicts.verdict import CaseCount

if TYPE_CHECKING:
    from pytest_upskill.calls.engine import Engine
    from pytest_upskill.session.baselines import Baseline, Baselines
    from pytest_upskill.session.library import Library

Key = tuple[Gate, Question]


class Judging:
    """Measures what gates need, and decides them.

    Args:
        library: settings and providers.
        engine: measures, and knows what was measured.
        rules: of a gate.
        baselines: what earlier runs saved.
        settled: after how many runs a gate was decided; None for all that were made.
        present: tells whether the replies of samples are all stored or recorded.
    """

    def __init__(
        self,
        library: Library,
        engine: Engine,
        rules: Callable[[Gate], GateRules],
        baselines: Baselines,
        settled: Callable[[Gate], int | None],
        present: Callable[[Sequence[Sample]], bool],
    ) -> None:
        self._library = library
        self._engine = engine
        self.rules = rules
        self._baselines = baselines
        self._settled_at = settled
        self.extras = Extras(engine, present)

    def results(self, gates: Sequence[Gate]) -> dict[Gate, GateResult]:
        """Decide gates as one family, and wait until all that they need is measured.

        Raises:
            EngineStopped: the run ended before.
        """
        self._engine.gather([sample for gate in gates for sample in gate.samples])
        tallies = {gate: tally(gate, self._engine.outcomes, self._settled_at(gate)) for gate in gates}
        family: dict[Key, Asked] = {}
        for gate, counted in tallies.items():
            family |= {(gate, each.comparison.question): each for each in self._asked(gate, counted)}
        self._settle(family)
        found = conclude({key: each.comparison for key, each in family.items()})
        found = {key: _with_cause(finding, family[key].failed) for key, finding in found.items()}
        results = {gate: self._result(gate, counted, found) for gate, counted in tallies.items()}
        return _strict(results) if self._library.settings.strict_cases else results

    def tested(self, gate: Gate) -> bool:
        """Tell whether a gate may fail for what changed."""
        against = self._against(gate)
        return against is None or against.state != "unchanged"

    def with_baseline(self, gate: Gate, counts: Sequence[CaseCount]) -> list[CaseCount]:
        """Return counts with those that a baseline has of the old skill."""
        baseline = self._baselines.of(gate)
        if baseline is None or baseline.unchanged:
            return list(counts)
        old = {stratum.case: stratum for stratum in baseline.with_strata(counts)}
        return [
            replace(count, old_hits=old[count.case].old_hits, old_runs=old[count.case].old_runs)
            if count.case in old
            else count
            for count in counts
        ]

    def further(self, gate: Gate) -> int:
        """Return how many calls a gate may take beyond its own, at most, to confirm or settle what it suspects."""
        against = self._against(gate)
        settings = self._library.settings
        if against is None or not self.tested(gate) or self._exact(gate):
            return 0
        if not settings.extra or settings.cache == "replay":
            return 0
        return further_calls(gate, regressed=OLD in gate.suite.arms)

    def _settle(self, family: Mapping[Key, Asked]) -> None:
        while wanted := needs({key: each.comparison for key, each in family.items()}):
            due: dict[Key, list[Sample]] = {}
            for key, need in wanted.items():
                samples = list(family[key].samples(need, self.extras))
                why = self._in_vain(family[key], need)
                if why and not self.extras.present(samples):
                    family[key].give_up(why)
                else:
                    due[key] = samples
            self.extras.measure(sample for samples in due.values() for sample in samples)
            for key in due:
                family[key].take(wanted[key], self.extras)

    def _in_vain(self, asked: Asked, need: Needs) -> str:
        """Return why runs that are not there already would settle nothing, or cannot be made."""
        if self._library.settings.cache == "replay":
            return "--upskill-cache=replay makes no call"
        if need.fresh and asked.past:
            return "the replies with the skill are of another day, and --upskill-cache=refresh makes all anew"
        return ""

    def _asked(self, gate: Gate, counted: Tally) -> Iterator[Asked]:
        """Yield the comparisons of a gate that are tested for noise."""
        against = self._against(gate)
        if self._exact(gate) or not self.tested(gate):
            return
        replies = self._replies(gate, counted)
        # What ends before its last round is decided where the data looked worst.
        weight = EARLY if gate.auto and counted.rounds < gate.runs else 1
        for each in self._comparisons(gate, counted):
            tested = replace(each, weight=weight)
            asked = Asked(gate, counted.rounds, tested, replies)
            # Without a base nobody asked what changed: further calls would come as a surprise. A baseline's runs
            # cannot be made again.
            if against is not None and (tested.question == "hurts" or tested.beyond is None):
                asked.comparison = replace(tested, extra=self._library.settings.extra, stored=asked.stored)
            yield asked

    def _comparisons(self, gate: Gate, counted: Tally) -> Iterator[Comparison]:
        rules, baseline = self.rules(gate), self._baselines.of(gate)
        if gate.suite.old is not None and gate.suite.old.measured:
            yield comparison(counted.counts, "regressed", rules)
        elif baseline is not None and not baseline.unchanged:
            strata = baseline.with_strata(counted.counts)
            others = baseline.without_strata(gate, self._engine.outcomes)
            beyond = p_beyond_drift(strata, others, rules.min_drop)
            yield Comparison("regressed", tuple(strata), rules.min_drop, beyond=beyond)
        yield comparison(counted.counts, "hurts", rules)

    def _against(self, gate: Gate) -> Against | None:
        old, baseline = gate.suite.old, self._baselines.of(gate)
        if baseline is not None:
            state: State = "unchanged" if baseline.unchanged else "changed"
            return Against(
                f"the baseline of {baseline.date}", state, baseline.left_out, self._notes(gate, baseline)
            )
        if old is None:
            return None
        if old.skill is None:
            return Against(old.ref, "new")
        notes = (f"the folder was moved from {old.origin}",) if old.origin else ()
        return Against(old.ref, "unchanged" if old.unchanged else "changed", notes=notes)

    def _notes(self, gate: Gate, baseline: Baseline) -> tuple[str, ...]:
        if self._exact(gate):
            return ()
        outcomes = self._engine.outcomes
        strata = baseline.without_strata(gate, outcomes)
        found = drift(strata, self.rules(gate).min_drop)
        said = [None if found is None else found.phrase(baseline.date), baseline.snapshot(gate, outcomes)]
        if not strata and not baseline.unchanged:
            said.append(
                "the replies without the skill are the baseline's own, so that a change of the model would not show"
            )
        return tuple(note for note in said if note is not None)

    def _replies(self, gate: Gate, counted: Tally) -> dict[tuple[Case, Arm], list[Outcome]]:
        whole = {count.case for count in counted.counts}
        found: dict[tuple[Case, Arm], list[Outcome]] = {}
        for sample in gate.samples:
            if sample.case.id in whole and sample.run <= counted.rounds:
                found.setdefault((sample.case, sample.arm), []).append(self._engine.outcomes[sample])
        return found

    def _result(self, gate: Gate, counted: Tally, found: Mapping[Key, Finding]) -> GateResult:
        against = self._against(gate)
        own = [finding for (other, _), finding in found.items() if other is gate]
        if against is None:
            # Nothing more was to be asked, so that nothing is unsettled.
            own = [replace(finding, unsettled=()) for finding in own]
        before = (each.strata for each in self._comparisons(gate, counted) if each.question == "regressed")
        old = next(before, ())
        lost = exact_loss(old) if self._exact(gate) else ()
        change = Change(against, tuple(own), lost, old, len(found))
        return evaluate(
            gate,
            self._engine.outcomes,
            self.rules(gate),
            deterministic=self._exact(gate),
            change=change,
            settled=counted,
        )

    def _exact(self, gate: Gate) -> bool:
        return self._library.providers[gate.model.name].deterministic


def _with_cause(finding: Finding, failed: str) -> Finding:
    """Return a finding that says why further runs did not settle it."""
    if not failed or not finding.unsettled:
        return finding
    cause = f"Further runs were to settle that, and could not be had: {failed.rstrip('.')}."
    return replace(finding, unsettled=(*finding.unsettled, cause))


def _strict(results: Mapping[Gate, GateResult]) -> dict[Gate, GateResult]:
    """Fail the gates of skills with cases that nothing ever hits."""
    of_skill: dict[Suite, list[GateResult]] = {}
    for result in results.values():
        of_skill.setdefault(result.gate.suite, []).append(result)
    failed = dict(results)
    for suite, own in of_skill.items():
        for reason in strict_reasons(own):
            failed |= {gate: failed_for(failed[gate], reason) for gate in failed if gate.suite is suite}
    return failed
