"""Whether skills got worse, over all comparisons of a run at once, in stages.

A comparison is one question about one gate. Two paths prove a fall: the *suite* path, of the hits of all cases at
four fifths of the level, and the *case* path (`topup`), of the case that fell most, at one fifth over all cases. Where
the old replies are of another time, fresh ones must confirm the suite path: else a provider that drifted by five
points raises alarms in up to all runs. Both claims are joined by Holm's procedure over the family (`family`).

What is claimed: a run in which no skill changed fails for a change with a chance of at most 0.05, and one more hit in
the new arm never turns what is not proven into what is. For the latter, take all replies for fixed beforehand, also
those that nobody asks for. The p of a comparison from all of them is

    min(max(suite, fresh), case)

None of its parts falls with one more hit (`stratified`, `topup`), and Holm's rejections only shrink as a p grows. What
is proven in stages is what Holm's procedure rejects of these p's. A p that is not known in full has bounds: it is at
least `least` once its cases were run further, and at most `sure`. `needs` asks until both bounds have Holm reject the
same comparisons, and what lies between them is then rejected too, or not, as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, TypeAlias, TypeVar

from pytest_upskill.verdicts.change_text import Told, reason, unsettled
from pytest_upskill.verdicts.family import adjusted, holm
from pytest_upskill.verdicts.stratified import (
    MIN_DROP,
    Stratum,
    case_weight,
    informed,
    suite_p,
    suite_weight,
)
from pytest_upskill.verdicts.topup import at_hand, runs_wanted, smallest

Question: TypeAlias = Literal["regressed", "hurts"]
Path: TypeAlias = Literal["suite", "case"]
K = TypeVar("K")

# Fresh runs of all cases in the old arm, to confirm a fall against stored ones.
FRESH = 5
_MOST_WORST = 5


@dataclass(frozen=True, slots=True)
class Comparison:
    """One question about one gate, with what was measured for it so far.

    Attributes:
        question: *regressed* (the old arm is the skill as it was) or *hurts* (it is the model without the skill).
        strata: the whole rounds of each case. Further runs are no part of them.
        min_drop: a smaller drop in rate is no fall of the suite.
        stored: the old replies are of another time than the new ones, so that a provider that drifted could explain a
            fall.
        extra: whether further runs may be had.
        topped: by case, its counts after further runs, those of the whole rounds included.
        fresh: five fresh runs of the old arm against the new runs of `strata`; None before there are such.
        beyond: the p of a fall that a change of the model does not explain (`drift`), where old runs cannot be made
            again: the suite path takes the larger one.
        weight: what the p counts for, more than once where the data themselves chose the moment to test.
    """

    question: Question
    strata: tuple[Stratum, ...]
    min_drop: Fraction = MIN_DROP
    stored: bool = False
    extra: bool = False
    topped: Mapping[str, Stratum] = field(default_factory=dict)
    fresh: tuple[Stratum, ...] | None = None
    beyond: Fraction | None = None
    weight: int = 1

    @property
    def topups(self) -> bool:
        """Tell whether cases may be run further."""
        return self.extra and self.by_cases

    @property
    def by_cases(self) -> bool:
        """Tell whether a single case can prove it.

        Not harm: that a skill spoils one case is told, and worth no further calls. Nor against old runs that cannot be
        made again: a model that lost one case looks like a skill that did.
        """
        return self.question == "regressed" and self.beyond is None


@dataclass(frozen=True, slots=True)
class Needs:
    """What is to be measured next.

    `runs` are to be reached in both arms, by case; `fresh` runs of the old arm are wanted of all cases, 0 or 5.
    """

    runs: Mapping[str, int]
    fresh: int


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to one comparison.

    Attributes:
        question: of the comparison.
        proven: whether the skill got worse, or hurts.
        unsettled: sentences on what could not be settled for want of further runs; none where it is proven.
        p: the level at which it would just be proven, over the family (Holm) and both paths.
        suite_p: mid-p of the whole rounds, all cases together.
        fresh_p: the same against fresh runs of the old arm; None where there are none.
        case_p: the smallest exact p of a case that was tested, 1 where none was.
        case: which case that is.
        worst: the cases that fell most, at most 5, with all of their runs.
        path: what proves it.
        reason: a sentence with the counts and the p.
    """

    question: Question
    proven: bool
    unsettled: tuple[str, ...]
    p: Fraction
    suite_p: Fraction
    fresh_p: Fraction | None
    case_p: Fraction
    case: str | None
    worst: tuple[Stratum, ...]
    path: Path | None
    reason: str


