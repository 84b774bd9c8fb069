"""Which model to take for a skill: the cheapest that reaches the target, with the skill or without it.

A candidate is a model with the skill or without it. What is claimed: of all candidates of a skill, not one is called
*proven* to reach the target while its true rate on these cases is lower, in 95 % of runs. Each of k candidates that
have noise gets 0.05 / k (Bonferroni) of the error of an exact one-sided bound (Clopper & Pearson 1934), where auto
runs may end after any of several rounds a share of that for each round. Rates of the single cases may differ: the
tail of a sum of such tosses is no heavier than the binomial one that the bound is made of (Hoeffding 1956, Annals of
Mathematical Statistics 27:713). Costs are means and are taken as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias

from pytest_upskill.suite.matrix import Sample
from pytest_upskill.types import WITH, WITHOUT, Arm, Outcome
from pytest_upskill.verdicts.intervals import clopper_pearson, lower_bound_reaches
from pytest_upskill.verdicts.result import GateResult
from pytest_upskill.verdicts.stopping import looks

Reach: TypeAlias = Literal["proven", "not proven", "missed"]
Kind: TypeAlias = Literal["skip the skill", "reach"]
ERROR = Fraction(1, 20)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model with the skill, or without it.

    Attributes:
        model: its name.
        skilled: with the skill.
        hits: of its `n` counted runs.
        n: how many those are.
        cost: US dollars for one call, the mean; None where the price or a usage is unknown.
        tokens: for one call, prompt and reply, the mean; None where unknown.
        exact: the model has no noise.
        looks: after how many rounds it may have been decided to make no more.
    """

    model: str
    skilled: bool
    hits: int
    n: int
    cost: Fraction | None = None
    tokens: Fraction | None = None
    exact: bool = False
    looks: int = 1

    @property
    def rate(self) -> Fraction:
        return Fraction(self.hits, self.n)


@dataclass(frozen=True, slots=True)
class Weighed:
    """A candidate, whether it reaches the target, and what its rate is at least.

    `proven` and `not proven` say that its rate reaches the target, `missed` that it does not. `lower` is None where the
    rate is exact. `below` says that it is proven not to reach the target. `front` says that no other candidate is both
    as cheap and as good, and one of them more; it is False where the cost is unknown.
    """

    candidate: Candidate
    reach: Reach
    below: bool
    lower: float | None
    front: bool


