"""How often the gates of a suite raise a false alarm, one by one and as the family of a run.

The splits of its replies (`splits`) are counted, and not sampled; only for the family they are sampled, too. The
interval of a sampled rate is Clopper & Pearson's (1934, Biometrika 26:404).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

from pytest_upskill.verdicts.family import LEVEL, holm
from pytest_upskill.verdicts.intervals import Interval, clopper_pearson
from pytest_upskill.verdicts.splits import Pick, Splits

TIMES = 2000
K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Sampled:
    """A rate that was sampled: how many of so many splits, and the exact 95 % interval of it."""

    count: int
    times: int

    @property
    def rate(self) -> Fraction:
        return Fraction(self.count, self.times)

    @property
    def interval(self) -> Interval:
        return clopper_pearson(self.count, self.times)


@dataclass(frozen=True, slots=True)
class Rates:
    """How often three rules raise a false alarm.

    `alarms` is the gate's own rule, exact; None where it was only sampled. `any_lost` is that of a rule that fails
    where any case hits less often than before, `dropped` of one that fails where the hit rate falls by more than 5
    points.
    """

    alarms: Fraction | None
    sampled: Sampled
    any_lost: Fraction
    dropped: Fraction


@dataclass(frozen=True, slots=True)
class Family:
    """Any false alarm among all gates of a run, by Holm; `rejected` are those of the splits as they were."""

    gates: int
    rates: Rates
    rejected: int


def resampled(gates: Mapping[K, Splits], pick: Pick, times: int = TIMES) -> tuple[dict[K, Rates], Family]:
    """Return the rates of each gate by itself, and those of the run's whole family of gates.

    Splits of different gates are independent, so the family's rates are products of the gates' own. They are
    sampled as well: there each sampled split goes the way of a real run, through every gate's p and Holm.
    """
    draws = {key: splits.draw(pick, times) for key, splits in gates.items()}
    alone = {
        key: Rates(
            splits.alarms(),
            Sampled(sum(p <= LEVEL for p in draws[key].ps), times),
            splits.any_lost(),
            splits.dropped(),
        )
        for key, splits in gates.items()
    }
    rounds = zip(*(found.ps for found in draws.values()), strict=True)
    alarms = sum(bool(_rejected(dict(enumerate(ps)))) for ps in rounds)
    rates = Rates(
        _any([splits.alarms(LEVEL / len(gates)) for splits in gates.values()]),
        Sampled(alarms, times),
        1 - math.prod((1 - rates.any_lost for rates in alone.values()), start=Fraction(1)),
        1 - math.prod((1 - rates.dropped for rates in alone.values()), start=Fraction(1)),
    )
    rejected = _rejected({key: splits.as_it_was() for key, splits in gates.items()})
    return alone, Family(len(gates), rates, len(rejected))


def _rejected(ps: Mapping[K, Fraction]) -> frozenset[K]:
    # Holm rejects nothing above the level, and mostly there is nothing below it.
    return holm(ps) if min(ps.values(), default=Fraction(1)) <= LEVEL else frozenset()


def _any(chances: Sequence[Fraction | None]) -> Fraction | None:
    known = [chance for chance in chances if chance is not None]
    if len(known) < len(chances):
        return None
    return 1 - math.prod((1 - chance for chance in known), start=Fraction(1))
