"""All splits of the replies of a suite into old and new ones, counted.

Replies to one prompt come from one distribution. Given how many of a case's replies hit, each way to split them
into two halves is as likely as any other where nothing changed, and an alarm over such a split is a false one
(Fisher 1935, The Design of Experiments).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import accumulate
from operator import add
from typing import TypeAlias

from pytest_upskill.verdicts.family import LEVEL
from pytest_upskill.verdicts.stratified import (
    MIN_DROP,
    Stratum,
    case_p,
    case_weight,
    gate_p,
    product,
    suite_weight,
)

NAIVE_DROP = Fraction(1, 20)
_SURE = Fraction(1)
# Returns a random whole number from 0 to below its argument, each as likely as the others.
Pick: TypeAlias = Callable[[int], int]


@dataclass(frozen=True, slots=True)
class Pool:
    """The replies of one case in two halves of `runs` each, as they came: how many of each hit.

    Raises:
        ValueError: no runs, or more hits than runs, or fewer than none.
    """

    case: str
    old_hits: int
    new_hits: int
    runs: int

    def __post_init__(self) -> None:
        if self.runs < 1 or not (0 <= self.old_hits <= self.runs and 0 <= self.new_hits <= self.runs):
            raise ValueError(f"case {self.case!r} cannot have more hits than runs, nor fewer than none")

    @property
    def hits(self) -> int:
        return self.old_hits + self.new_hits

    @property
    def possible(self) -> range:
        """How many of the new half may hit."""
        return range(max(0, self.hits - self.runs), min(self.hits, self.runs) + 1)

    def ways(self) -> list[int]:
        """Return for each possible number of new hits in how many splits it comes about."""
        return [math.comb(self.runs, new) * math.comb(self.runs, self.hits - new) for new in self.possible]

    def stratum(self, new_hits: int) -> Stratum:
        return Stratum(self.case, self.hits - new_hits, self.runs, new_hits, self.runs)


@dataclass(frozen=True, slots=True)
class Draws:
    """Random splits of one suite: of each its p, and whether a naive rule would have failed it.

    A p above the level is given as 1: nothing is decided by how far above it lies.
    """

    ps: Sequence[Fraction]
    lost: Sequence[bool]
    dropped: Sequence[bool]


class Splits:
    """All splits of a suite's replies into old and new ones.

    Args:
        pools: the replies by case.
        min_drop: what the gate asks for, as a fraction of 1.
    """

    def __init__(self, pools: Sequence[Pool], min_drop: Fraction = MIN_DROP) -> None:
        self.pools = tuple(pools)
        self._min_drop = min_drop
        self._fewest = sum(pool.possible[0] for pool in self.pools)

    def as_it_was(self) -> Fraction:
        """Return the gate's p of the split that the order of the runs made; 1 where there is nothing to split."""
        if not self.pools:
            return Fraction(1)
        return gate_p([pool.stratum(pool.new_hits) for pool in self.pools], self._min_drop)

    def alarms(self, level: Fraction = LEVEL) -> Fraction | None:
        """Return the chance of a gate's p of at most `level`, exactly.

        None where the total of the hits does not tell whether the drop reaches `min_drop`: it always does where all
        cases have as many runs, and mostly where they have not.
        """
        if not self.pools:
            return Fraction(0)
        most = self._most_total(level)
        if most is None:
            return None
        # Silent are the splits in which no case speaks and the total is above what the suite's path takes.
        firing = [self._firing(pool, level) for pool in self.pools]
        rows = [
            [0 if new in found else ways for new, ways in zip(pool.possible, pool.ways(), strict=True)]
            for pool, found in zip(self.pools, firing, strict=True)
        ]
        silent = _convolved(rows) if any(firing) else self._row
        return 1 - Fraction(sum(silent[most - self._fewest + 1 :]), self._all)

    def any_lost(self) -> Fraction:
        """Return the chance that some case hits less often in its new half than in its old one."""
        kept = Fraction(1)
        for pool in self.pools:
            ways = pool.ways()
            fine = sum(n for new, n in zip(pool.possible, ways, strict=True) if 2 * new >= pool.hits)
            kept *= Fraction(fine, sum(ways))
        return 1 - kept

    def dropped(self, points: Fraction = NAIVE_DROP) -> Fraction:
        """Return the chance that the hit rate over all replies falls by more than `points` (a fraction of 1)."""
        most = self._most_dropped(points)
        return Fraction(sum(self._row[: max(0, most - self._fewest + 1)]), self._all)

    def draw(self, pick: Pick, times: int) -> Draws:
        """Split the replies at random so many times."""
        totals, drops, lost = [0] * times, [0] * times, [False] * times
        ps = [_SURE] * times
        for pool in self.pools:
            drawn = _drawn(pool, pick, times)
            totals = list(map(add, totals, drawn))
            scale = self._scale // pool.runs
            drops = [drop + scale * (pool.hits - 2 * new) for drop, new in zip(drops, drawn, strict=True)]
            lost = [was or 2 * new < pool.hits for was, new in zip(lost, drawn, strict=True)]
            if firing := self._firing(pool, LEVEL):
                ps = [min(p, firing.get(new, _SURE)) for p, new in zip(ps, drawn, strict=True)]
        needed = self._min_drop * len(self.pools) * self._scale
        suite = self._suite_ps
        ps = [
            min(p, suite.get(total, _SURE)) if drop >= needed else p
            for p, total, drop in zip(ps, totals, drops, strict=True)
        ]
        most = self._most_dropped(NAIVE_DROP)
        return Draws(ps, lost, [total <= most for total in totals])

    @cached_property
    def _row(self) -> list[int]:
        """In how many splits the new halves hit as seldom as they can, once more, ..."""
        return _convolved([pool.ways() for pool in self.pools])

    @cached_property
    def _all(self) -> int:
        return sum(self._row)

    @cached_property
    def _scale(self) -> int:
        return math.lcm(*(pool.runs for pool in self.pools))

    @cached_property
    def _suite_ps(self) -> dict[int, Fraction]:
        """What the suite's path says of each total of new hits, up to the level, wherever the drop is large enough."""
        found: dict[int, Fraction] = {}
        rows = zip(accumulate(self._row), self._row, strict=True)
        for total, (upto, ways) in enumerate(rows, self._fewest):
            p = suite_weight(Fraction(2 * upto - ways, 2 * self._all))
            if p > LEVEL:
                break
            found[total] = p
        return found

    def _firing(self, pool: Pool, level: Fraction) -> dict[int, Fraction]:
        """Return what the case's path says of each number of new hits, where that is at most `level`."""
        found: dict[int, Fraction] = {}
        for new in pool.possible:
            p = case_weight(case_p(pool.stratum(new)), len(self.pools))
            if p > level:
                break
            found[new] = p
        return found

    def _most_total(self, level: Fraction) -> int | None:
        """Return the largest total of new hits that the suite's path takes; None where it takes but some splits."""
        totals = [total for total, p in self._suite_ps.items() if p <= level]
        if not totals or self._least_drop(totals[-1]) >= self._min_drop:
            return totals[-1] if totals else self._fewest - 1
        if len({pool.runs for pool in self.pools}) > 1:
            return None
        return max((t for t in totals if self._least_drop(t) >= self._min_drop), default=self._fewest - 1)

    def _least_drop(self, total: int) -> Fraction:
        """Return the least drop, the mean over the cases, that goes with a total of new hits."""
        left, drop = total - self._fewest, Fraction(0)
        for pool in sorted(self.pools, key=lambda pool: pool.runs):
            new = pool.possible[0] + min(left, len(pool.possible) - 1)
            left -= new - pool.possible[0]
            drop += pool.stratum(new).drop
        return drop / len(self.pools)

    def _most_dropped(self, points: Fraction) -> int:
        """Return the largest total of new hits that lies more than `points` below that of the old ones."""
        hits, runs = sum(pool.hits for pool in self.pools), sum(pool.runs for pool in self.pools)
        # hits - 2 total > points * runs
        return math.ceil((hits - points * runs) / 2) - 1


def _drawn(pool: Pool, pick: Pick, times: int) -> Sequence[int]:
    possible = pool.possible
    if len(possible) == 1:
        return [possible[0]] * times
    edges = list(accumulate(pool.ways()))
    return [possible[bisect_left(edges, pick(edges[-1]) + 1)] for _ in range(times)]


def _convolved(rows: Sequence[list[int]]) -> list[int]:
    """Return the convolution of all rows, halves first: a row is as long as it has to be."""
    if len(rows) <= 1:
        return list(rows[0]) if rows else [1]
    middle = len(rows) // 2
    return product(_convolved(rows[:middle]), _convolved(rows[middle:]))
