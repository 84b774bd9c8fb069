"""The runs beyond those of a gate: what one comparison needs to be settled, measured and counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pytest_upskill.suite.matrix import Gate, Sample
from pytest_upskill.types import OLD, WITH, WITHOUT, Arm, Case, Outcome
from pytest_upskill.verdicts.change import FRESH
from pytest_upskill.verdicts.stratified import Stratum
from pytest_upskill.verdicts.tally import distinct
from pytest_upskill.verdicts.topup import TOPPED

if TYPE_CHECKING:
    from pytest_upskill.calls.engine import Engine
    from pytest_upskill.verdicts.change import Comparison, Needs

# Seconds: replies that came within a day of each other are of one time, for a provider that may drift.
_DAY = 86_400.0
# So many runs are looked through for replies that are not of another time.
_MOST_RUNS = 100


class Extras:
    """Makes further samples, each once, and measures them.

    Args:
        engine: measures.
        present: tells whether the replies of samples are all stored or recorded.
    """

    def __init__(self, engine: Engine, present: Callable[[Sequence[Sample]], bool]) -> None:
        self._engine = engine
        self.present = present
        self._made: dict[tuple[Gate, Case, Arm, int], Sample] = {}

    @property
    def samples(self) -> dict[Gate, list[Sample]]:
        """All that were asked for, by their gates."""
        found: dict[Gate, list[Sample]] = {}
        for (gate, *_), sample in self._made.items():
            found.setdefault(gate, []).append(sample)
        return found

    def __len__(self) -> int:
        return len(self._made)

    def sample(self, gate: Gate, case: Case, arm: Arm, run: int) -> Sample:
        """Return the sample of a further run."""
        place = (gate, case, arm, run)
        if place not in self._made:
            self._made[place] = Sample(gate.suite, case, gate.model, arm, run)
        return self._made[place]

    def measure(self, samples: Iterable[Sample]) -> None:
        """Wait until samples are measured. Raises `EngineStopped`."""
        wanted = list(dict.fromkeys(samples))
        self._engine.select(wanted)
        self._engine.gather(wanted)

    def outcome(self, sample: Sample) -> Outcome:
        return self._engine.outcomes[sample]


@dataclass(eq=False)
class Asked:
    """One comparison of a gate, with what was measured for it so far.

    Attributes:
        gate: whose.
        rounds: how many runs of each case it was decided with.
        comparison: its counts.
        replies: the outcomes of those runs, by case and arm.
        failed: why a further run could not be measured; none is asked for after that.
    """

    gate: Gate
    rounds: int
    comparison: Comparison
    replies: dict[tuple[Case, Arm], list[Outcome]]
    failed: str = ""
    _stale: set[int] = field(default_factory=set)
    _newest: float | None = None

    def __post_init__(self) -> None:
        new = self._dates(WITH)
        known = [date for date in new if date is not None]
        self._newest = max(known) if known and len(known) == len(new) else None

    @property
    def old_arm(self) -> Arm:
        return OLD if self.comparison.question == "regressed" else WITHOUT

    @property
    def cases(self) -> list[Case]:
        return list(dict.fromkeys(case for case, _ in self.replies))

    @property
    def stored(self) -> bool:
        """Tell whether the replies of the arms are of other times, or of one that nobody knows."""
        dates = [*self._dates(WITH), *self._dates(self.old_arm)]
        known = [date for date in dates if date is not None]
        return len(known) < len(dates) or (bool(known) and max(known) - min(known) > _DAY)

    @property
    def past(self) -> bool:
        """Tell whether a run of today would be of another time than those with the skill."""
        return self._newest is None or self._newest < time.time() - _DAY

    def give_up(self, why: str) -> None:
        """Ask for no further runs."""
        self.failed = why
        self.comparison = replace(self.comparison, extra=False)

    def samples(self, wanted: Needs, extras: Extras) -> Iterator[Sample]:
        """Yield the samples of the runs that are needed."""
        for case in self.cases:
            for run in range(self.rounds + 1, wanted.runs.get(case.id, 0) + 1):
                yield extras.sample(self.gate, case, self.old_arm, run)
                yield extras.sample(self.gate, case, WITH, run)
            for run in self._fresh_runs(wanted.fresh):
                yield extras.sample(self.gate, case, self.old_arm, run)

    def take(self, wanted: Needs, extras: Extras) -> None:
        """Count what was measured; where something is missing nothing more is asked for."""
        outcomes = [extras.outcome(sample) for sample in self.samples(wanted, extras)]
        missing = next((outcome for outcome in outcomes if not outcome.measured), None)
        if missing is not None:
            self.give_up(missing.short or missing.error or missing.skip or "")
            return
        topped = {case.id: self._topped(case, wanted.runs[case.id], extras) for case in self._named(wanted)}
        self.comparison = replace(self.comparison, topped={**self.comparison.topped, **topped})
        if any(min(each.old_runs, each.new_runs) < wanted.runs[case] for case, each in topped.items()):
            # A server that gives one reply again and again has no more to say of the case.
            self.give_up("the server gave the same replies again")
        if wanted.fresh:
            self._take_fresh(wanted.fresh, extras)

    def _take_fresh(self, number: int, extras: Extras) -> None:
        runs = self._fresh_runs(number)
        of_run = {
            run: [extras.outcome(extras.sample(self.gate, case, self.old_arm, run)) for case in self.cases]
            for run in runs
        }
        stale = {run for run, found in of_run.items() if not all(map(self._beside, found))}
        self._stale |= stale
        if len(self._stale) > _MOST_RUNS:
            self.give_up("all further runs in the store are of another time")
        elif not stale:
            strata = self.comparison.strata
            fresh = {
                case.id: distinct(
                    extras.outcome(extras.sample(self.gate, case, self.old_arm, run)) for run in runs
                )
                for case in self.cases
            }
            self.comparison = replace(
                self.comparison,
                fresh=tuple(
                    Stratum(each.case, *_counted(fresh[each.case]), each.new_hits, each.new_runs)
                    for each in strata
                    if each.case in fresh
                ),
            )

    def _fresh_runs(self, number: int) -> list[int]:
        runs: list[int] = []
        run = self.rounds
        while len(runs) < number:
            run += 1
            if run not in self._stale:
                runs.append(run)
        return runs

    def _named(self, wanted: Needs) -> list[Case]:
        return [case for case in self.cases if case.id in wanted.runs]

    def _topped(self, case: Case, runs: int, extras: Extras) -> Stratum:
        found = {
            arm: distinct(
                [
                    *self.replies[case, arm],
                    *(
                        extras.outcome(extras.sample(self.gate, case, arm, run))
                        for run in range(self.rounds + 1, runs + 1)
                    ),
                ]
            )
            for arm in (self.old_arm, WITH)
        }
        return Stratum(case.id, *_counted(found[self.old_arm]), *_counted(found[WITH]))

    def _beside(self, outcome: Outcome) -> bool:
        """Tell whether a reply is of the time of those with the skill."""
        date = self._came(outcome)
        return date is not None and self._newest is not None and abs(date - self._newest) <= _DAY

    def _dates(self, arm: Arm) -> list[float | None]:
        return [self._came(outcome) for case in self.cases for outcome in self.replies.get((case, arm), ())]

    @staticmethod
    def _came(outcome: Outcome) -> float | None:
        if outcome.source in ("call", "batch"):
            return time.time()
        return None if outcome.reply is None else outcome.reply.date


def further_calls(gate: Gate, *, regressed: bool) -> int:
    """Return how many calls a gate may take beyond its own, at most.

    Args:
        gate: which; its skill changed.
        regressed: it has an arm with the old skill, whose cases may be run further.
    """
    cases = len({sample.case for sample in gate.samples if not sample.case.skip})
    rounds = 1 if gate.auto else gate.runs
    topped = 2 * max(0, TOPPED - rounds) if regressed else 0
    # Fresh runs of the old skill have the numbers of further ones.
    fresh = FRESH + (max(0, rounds + FRESH - max(TOPPED, rounds)) if regressed else 0)
    return cases * (topped + fresh)


def _counted(outcomes: Sequence[Outcome]) -> tuple[int, int]:
    return sum(outcome.hit for outcome in outcomes), len(outcomes)
