"""What the counts of a skill on a model say: the lift, and the verdict in words.

What is claimed: *helps* and *hurts* are about these cases, at a number of runs that was fixed beforehand.
Summed over all counts, a skill without an effect is called each of them in at most 3.3 % of runs (n <= 100).
*no effect* is an equivalence test (two one-sided tests at 5 %: Schuirmann 1987, J. Pharmacokin. Biopharm.
15:657). Anything else is said as what is known. The intervals and their papers are in `intervals`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias

from pytest_upskill.verdicts.intervals import Interval, cases_like_these, lift_interval, smallest_lift
from pytest_upskill.verdicts.wording import between, counted_points, percents, points

Word: TypeAlias = Literal["helps", "hurts", "no effect", "inconclusive", "not measured"]


@dataclass(frozen=True, slots=True)
class CaseCount:
    """The hits and runs of one case in each arm; none with the old skill where there is no such arm."""

    case: str
    with_hits: int
    with_runs: int
    without_hits: int
    without_runs: int
    old_hits: int = 0
    old_runs: int = 0


@dataclass(frozen=True, slots=True)
class Lift:
    """Hits with and without the skill, pooled over cases and runs, and the intervals of the lift.

    `interval` (95 %) and `interval90` are about these cases, `cases_interval` (95 %) about cases like these;
    they are None where there is nothing to measure or no noise to allow for.
    """

    with_hits: int
    with_n: int
    without_hits: int
    without_n: int
    cases: int
    deterministic: bool
    interval: Interval | None
    interval90: Interval | None
    cases_interval: Interval | None
    few_cases: bool

    @property
    def with_rate(self) -> Fraction | None:
        return Fraction(self.with_hits, self.with_n) if self.with_n else None

    @property
    def without_rate(self) -> Fraction | None:
        return Fraction(self.without_hits, self.without_n) if self.without_n else None

    @property
    def lift(self) -> Fraction | None:
        if self.with_rate is None or self.without_rate is None:
            return None
        return self.with_rate - self.without_rate


@dataclass(frozen=True, slots=True)
class Verdict:
    """One word, and the phrase that says what is known."""

    word: Word
    phrase: str


def measure(cases: Sequence[CaseCount], *, deterministic: bool, confidence: float = 0.95) -> Lift:
    """Pool the counts of the cases. A case without runs is not counted.

    Args:
        cases: their counts.
        deterministic: the model has no noise.
        confidence: of the lift's interval; more than 0.95 where it was looked at before the last run.

    Raises:
        ValueError: a case has more hits than runs, or not as many runs in one arm as in the other.
    """
    for case in cases:
        _check(case)
    measured = [case for case in cases if case.with_runs]
    with_hits, without_hits = sum(c.with_hits for c in measured), sum(c.without_hits for c in measured)
    n = sum(case.with_runs for case in measured)
    noisy = n > 0 and not deterministic
    counts = (with_hits, n, without_hits, n)
    return Lift(
        *counts,
        cases=len(measured),
        deterministic=deterministic,
        interval=lift_interval(*counts, confidence=confidence) if noisy else None,
        interval90=lift_interval(*counts, confidence=0.90) if noisy else None,
        cases_interval=cases_like_these(_differences(measured)) if noisy and len(measured) > 1 else None,
        few_cases=len(measured) < 8,
    )


def _check(case: CaseCount) -> None:
    if case.with_runs != case.without_runs:
        raise ValueError(
            f"case {case.case!r} has {case.with_runs} runs with the skill and {case.without_runs} without; "
            "only complete rounds can be compared"
        )
    if not (0 <= case.with_hits <= case.with_runs and 0 <= case.without_hits <= case.without_runs):
        raise ValueError(f"case {case.case!r} cannot have more hits than runs, nor fewer than none")


def _differences(cases: Sequence[CaseCount]) -> list[float]:
    return [(case.with_hits - case.without_hits) / case.with_runs for case in cases]


def judge(lift: Lift, equivalence: Fraction = Fraction(1, 10)) -> Verdict:
    """Return the verdict on a lift; one that is surely within +-`equivalence` is no effect.

    The lift of a deterministic model is exact: its sign decides. Else the 95 % interval does, and for
    no effect the 90 % interval.
    """
    if lift.lift is None or lift.with_rate is None or lift.without_rate is None:
        return Verdict("not measured", "not measured: there is no sample of both arms")
    without_rate, with_rate = percents(lift.without_rate, lift.with_rate)
    change = f"{without_rate} -> {with_rate} ({counted_points(lift.lift)}"
    if lift.interval is None or lift.interval90 is None:
        word = _direction(lift.lift, lift.lift) or "no effect"
        return Verdict(word, f"{word}: {change}, exact)")
    if direction := _direction(*lift.interval):
        return Verdict(direction, f"{direction}: {change}, {between(*lift.interval)})")
    if -equivalence < lift.interval90[0] and lift.interval90[1] < equivalence:
        beyond = counted_points(equivalence).removeprefix("+")
        return Verdict(
            "no effect", f"no effect beyond {beyond}: {change}, 90 % sure {between(*lift.interval90)})"
        )
    known = f"not settled: {points(lift.lift)}, {between(*lift.interval)}"
    return Verdict("inconclusive", f"{known}; {_resolution(lift.with_n)}")


def _direction(low: float | Fraction, high: float | Fraction) -> Literal["helps", "hurts"] | None:
    if low > 0:
        return "helps"
    return "hurts" if high < 0 else None


def _resolution(n: int) -> str:
    samples = "1 sample" if n == 1 else f"{n} samples"
    if (smallest := smallest_lift(n)) is None:
        return f"{samples} can show no lift reliably"
    return f"{samples} reliably show only lifts above {points(smallest).removeprefix('+')} points"
