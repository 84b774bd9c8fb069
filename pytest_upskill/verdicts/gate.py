"""Whether a skill on a model may pass, by rules that judge what is proven and not what was drawn.

What is claimed: a gate that fails on `min_pass_rate` does so by an exact one-sided test at 5 % (Clopper &
Pearson 1934): a skill that just meets its target fails in at most one of twenty runs. `min_lift` takes the
upper end of the 95 % `lift_interval`: a lift that just meets its target, of up to 50 points, fails in at most one of
twenty runs too, a larger one in up to 7 %. That a skill hurts, or got worse than it was, is
judged in `change`, over all gates of a run at once. What is below its target without proof, and a skill that may yet
hurt, is *inconclusive*. One more hit with the skill never turns a pass into a failure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias

from pytest_upskill.verdicts.change import Finding
from pytest_upskill.verdicts.intervals import clopper_pearson, upper_bound_below
from pytest_upskill.verdicts.stratified import Stratum
from pytest_upskill.verdicts.verdict import Lift, Verdict
from pytest_upskill.verdicts.wording import p_text, percents, points_apart

State: TypeAlias = Literal["changed", "unchanged", "new"]
GateWord: TypeAlias = Literal["passed", "failed", "inconclusive", "incomplete", "not measured"]


@dataclass(frozen=True, slots=True)
class GateRules:
    """What a gate asks for; a rule of None asks for nothing.

    `strict` fails on any miss with the skill as well; `off` never fails, and says what it would have said.
    """

    min_pass_rate: Fraction | None = Fraction(4, 5)
    min_lift: Fraction | None = None
    on_inconclusive: Literal["pass", "fail"] = "pass"
    equivalence: Fraction = Fraction(1, 10)
    min_drop: Fraction = Fraction(1, 50)
    mode: Literal["judge", "strict", "off"] = "judge"


@dataclass(frozen=True, slots=True)
class Against:
    """What the skill of today is compared with.

    Attributes:
        name: in words, such as `main` or `the baseline of 2026-11-02`.
        state: whether a model gets something else than then.
        left_out: cases of today of which nothing is known from then.
        notes: whole sentences on what else is to be known, such as a model that changed.
    """

    name: str
    state: State
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """What is known of a gate's comparisons.

    Attributes:
        against: None where there is nothing to compare with but the arm without the skill.
        findings: one for each comparison that was tested for noise.
        lost: of a model without noise, the cases that it hit before and does not now.
        old: the cases with the skill as it was, and as it is.
        family: how many comparisons the run tested.
    """

    against: Against | None = None
    findings: tuple[Finding, ...] = ()
    lost: tuple[Stratum, ...] = ()
    old: tuple[Stratum, ...] = ()
    family: int = 1

    @property
    def tested(self) -> bool:
        """Tell whether this gate may fail for what changed."""
        return self.against is None or self.against.state != "unchanged"


@dataclass(frozen=True, slots=True)
class GateDecision:
    """Whether the gate passed, its word, and a sentence for each rule that is not met for sure."""

    passed: bool
    word: GateWord
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Judged:
    proven: bool
    reason: str


def decide(
    lift: Lift, verdict: Verdict, rules: GateRules, change: Change, *, incomplete: str | None = None
) -> GateDecision:
    """Decide a gate.

    Args:
        lift: the counts and intervals over these cases.
        verdict: what `judge` says of that lift, at the equivalence of `rules`.
        rules: what the gate asks for.
        change: what its comparisons say.
        incomplete: what could not be measured, in words; the gate then fails with a word of its own.
    """
    findings = tuple(_judged(lift, verdict, rules, change))
    failures = tuple(finding.reason for finding in findings if finding.proven)
    doubts = tuple(finding.reason for finding in findings if not finding.proven)
    if incomplete is not None:
        return _decision("incomplete", (f"Incomplete: {incomplete.rstrip('.')}.", *failures), rules)
    if not lift.with_n:
        return _decision("not measured", ("Nothing was measured, so there is nothing to judge.",), rules)
    if failures:
        return _decision("failed", failures + doubts, rules)
    return _decision("inconclusive" if doubts else "passed", doubts, rules)


def _decision(word: GateWord, reasons: tuple[str, ...], rules: GateRules) -> GateDecision:
    fine = word in {"passed", "not measured"} or (word == "inconclusive" and rules.on_inconclusive == "pass")
    return GateDecision(fine or rules.mode == "off", word, reasons)


def _judged(lift: Lift, verdict: Verdict, rules: GateRules, change: Change) -> Iterator[_Judged]:
    """Yield what is not met for sure, the rules that were asked for first."""
    misses = lift.with_n - lift.with_hits
    if rules.mode == "strict" and misses:
        yield _Judged(True, f"strict: {misses} of {lift.with_n} samples with the skill missed.")
    if rules.min_pass_rate is not None:
        yield from _below_rate(lift, rules.min_pass_rate)
    if rules.min_lift is not None:
        yield from _below_lift(lift, rules.min_lift)
    yield from _worse(change)
    yield from _harm(lift, verdict, rules.equivalence, change)


def _below_rate(lift: Lift, target: Fraction) -> Iterator[_Judged]:
    if lift.with_rate is None or lift.with_rate >= target:
        return
    count = f"{lift.with_hits}/{lift.with_n}"
    if lift.deterministic:
        rate, wanted = percents(lift.with_rate, target)
        yield _Judged(
            True, f"min_pass_rate: {count} with the skill, {rate}, is below the target of {wanted}."
        )
        return
    bound = clopper_pearson(lift.with_hits, lift.with_n, confidence=0.90)[1]
    rate, wanted, most = percents(lift.with_rate, target, bound)
    if upper_bound_below(lift.with_hits, lift.with_n, target):
        reason = (
            f"min_pass_rate: {count} with the skill is {rate}, and even its upper bound of {most} "
            f"(one-sided 95 %) is below the target of {wanted}."
        )
        yield _Judged(True, reason)
    else:
        reason = (
            f"min_pass_rate: below target, not proven ({count}): {rate} with the skill, "
            f"upper bound {most} (one-sided 95 %), target {wanted}."
        )
        yield _Judged(False, reason)


def _below_lift(lift: Lift, target: Fraction) -> Iterator[_Judged]:
    if lift.lift is None or lift.lift >= target:
        return
    count = f"{lift.without_hits}/{lift.without_n} -> {lift.with_hits}/{lift.with_n}"
    if lift.interval is None:
        change, wanted = points_apart(lift.lift, target)
        yield _Judged(True, f"min_lift: {change} points ({count}) is below the target of {wanted}.")
        return
    change, wanted, most = points_apart(lift.lift, target, lift.interval[1])
    if lift.interval[1] < target:
        reason = (
            f"min_lift: the lift is {change} points ({count}), and even the upper end of its "
            f"95 % interval, {most}, is below the target of {wanted}."
        )
        yield _Judged(True, reason)
    else:
        reason = (
            f"min_lift: below target, not proven ({count}): {change} points, "
            f"95 % interval up to {most}, target {wanted}."
        )
        yield _Judged(False, reason)


def _worse(change: Change) -> Iterator[_Judged]:
    for finding in change.findings:
        if finding.proven:
            yield _Judged(True, finding.reason)
        for sentence in finding.unsettled:
            yield _Judged(False, sentence)
    if change.lost:
        cases = ", ".join(stratum.case for stratum in change.lost)
        before = "" if change.against is None else f" at {change.against.name}"
        yield _Judged(True, f"Regressed: {cases} hit{before} and not now, on a model without noise.")


def _harm(lift: Lift, verdict: Verdict, equivalence: Fraction, change: Change) -> Iterator[_Judged]:
    if verdict.word == "hurts":
        tested = next((finding for finding in change.findings if finding.question == "hurts"), None)
        if lift.deterministic:
            yield _Judged(True, f"The skill {verdict.phrase}.")
        elif tested is not None and not tested.proven:
            among = f" among the {change.family} comparisons of this run" if change.family > 1 else ""
            reason = f"The skill {verdict.phrase}; that is not proven{among} (p = {p_text(tested.p)})."
            yield _Judged(False, reason)
    # A lift that is open upwards alone is no doubt: else a better skill could turn "no effect", which
    # passes, into "inconclusive", which may fail.
    elif verdict.word == "inconclusive" and lift.interval90 and lift.interval90[0] <= -equivalence:
        yield _Judged(False, f"The lift is {verdict.phrase}.")
