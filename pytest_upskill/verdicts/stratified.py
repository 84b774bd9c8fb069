"""Whether the hits fell from one arm to another on the same cases, exactly.

Each case is a stratum of its own: given its hits over all runs of both arms, the hits of the new arm are
hypergeometric where nothing changed, whatever the case's own rate is. No case is compared with another, so a
mix of easy and hard cases does no harm, and a case that is always or never hit says nothing.

Sources: Fisher 1934, Statistical Methods for Research Workers (one case); Mantel & Haenszel 1959, JNCI 22:719,
and Mantel 1963, JASA 58:690 (many cases); McNemar 1947, Psychometrika 12:153 (one run an arm); Lancaster 1961,
JASA 56:223 (mid-p).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from math import comb

MIN_DROP = Fraction(1, 50)


@dataclass(frozen=True, slots=True)
class Stratum:
    """The hits and runs of one case in the old arm and in the new one.

    Raises:
        ValueError: more hits than runs, or fewer than none.
    """

    case: str
    old_hits: int
    old_runs: int
    new_hits: int
    new_runs: int

    def __post_init__(self) -> None:
        if not (0 <= self.old_hits <= self.old_runs and 0 <= self.new_hits <= self.new_runs):
            raise ValueError(f"case {self.case!r} cannot have more hits than runs, nor fewer than none")

    @property
    def informed(self) -> bool:
        """Whether there are runs in both arms, so that something can be compared."""
        return self.old_runs > 0 and self.new_runs > 0

    @property
    def drop(self) -> Fraction:
        """The old rate minus the new one; 0 where one of them is not known."""
        if not self.informed:
            return Fraction(0)
        lost = self.old_hits * self.new_runs - self.new_hits * self.old_runs
        return Fraction(lost, self.old_runs * self.new_runs)


def informed(strata: Iterable[Stratum]) -> tuple[Stratum, ...]:
    """Return the cases with runs in both arms; the others carry no information."""
    return tuple(stratum for stratum in strata if stratum.informed)


def mean_drop(strata: Iterable[Stratum]) -> Fraction:
    """Return the drop in rate, the mean over the cases with runs in both arms."""
    known = informed(strata)
    return sum((stratum.drop for stratum in known), Fraction(0)) / max(1, len(known))


def suite_p(strata: Sequence[Stratum], min_drop: Fraction = MIN_DROP) -> Fraction:
    """Return the mid-p of so few hits in the new arm, over all cases; 1 where the drop is under `min_drop`.

    One more hit in the new arm never lowers it: all else as it is, the total of the new hits then grows by at
    most the one, in each of the draws that it is compared with (the same holds of one hit less in the old arm).
    """
    known = informed(strata)
    if not known or mean_drop(known) < min_drop:
        return Fraction(1)
    return mid_p(known)


def mid_p(strata: Iterable[Stratum]) -> Fraction:
    """Return the probability of fewer new hits in all, plus half the probability of just as many.

    To swap the arms yields 1 minus this, exactly.
    """
    draws = [(_ways(stratum), stratum.new_hits - _fewest(stratum)) for stratum in strata]
    row, other = _two_rows([ways for ways, _ in draws if len(ways) > 1])
    hits = sum(above for _, above in draws)
    # The last convolution is the dearest, and of it the sum up to `hits` is enough.
    upto = [0, *accumulate(other)]
    upto += [upto[-1]] * (hits + 2 - len(upto))
    tail = sum(ways * (upto[hits - i] + upto[hits - i + 1]) for i, ways in enumerate(row[: hits + 1]))
    return Fraction(tail, 2 * sum(row) * sum(other))


def case_p(stratum: Stratum) -> Fraction:
    """Return the exact probability of no more hits than these in the new arm of one case."""
    ways = _ways(stratum)
    return Fraction(sum(ways[: stratum.new_hits - _fewest(stratum) + 1]), sum(ways))


def gate_p(strata: Sequence[Stratum], min_drop: Fraction = MIN_DROP) -> Fraction:
    """Return the p of a suite that fell as a whole or in one case, four parts of five for the suite's path."""
    known = informed(strata)
    least = min((case_p(stratum) for stratum in known), default=Fraction(1))
    return min(Fraction(1), suite_weight(suite_p(known, min_drop)), case_weight(least, len(known)))


def suite_weight(p: Fraction) -> Fraction:
    """Return a suite's p as it counts in a gate: tested at four fifths of the level, at most 1."""
    return min(Fraction(1), Fraction(5, 4) * p)


def case_weight(p: Fraction, cases: int) -> Fraction:
    """Return a case's p as it counts in a gate: at one fifth of the level over all cases, at most 1."""
    return min(Fraction(1), 5 * max(1, cases) * p)


def _fewest(stratum: Stratum) -> int:
    return max(0, stratum.old_hits + stratum.new_hits - stratum.old_runs)


def _ways(stratum: Stratum) -> list[int]:
    """Return in how many ways the new arm gets its fewest possible hits, one more, ... of the hits of both."""
    hits = stratum.old_hits + stratum.new_hits
    most = min(hits, stratum.new_runs)
    return [
        comb(stratum.new_runs, new) * comb(stratum.old_runs, hits - new)
        for new in range(_fewest(stratum), most + 1)
    ]


def _two_rows(rows: list[list[int]]) -> tuple[list[int], list[int]]:
    """Return two rows of counts whose convolution is that of all rows."""
    rows = [*rows, [1], [1]]
    while len(rows) > 2:
        rows.sort(key=len)
        pairs = min(len(rows) // 2, len(rows) - 2)
        rows = [
            *(product(rows[2 * i], rows[2 * i + 1]) for i in range(pairs)),
            *rows[2 * pairs :],
        ]
    return rows[0], rows[1]


def product(row: list[int], other: list[int]) -> list[int]:
    """Return the convolution of two rows as one product of integers (Kronecker's substitution).

    The rows are their digits; a digit is as wide as the product of the rows' sums, which none can exceed.
    """
    width = (sum(row) * sum(other)).bit_length() // 8 + 1
    size = (len(row) + len(other) - 1) * width
    raw = (_packed(row, width) * _packed(other, width)).to_bytes(size, "little")
    return [int.from_bytes(raw[at : at + width], "little") for at in range(0, size, width)]


def _packed(row: list[int], width: int) -> int:
    return int.from_bytes(b"".join([value.to_bytes(width, "little") for value in row]), "little")
