"""When a gate has runs enough, for `--upskill-runs=auto`: looks at whole rounds over all of its cases.

What is claimed: a look before the last may accept; it rejects what is hopeless alone, so that luck has no second
chance to fail a gate. Claims of a lift are made at one confidence that allows for all looks (`claim_confidence`). One
more hit with the skill never turns a pass into a failure: the gate passes at the same look or before, and is judged
on the rounds at which it was decided (`Look.decided`), whatever later rounds, made for the lift alone, say of it.

Sources: Armitage, McPherson & Rowe 1969, JRSS A 132:235 (repeated looks raise false claims); Pocock 1977,
Biometrika 64:191 (the same confidence at each look); Lan, Simon & Halperin 1982, Sequential Analysis 1:207 (stopping
when the end is clear).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from statistics import NormalDist
from typing import Literal, TypeAlias

from pytest_upskill.verdicts.gate import GateRules
from pytest_upskill.verdicts.intervals import lift_interval, upper_bound_below
from pytest_upskill.verdicts.stratified import Stratum, gate_p
from pytest_upskill.verdicts.verdict import CaseCount, Word, judge, measure

# A gate that ends before its last round has its p tested at a moment that the data chose: as if at one of fifty.
EARLY = 50
Answer: TypeAlias = Literal["pass", "fail"]
Counts: TypeAlias = Sequence[CaseCount]

# The p of a drop beyond which there is no sign of it, after 1, 2 and more rounds: one round tells little, so that it
# takes more to be content with it.
_NO_SIGN = (Fraction(7, 20), Fraction(1, 5), Fraction(1, 10))
# The p of a target missed by chance beyond which it is not asked for more.
_DOUBT = Fraction(1, 4)
_REJECTED = Fraction(1, 20)
_HOPELESS = Fraction(1, 1000)
# The one-sided p of a lift up to which it is in sight, after 1, 2 and more rounds. A round with an old arm costs half
# as much again, so that it takes more to ask for one.
_IN_SIGHT = (0.40, 0.20, 0.05)
_IN_SIGHT_OF_THREE_ARMS = (0.25, 0.075, 0.02)
# The two-sided normal quantile of a lift's interval, by the number of looks.
_CLAIM_Z = (1.96, 2.31, 2.41, 2.5, 2.55, 2.65, 2.65, 2.7, 2.72, 2.75, 2.78, 2.81)


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a gate after `done` whole rounds of at most `most`.

    Attributes:
        counts: hits and runs of each case in these rounds, in every arm.
        tested: whether a regression and harm are open questions; they are none of a skill that did not change.
        decided: what the look before said of it.
    """

    done: int
    most: int
    counts: Counts
    rules: GateRules
    tested: bool
    decided: int | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What to do next.

    Attributes:
        go_on: how many rounds to reach; as many as are made where it ends here.
        reason: why the others are not needed, in a phrase; empty while it goes on.
        decided: the rounds at which the gate was decided, and which it is judged on; None while it is open. Rounds
            beyond them are for the claim of a lift alone.
    """

    go_on: int
    reason: str
    decided: int | None


def looks(most: int) -> tuple[int, ...]:
    """Return after how many rounds there is a look: 1, 2, 3, 5, 10, 20, 40, ... and, as the last one, `most`."""
    steps = [1, 2, 3, 5]
    while steps[-1] < most:
        steps.append(2 * steps[-1])
    return (*(rounds for rounds in steps if rounds < most), most)


def claim_confidence(most: int) -> float:
    """Return the two-sided confidence of a lift's interval at every look: 0.95 where there is only one.

    A skill without an effect is then said to help or to hurt, at any of the looks, in at most 5 % of gates:
    by exact enumeration of the hits of both arms, at all rates, where nothing but a claim ends the rounds.
    """
    count = len(looks(most))
    return 0.95 if count == 1 else 2.0 * NormalDist().cdf(_CLAIM_Z[min(count, len(_CLAIM_Z)) - 1]) - 1.0


def look(standing: Standing) -> Look:
    """Say whether a gate needs more rounds: while it is open, or a lift that is not settled is in sight."""
    done, most, decided = standing.done, standing.most, standing.decided
    if decided is None and (done >= most or _settled(standing)):
        decided = done
    if done < most and (decided is None or _in_sight(standing)):
        return Look(next(rounds for rounds in looks(most) if rounds > done), "", decided)
    return Look(done, _reason(standing, decided), decided)


def _settled(standing: Standing) -> bool:
    """Tell whether a gate fails for sure, or all of its questions are answered well."""
    if not _measured(standing):
        return True
    answers = set(_answers(standing))
    return "fail" in answers or (None not in answers and (not standing.tested or _no_drop(standing)))


def _answers(standing: Standing) -> Iterator[Answer | None]:
    """Yield the answer to each rule of the gate's own; None where it is open."""
    rules = standing.rules
    if rules.mode == "strict":
        yield "fail" if any(case.with_hits < case.with_runs for case in standing.counts) else "pass"
    if rules.min_pass_rate is not None:
        yield _rate(standing, rules.min_pass_rate)
    if rules.min_lift is not None:
        yield _lift(standing, rules.min_lift)
    if rules.on_inconclusive == "fail":
        yield _harmless(standing)


def _rate(standing: Standing, target: Fraction) -> Answer | None:
    """Answer for `min_pass_rate`; where doubt passes, a rate that has no chance to be proven too low passes."""
    hits, runs = _pooled(standing.counts)[:2]
    tail = _tail(hits, runs, target) if target < 1 else Fraction(hits == runs)
    if hits >= runs * target or (_lenient(standing) and tail > _DOUBT):
        return "pass"
    if tail < _HOPELESS:
        return "fail"

    def fails(counts: Counts) -> bool:
        hits, runs = _pooled(counts)[:2]
        return upper_bound_below(hits, runs, target) if _lenient(standing) else hits < runs * target

    return _curtailed(standing, fails)


