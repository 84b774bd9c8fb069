"""One case that broke among many: which cases are run further, how far, and what that says.

With few runs no single case can prove anything: the smallest p of one run an arm is 1/2. So a case that may have
broken is run further in both arms, in stages, and tested at the last one alone, whatever the stages before it said.
All runs of the case count in that test, and none of the further ones in the rates of the suite, which would be
biased by them.

One more hit in the new arm never helps to prove a fall. With fixed replies it lowers the old rate minus the new one at
each stage from its run on, so no case is run further that was not before, and a case that is still tested has a p that
is at least as large. That is why suspicious cases are neither ranked nor capped: a case that recovers would let
another one in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

from pytest_upskill.verdicts.stratified import Stratum, case_p

# Runs in both arms. With 12, and not with 10, a case that fell from 1 to 0 is found among 50 cases in a family of 60
# comparisons (p = 1 / C(24, 12)).
TOPPED = 12
_STAGES = (3, TOPPED)
_HALF = Fraction(1, 2)


def fell(stratum: Stratum) -> bool:
    """Tell whether a case lost half of its runs or more, and may have broken.

    A case that was missed in its only old run is not suspected, though a single run says little of its rate: to run
    each case further that misses in both arms would cost more calls than a suite has.
    """
    return stratum.informed and stratum.drop >= _HALF


def runs_wanted(strata: Iterable[Stratum]) -> dict[str, int]:
    """Return how many runs each suspicious case is to reach in both arms, where it has fewer than `TOPPED`."""
    return {
        stratum.case: next(stage for stage in _STAGES if stage > _runs(stratum))
        for stratum in strata
        if not _reached(stratum) and fell(stratum)
    }


def at_hand(strata: Iterable[Stratum], topped: Mapping[str, Stratum]) -> list[Stratum]:
    """Return the cases with all of their runs."""
    return [topped.get(stratum.case, stratum) for stratum in strata]


def smallest(
    strata: Iterable[Stratum], topped: Mapping[str, Stratum], *, extra: bool
) -> tuple[Fraction, Stratum | None]:
    """Return the smallest p of the cases that are tested, and whose it is; 1 and None where none is.

    Tested is a case with `TOPPED` runs in both arms; where no more runs may be had, one with its whole rounds too.
    """
    found: tuple[Fraction, Stratum | None] = (Fraction(1), None)
    for stratum in strata:
        best = topped.get(stratum.case, stratum)
        if not _reached(best):
            best = stratum
        if not best.informed or (extra and not _reached(best)):
            continue
        p = case_p(best)
        if found[1] is None or p < found[0]:
            found = (p, best)
    return found


def unsettled(strata: Iterable[Stratum]) -> list[Stratum]:
    """Return the cases that lost half of their runs or more, of too few runs to be tested."""
    return [stratum for stratum in strata if fell(stratum) and not _reached(stratum)]


def _runs(stratum: Stratum) -> int:
    return min(stratum.old_runs, stratum.new_runs)


def _reached(stratum: Stratum) -> bool:
    return _runs(stratum) >= TOPPED