@dataclass(frozen=True, slots=True)
class _Standing:
    """What is known of a comparison; `suite` and `case` are weighted for their parts of the level."""

    comparison: Comparison
    suite_p: Fraction
    fresh_p: Fraction | None
    case_p: Fraction
    case: Stratum | None
    suite: Fraction
    case_part: Fraction

    @property
    def confirmed(self) -> bool:
        return not self.comparison.stored or self.fresh_p is not None

    @property
    def least(self) -> Fraction:
        """The smallest p that fresh runs could leave."""
        return min(self.suite, self.case_part)

    @property
    def sure(self) -> Fraction:
        """The p without what is not confirmed."""
        return self.least if self.confirmed else self.case_part


def needs(family: Mapping[K, Comparison]) -> dict[K, Needs]:
    """Return what must be measured before the family can be concluded; nothing where it is settled.

    Whatever is proven already needs no more, and a suite that fell is confirmed after its cases were run further: where
    one of them explains the fall, the dearer runs of all cases are saved.
    """
    standing = {key: _standing(comparison) for key, comparison in family.items()}
    proven, possible = _proven(standing), holm({key: each.least for key, each in standing.items()})
    found: dict[K, Needs] = {}
    for key, each in standing.items():
        if key in proven or not each.comparison.extra:
            continue
        runs = runs_wanted(at_hand(informed(each.comparison.strata), each.comparison.topped))
        if runs and each.comparison.topups:
            found[key] = Needs(runs, 0)
        elif key in possible and not each.confirmed:
            found[key] = Needs({}, FRESH)
    return found


def conclude(family: Mapping[K, Comparison]) -> dict[K, Finding]:
    """Return the findings from what was measured; what `needs` still asks for is not settled."""
    standing = {key: _standing(comparison) for key, comparison in family.items()}
    proven, possible = _proven(standing), holm({key: each.least for key, each in standing.items()})
    # What only a confirmation that never came could prove has the p without it.
    ps = adjusted({key: each.sure if key in possible else each.least for key, each in standing.items()})
    return {
        key: _finding(
            each,
            ps[key],
            len(family),
            proven=key in proven,
            unconfirmed=key in possible and key not in proven and not each.confirmed,
        )
        for key, each in standing.items()
    }


def exact_loss(strata: tuple[Stratum, ...]) -> tuple[Stratum, ...]:
    """Return the cases whose rate is lower in the new arm: without noise, each of them is a loss."""
    return tuple(stratum for stratum in strata if stratum.drop > 0)


def _proven(standing: Mapping[K, _Standing]) -> frozenset[K]:
    return holm({key: each.sure for key, each in standing.items()})


def _standing(comparison: Comparison) -> _Standing:
    strata = informed(comparison.strata)
    rounds = suite_p(strata, comparison.min_drop)
    fresh = None if comparison.fresh is None else suite_p(comparison.fresh, comparison.min_drop)
    case, whose = smallest(strata, comparison.topped, extra=comparison.topups)
    return _Standing(
        comparison,
        rounds,
        fresh,
        case,
        whose,
        suite_weight(comparison.weight * max(p for p in (rounds, fresh, comparison.beyond) if p is not None)),
        case_weight(comparison.weight * case, len(strata)) if comparison.by_cases else Fraction(1),
    )


def _finding(standing: _Standing, p: Fraction, among: int, *, proven: bool, unconfirmed: bool) -> Finding:
    comparison = standing.comparison
    strata = informed(comparison.strata)
    cases = at_hand(strata, comparison.topped)
    path: Path | None = None
    if proven:
        path = "suite" if standing.confirmed and standing.suite <= standing.case_part else "case"
    fallen = sorted((each for each in cases if each.drop > 0), key=lambda each: (-each.drop, each.case))
    worst = tuple(fallen[:_MOST_WORST])
    told = Told(
        comparison.question,
        path,
        strata,
        worst,
        standing.case,
        p,
        standing.suite_p,
        standing.fresh_p,
        among,
        unconfirmed,
    )
    return Finding(
        comparison.question,
        proven,
        () if proven else unsettled(told, cases if comparison.by_cases else ()),
        p,
        standing.suite_p,
        standing.fresh_p,
        standing.case_p,
        None if standing.case is None else standing.case.case,
        worst,
        path,
        reason(told),
    )
