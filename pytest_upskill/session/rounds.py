"""Auto runs: gates that are measured in whole rounds over all of their cases, until they are decided."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from pytest_upskill.calls.follower import Follower, Further
from pytest_upskill.suite.matrix import Gate, Sample
from pytest_upskill.types import NOT_NEEDED, Outcome
from pytest_upskill.verdicts.gate import GateRules
from pytest_upskill.verdicts.stopping import Look, Standing, look, looks
from pytest_upskill.verdicts.tally import tally
from pytest_upskill.verdicts.verdict import CaseCount


def first_look(gate: Gate) -> int:
    """Return how many rounds of a gate are made whatever comes of them."""
    return looks(gate.runs)[0] if gate.auto else gate.runs


class Terms(Protocol):
    """How a gate is judged."""

    def rules(self, gate: Gate) -> GateRules: ...

    def tested(self, gate: Gate) -> bool:
        """Tell whether a regression and harm are open questions."""

    def with_baseline(self, gate: Gate, counts: Sequence[CaseCount]) -> Sequence[CaseCount]:
        """Put in what a saved baseline knows of the old skill."""


class Looking:
    """Looks at what is known of a gate.

    Args:
        outcomes: of the run.
        terms: asked at the first look.
    """

    def __init__(self, outcomes: Callable[[], Mapping[Sample, Outcome]], terms: Callable[[], Terms]) -> None:
        self._outcomes = outcomes
        self._terms = terms

    def __call__(self, gate: Gate, done: int, decided: int | None) -> Look:
        """Say whether a gate needs more rounds than are done; `decided` is what the look before said of it."""
        counts = tally(gate, self._outcomes(), done).counts
        if not counts:
            # A model that is down would be asked in vain again and again.
            runs = "run 1" if done == 1 else f"runs 1 to {done}"
            return Look(done, f"no case could be measured whole in {runs}", decided)
        terms = self._terms()
        counts = tuple(terms.with_baseline(gate, counts))
        return look(Standing(done, gate.runs, counts, terms.rules(gate), terms.tested(gate), decided))


def without_gate(
    gates: Iterable[Gate], chosen: Container[Gate], samples: Container[Sample]
) -> dict[Sample, Outcome]:
    """Return what becomes of those samples of further rounds whose gate was not chosen: nobody decides on them."""
    return {
        sample: Outcome(skip=f"auto runs are decided by gates, and {gate.id} is not selected")
        for gate in gates
        if gate.auto and gate not in chosen
        for sample in gate.samples
        if sample.run > 1 and sample in samples
    }


@dataclass(slots=True, eq=False)
class _Going:
    """How far a gate is: rounds that were begun, what of them is not known yet, who waits for a later one."""

    gate: Gate
    reached: int
    left: dict[Sample, None]
    asked: set[Sample] = field(default_factory=set)
    decided: int | None = None

    def came(self, sample: Sample) -> bool:
        """Take note of a sample; return whether it was the last of the rounds that were begun."""
        del self.left[sample]
        return not self.left

    def reach(self, rounds: int) -> Further:
        done, self.reached = self.reached, rounds
        begun = [sample for sample in self.gate.samples if done < sample.run <= rounds]
        self.left = dict.fromkeys(begun)
        beyond = any(sample.run > rounds for sample in self.asked)
        return Further(begun, begun if beyond else [sample for sample in begun if sample in self.asked])

    def spare(self, reason: str) -> Further:
        spared = Outcome(skip=f"{NOT_NEEDED}{reason}")
        return Further(
            outcomes={
                sample: replace(spared, skip=sample.case.skip) if sample.case.skip else spared
                for sample in self.gate.samples
                if sample.run > self.reached
            }
        )


class Rounds(Follower):
    """Lets the engine begin a round of a gate when the rounds before are known, and did not decide it.

    Each gate goes on by itself, as soon as its own last sample is known: none waits for another gate, nor for somebody
    who asks.

    Args:
        look: says whether a gate needs more rounds than are done, given what the look before said of it; called on
            threads of its own, as it may take its time.
    """

    def __init__(self, look: Callable[[Gate, int, int | None], Look]) -> None:
        self._look = look
        self._going: dict[Gate, _Going] = {}
        self._of: dict[Sample, _Going] = {}
        self.spared = 0

    def add(self, gates: Iterable[Gate]) -> None:
        """Take note of gates, before anything of them is measured; those with a fixed number of runs are left alone."""
        for gate in gates:
            if gate.auto and gate not in self._going:
                first = first_look(gate)
                left = dict.fromkeys(sample for sample in gate.samples if sample.run <= first)
                going = self._going[gate] = _Going(gate, first, left)
                self._of.update(dict.fromkeys(gate.samples, going))

    def decided(self, gate: Gate) -> int | None:
        """Return after how many rounds a gate was settled; None where only all that were made decide it. Any thread."""
        going = self._going.get(gate)
        return None if going is None else going.decided

    def free(self, samples: Sequence[Sample]) -> Sequence[Sample]:
        return [sample for sample in samples if not self._held(sample)]

    def hurried(self, samples: Sequence[Sample]) -> Sequence[Sample]:
        """Return samples, and for those of rounds to come what is left of the rounds before."""
        hurried: dict[Sample, None] = {}
        behind: dict[_Going, None] = {}
        for sample in samples:
            if self._held(sample):
                going = self._of[sample]
                going.asked.add(sample)
                behind[going] = None
            else:
                hurried[sample] = None
        for going in behind:
            hurried.update(going.left)
        return list(hurried)

    async def finished(self, sample: Sample) -> Further | None:
        going = self._of.get(sample)
        if going is None or not going.came(sample) or going.reached == going.gate.runs:
            return None
        found = await asyncio.to_thread(self._look, going.gate, going.reached, going.decided)
        going.decided = found.decided
        if found.go_on > going.reached:
            return going.reach(min(found.go_on, going.gate.runs))
        further = going.spare(found.reason)
        self.spared += len(further.outcomes)
        return further

    def _held(self, sample: Sample) -> bool:
        going = self._of.get(sample)
        return going is not None and sample.run > going.reached