def _lift(standing: Standing, target: Fraction) -> Answer | None:
    """Answer for `min_lift`, as for `min_pass_rate`."""

    def below(counts: Counts, tail: Fraction) -> bool:
        return lift_interval(*_pooled(counts), confidence=float(1 - 2 * tail))[1] < target

    def fails(counts: Counts) -> bool:
        return _lifted(counts) < target and (not _lenient(standing) or below(counts, _REJECTED))

    counts = standing.counts
    if _lifted(counts) >= target or (_lenient(standing) and not below(counts, _DOUBT)):
        return "pass"
    return "fail" if below(counts, _HOPELESS) else _curtailed(standing, fails)


def _harmless(standing: Standing) -> Answer | None:
    """Answer whether harm beyond `equivalence` is ruled out, where a doubt fails the gate."""

    def fails(counts: Counts) -> bool:
        return lift_interval(*_pooled(counts), confidence=0.90)[0] <= -standing.rules.equivalence

    return _curtailed(standing, fails) if fails(standing.counts) else "pass"


def _curtailed(standing: Standing, fails: Callable[[Counts], bool]) -> Answer | None:
    """Answer where the rounds that remain cannot change it, whatever they bring."""
    if not fails(_completed(standing, well=False)):
        return "pass"
    return "fail" if fails(_completed(standing, well=True)) else None


def _completed(standing: Standing, *, well: bool) -> Counts:
    """Return the counts of the last look, where all samples to come speak for the skill, or against it."""
    rest = standing.most - standing.done
    good, bad = (rest, 0) if well else (0, rest)
    return [
        replace(
            case,
            with_hits=case.with_hits + good,
            with_runs=case.with_runs + rest,
            without_hits=case.without_hits + bad,
            without_runs=case.without_runs + rest,
            # A stored baseline does not grow; to let it do so allows for more than can come.
            old_hits=case.old_hits + bad if case.old_runs else 0,
            old_runs=case.old_runs + rest if case.old_runs else 0,
        )
        for case in standing.counts
    ]


def _no_drop(standing: Standing) -> bool:
    """Tell whether there is no sign of a drop against either arm, or none that could be proven any more."""
    worst = _completed(standing, well=False)
    no_sign = _NO_SIGN[min(standing.done, len(_NO_SIGN)) - 1]
    return not any(
        gate_p(strata(standing.counts), standing.rules.min_drop) <= no_sign
        and gate_p(strata(worst), standing.rules.min_drop) <= _REJECTED
        for strata in (_against_none, _against_old)
    )


def _against_none(counts: Counts) -> list[Stratum]:
    return [
        Stratum(case.case, case.without_hits, case.without_runs, case.with_hits, case.with_runs)
        for case in counts
    ]


def _against_old(counts: Counts) -> list[Stratum]:
    return [
        Stratum(case.case, case.old_hits, case.old_runs, case.with_hits, case.with_runs) for case in counts
    ]


def _in_sight(standing: Standing) -> bool:
    """Tell whether a lift that is not settled may well be, with more rounds."""
    if not _measured(standing) or _word(standing) != "inconclusive":
        return False
    bounds = _IN_SIGHT_OF_THREE_ARMS if _has_old(standing) else _IN_SIGHT
    tail = bounds[min(standing.done, len(bounds)) - 1]
    return lift_interval(*_pooled(standing.counts), confidence=1.0 - 2.0 * tail)[0] > 0.0


def _word(standing: Standing) -> Word:
    confidence = claim_confidence(standing.most)
    lift = measure(standing.counts, deterministic=False, confidence=confidence)
    return judge(lift, standing.rules.equivalence).word


def _reason(standing: Standing, decided: int | None) -> str:
    word = _word(standing)
    found = list(_gate_words(standing, word)) if decided == standing.done and _measured(standing) else []
    found.append("lift not settled" if word == "inconclusive" else word)
    return f"decided after {standing.done} of at most {standing.most} runs: {'; '.join(found)}"


def _gate_words(standing: Standing, word: Word) -> Iterator[str]:
    """Yield what a look says of the gate, where the word for its lift does not say as much."""
    old = _has_old(standing)
    if "fail" in _answers(standing):
        yield "a rule of the gate is not met"
    elif standing.tested and (old or word == "inconclusive") and _no_drop(standing):
        yield "no sign of a regression" if old else "no sign of harm"


def _has_old(standing: Standing) -> bool:
    return any(case.old_runs for case in standing.counts)


def _measured(standing: Standing) -> bool:
    return any(case.with_runs for case in standing.counts)


def _pooled(counts: Counts) -> tuple[int, int, int, int]:
    """Return hits and runs with the skill, then without."""
    return (
        sum(case.with_hits for case in counts),
        sum(case.with_runs for case in counts),
        sum(case.without_hits for case in counts),
        sum(case.without_runs for case in counts),
    )


def _lifted(counts: Counts) -> Fraction:
    hits, runs, other_hits, other_runs = _pooled(counts)
    return Fraction(hits, runs) - Fraction(other_hits, other_runs)


def _tail(hits: int, runs: int, target: Fraction) -> Fraction:
    """Return the chance of so few hits or fewer where the rate is `target`, which is below 1."""
    hit, miss = target.numerator, target.denominator - target.numerator
    ways = term = miss**runs
    for k in range(hits):
        term = term * (runs - k) * hit // ((k + 1) * miss)
        ways += term
    return Fraction(ways, target.denominator**runs)


def _lenient(standing: Standing) -> bool:
    return standing.rules.on_inconclusive == "pass"