@dataclass(frozen=True, slots=True)
class Advice:
    """Something to do that the runs give evidence for; `tokens` is what the skill adds to a call, where known."""

    kind: Kind
    model: str
    result: GateResult
    tokens: Fraction | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The candidates of a skill, weighed by a target.

    Attributes:
        target: the rate to reach.
        cases: over how many cases: those that every candidate was measured on.
        left_out: how many cases only some of them were measured on.
        weighed: all candidates, model by model.
        proven: the cheapest that is proven to reach the target.
        likely: the cheapest that reaches it without proof.
        advice: what follows for single models.
    """

    target: Fraction
    cases: int
    left_out: int
    weighed: tuple[Weighed, ...]
    proven: Weighed | None
    likely: Weighed | None
    advice: tuple[Advice, ...]

    @property
    def best(self) -> Weighed | None:
        """Return the cheapest that reaches the target: by proof, or else by its rate."""
        return self.proven or self.likely


def choose(
    results: Sequence[GateResult], outcomes: Mapping[Sample, Outcome], target: Fraction
) -> Choice | None:
    """Weigh the models of one skill; None where there is none that could be chosen.

    Args:
        results: of all gates of the skill. One that was not selected or is incomplete is no candidate, nor is the
            offline reader, which is no model and would always be the cheapest.
        outcomes: of their samples, for what a call costs.
        target: the rate to reach.
    """
    able = [result for result in results if _able(result)]
    measured = [{count.case for count in result.tally.counts if count.with_runs} for result in able]
    if not able or not (cases := set.intersection(*measured)):
        return None
    weighed = weigh([each for result in able for each in _candidates(result, outcomes, cases)], target)
    return Choice(
        target=target,
        cases=len(cases),
        left_out=len(set.union(*measured)) - len(cases),
        weighed=weighed,
        proven=_cheapest(weighed, "proven"),
        likely=_cheapest(weighed, "not proven"),
        advice=tuple(_advice(able, weighed)),
    )


def weigh(candidates: Sequence[Candidate], target: Fraction) -> tuple[Weighed, ...]:
    """Hold each candidate against the target, at its share of the error."""
    noisy = sum(not candidate.exact for candidate in candidates)
    return tuple(_weighed(each, candidates, target, noisy) for each in candidates)


def cheaper(one: Weighed, other: Weighed) -> bool:
    """Tell whether one stands before the other: by cost, then by tokens, then by rate."""
    return _order(one) < _order(other)


def _able(result: GateResult) -> bool:
    counts = result.tally.counts
    return (
        result.verdict is not None
        and result.tally.complete
        and any(count.with_runs for count in counts)
        and result.gate.model.provider != "reader"
    )


def _candidates(
    result: GateResult, outcomes: Mapping[Sample, Outcome], cases: set[str]
) -> Iterator[Candidate]:
    gate, counts = result.gate, [count for count in result.tally.counts if count.case in cases]
    n = sum(count.with_runs for count in counts)
    for arm, hits in (
        (WITHOUT, sum(count.without_hits for count in counts)),
        (WITH, sum(count.with_hits for count in counts)),
    ):
        own = _calls(result, outcomes, cases, arm)
        yield Candidate(
            model=gate.model.name,
            skilled=arm == WITH,
            hits=hits,
            n=n,
            cost=_mean([outcome.cost for outcome in own]),
            tokens=_mean([_tokens(outcome) for outcome in own]),
            exact=result.lift.deterministic,
            looks=len(looks(gate.runs)) if gate.auto else 1,
        )


def _calls(
    result: GateResult, outcomes: Mapping[Sample, Outcome], cases: set[str], arm: Arm
) -> list[Outcome]:
    found = (
        outcomes[sample]
        for sample in result.gate.samples
        if sample.arm == arm and sample.case.id in cases and sample in outcomes
    )
    return [outcome for outcome in found if outcome.measured]


def _tokens(outcome: Outcome) -> int | None:
    usage = None if outcome.reply is None else outcome.reply.usage
    if usage is None or usage.input_tokens is None or usage.output_tokens is None:
        return None
    return usage.input_tokens + usage.output_tokens


def _mean(values: Sequence[float | None]) -> Fraction | None:
    # Exactly, so that what costs the same is a tie however many calls were made.
    known = [Fraction(value) for value in values if value is not None]
    return sum(known, Fraction(0)) / len(known) if known and len(known) == len(values) else None


def _weighed(each: Candidate, candidates: Sequence[Candidate], target: Fraction, noisy: int) -> Weighed:
    front = each.cost is not None and not any(_dominates(other, each) for other in candidates)
    if each.exact:
        reached = each.rate >= target
        return Weighed(each, "proven" if reached else "missed", not reached, None, front)
    alpha = ERROR / (noisy * each.looks)
    lower = clopper_pearson(each.hits, each.n, confidence=float(1 - 2 * alpha))[0]
    # An upper bound of the hits is a lower bound of the misses. One candidate takes its share of the error for both
    # questions, as its true rate makes at most one of the two answers false.
    below = lower_bound_reaches(each.n - each.hits, each.n, 1 - target, alpha)
    return Weighed(each, _reach(each, target, alpha), below and each.rate < target, lower, front)


def _reach(each: Candidate, target: Fraction, alpha: Fraction) -> Reach:
    if lower_bound_reaches(each.hits, each.n, target, alpha):
        return "proven"
    return "not proven" if each.rate >= target else "missed"


def _dominates(other: Candidate, each: Candidate) -> bool:
    if other.cost is None or each.cost is None:
        return False
    no_worse = other.cost <= each.cost and other.rate >= each.rate
    return no_worse and (other.cost < each.cost or other.rate > each.rate)


def _cheapest(weighed: Sequence[Weighed], reach: Reach) -> Weighed | None:
    found = [each for each in weighed if each.reach == reach and each.candidate.cost is not None]
    return min(found, key=_order, default=None)


def _order(each: Weighed) -> tuple[bool, Fraction, bool, Fraction, Fraction]:
    cost, tokens = each.candidate.cost, each.candidate.tokens
    none = Fraction(0)
    return cost is None, cost or none, tokens is None, tokens or none, -each.candidate.rate


def _advice(results: Sequence[GateResult], weighed: Sequence[Weighed]) -> Iterator[Advice]:
    """Yield advice that is proven; a lift that is not settled advises nothing."""
    found = {(each.candidate.model, each.candidate.skilled): each for each in weighed}
    for result in results:
        name, word = result.gate.model.name, None if result.verdict is None else result.verdict.word
        with_, without = found[name, True], found[name, False]
        if word == "no effect" and (added := _added(with_.candidate, without.candidate)) is not None:
            yield Advice("skip the skill", name, result, added)
        if word == "helps" and with_.reach == "proven" and without.below:
            yield Advice("reach", name, result)


def _added(with_: Candidate, without: Candidate) -> Fraction | None:
    if with_.tokens is None or without.tokens is None or with_.tokens <= without.tokens:
        return None
    return with_.tokens - without.tokens
