"""Plays a family of comparisons from replies that are fixed beforehand, also those that nobody may ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from pytest_upskill.verdicts.change import FRESH, Comparison, Finding, Needs, Question, conclude, needs
from pytest_upskill.verdicts.stratified import Stratum

K = TypeVar("K")
Tape = Sequence[bool]
# So many replies are fixed in each arm: enough for the last stage, and for fresh runs after the rounds.
RUNS = 20


@dataclass(frozen=True)
class Played:
    """The replies of one comparison: of each case, all hits of the old arm and of the new one, in order."""

    old: Mapping[str, Tape]
    new: Mapping[str, Tape]
    rounds: int
    question: Question = "regressed"
    stored: bool = False
    extra: bool = True

    def counted(self, case: str, runs: int) -> Stratum:
        return Stratum(case, sum(self.old[case][:runs]), runs, sum(self.new[case][:runs]), runs)

    def begun(self) -> Comparison:
        strata = tuple(self.counted(case, self.rounds) for case in self.old)
        return Comparison(self.question, strata, stored=self.stored, extra=self.extra)

    def measured(self, comparison: Comparison, wanted: Needs) -> Comparison:
        topped = {
            **comparison.topped,
            **{case: self.counted(case, runs) for case, runs in wanted.runs.items()},
        }
        fresh = comparison.fresh
        if wanted.fresh:
            fresh = tuple(
                Stratum(each.case, sum(self._fresh(each.case)), FRESH, each.new_hits, each.new_runs)
                for each in comparison.strata
            )
        return replace(comparison, topped=topped, fresh=fresh)

    def _fresh(self, case: str) -> Tape:
        return self.old[case][self.rounds : self.rounds + FRESH]


def settled(family: Mapping[K, Played]) -> dict[K, Comparison]:
    """Measure whatever is needed."""
    found = {key: each.begun() for key, each in family.items()}
    while wanted := needs(found):
        found |= {key: family[key].measured(found[key], need) for key, need in wanted.items()}
    return found


def played(family: Mapping[K, Played]) -> dict[K, Finding]:
    """Measure whatever is needed and return the findings."""
    return conclude(settled(family))
