"""From the outcomes of a gate's samples to the counts that a verdict is made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from pytest_upskill.suite.matrix import Gate, Sample
from pytest_upskill.types import OLD, WITH, WITHOUT, Arm, Case, Outcome, Reply
from pytest_upskill.verdicts.verdict import CaseCount


@dataclass(frozen=True, slots=True)
class Tally:
    """What was measured of a gate's samples.

    `rounds` is how many runs were asked for: fewer than the gate's where `auto` decided it before.
    `counts` are the hits of the cases that were measured whole, runs with the same reply taken once, and as many
    runs with the skill as without it; `counted_cost` is what their calls with the skill cost.
    `complete` tells that every declared sample was measured or skipped. Tokens and ratios are those of the same
    cases, over calls whose usage is known; `tokens_ratio`, `latency_ratio` are geometric means of with/without over
    the cases. Costs are US dollars, None when the price or a usage is unknown; those of an arm are over all of its
    calls.
    """

    counts: tuple[CaseCount, ...]
    errors: tuple[tuple[Sample, Outcome], ...]
    skips: tuple[tuple[Sample, Outcome], ...]
    pending: int
    repeated: tuple[str, ...]
    truncated: int
    with_tokens: float | None
    without_tokens: float | None
    tokens_ratio: float | None
    latency_ratio: float | None
    with_cost: float | None
    without_cost: float | None
    counted_cost: float | None
    rounds: int = 1

    @property
    def complete(self) -> bool:
        return not self.errors and not self.pending


@dataclass(frozen=True, slots=True)
class _Case:
    """A case that was measured whole: the replies of both arms by their runs, and those that count."""

    id: str
    replies: Mapping[Arm, Sequence[Outcome]]
    counted: Mapping[Arm, Sequence[Outcome]]

    @property
    def repeats(self) -> bool:
        return any(len(distinct(replies)) < len(replies) for replies in self.replies.values())

    @property
    def count(self) -> CaseCount:
        with_, without, old = self.counted[WITH], self.counted[WITHOUT], self.counted.get(OLD, ())
        return CaseCount(
            self.id, _hits(with_), len(with_), _hits(without), len(without), _hits(old), len(old)
        )


def tally(gate: Gate, outcomes: Mapping[Sample, Outcome], rounds: int | None = None) -> Tally:
    """Count what is known of a gate's samples by now.

    Args:
        gate: whose samples.
        outcomes: what became of samples.
        rounds: count the first so many runs; None for those that the gate was decided with.
    """
    if rounds is None:
        rounds = _rounds(gate, outcomes)
    wanted = [sample for sample in gate.samples if sample.run <= rounds]
    known = [(sample, outcomes[sample]) for sample in wanted if sample in outcomes]
    measured = [(sample, outcome) for sample, outcome in known if outcome.measured]
    cases = list(_whole(measured, rounds, gate.suite.arms))
    return Tally(
        counts=tuple(case.count for case in cases),
        errors=tuple(row for row in known if row[1].error is not None),
        skips=tuple(row for row in known if row[1].skip is not None),
        pending=len(wanted) - len(known),
        repeated=tuple(case.id for case in cases if case.repeats),
        truncated=sum(outcome.reply is not None and outcome.reply.truncated for _, outcome in measured),
        with_tokens=_mean_tokens(_of_cases(cases, WITH)),
        without_tokens=_mean_tokens(_of_cases(cases, WITHOUT)),
        tokens_ratio=_ratio(cases, _tokens),
        latency_ratio=_ratio(cases, lambda reply: reply.latency),
        with_cost=_cost(_of_arm(measured, WITH)),
        without_cost=_cost(_of_arm(measured, WITHOUT)),
        counted_cost=_cost([outcome for case in cases for outcome in case.counted[WITH]]),
        rounds=rounds,
    )


Row = tuple[Sample, Outcome]


def _rounds(gate: Gate, outcomes: Mapping[Sample, Outcome]) -> int:
    if not gate.auto:
        return gate.runs
    # What is beyond was not needed; or nobody asked for it, where the gate was not selected.
    made = (sample.run for sample in gate.samples if sample in outcomes and outcomes[sample].skip is None)
    return max(made, default=1)


def _whole(measured: Iterable[Row], runs: int, arms: Sequence[Arm]) -> Iterator[_Case]:
    rows: dict[Case, list[Row]] = {}
    for sample, outcome in measured:
        rows.setdefault(sample.case, []).append((sample, outcome))
    for case, own in rows.items():
        replies = {arm: _of_arm(own, arm) for arm in arms}
        if all(len(outcomes) == runs for outcomes in replies.values()):
            counted = {arm: distinct(outcomes) for arm, outcomes in replies.items()}
            size = min(len(counted[arm]) for arm in (WITH, WITHOUT))
            # The lift compares as many runs with as without; the exact tests need no equal numbers.
            yield _Case(case.id, replies, counted | {arm: counted[arm][:size] for arm in (WITH, WITHOUT)})


def _of_arm(rows: Iterable[Row], arm: Arm) -> list[Outcome]:
    return [outcome for sample, outcome in rows if sample.arm == arm]


def _of_cases(cases: Iterable[_Case], arm: Arm) -> list[Outcome]:
    return [outcome for case in cases for outcome in case.replies[arm]]


def distinct(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Return the outcomes with each reply once: a server that answers from a cache adds no evidence."""
    found: dict[str, Outcome] = {}
    for outcome in outcomes:
        if outcome.reply is not None:
            found.setdefault(outcome.reply.text, outcome)
    return list(found.values())


def _hits(outcomes: Iterable[Outcome]) -> int:
    return sum(outcome.hit for outcome in outcomes)


def _tokens(reply: Reply) -> int | None:
    usage = reply.usage
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    return usage.input_tokens + usage.output_tokens


def _mean_tokens(outcomes: Iterable[Outcome]) -> float | None:
    found = _values(outcomes, _tokens)
    return fmean(found) if found else None


def _cost(outcomes: Sequence[Outcome]) -> float | None:
    costs = [outcome.cost for outcome in outcomes if outcome.cost is not None]
    return math.fsum(costs) if costs and len(costs) == len(outcomes) else None


def _values(outcomes: Iterable[Outcome], measure: Callable[[Reply], float | None]) -> list[float]:
    found = (measure(outcome.reply) for outcome in outcomes if outcome.reply is not None)
    return [value for value in found if value is not None]


def _ratio(cases: Iterable[_Case], measure: Callable[[Reply], float | None]) -> float | None:
    logs = []
    for case in cases:
        means = [fmean(_values(case.replies[arm], measure) or [0.0]) for arm in (WITH, WITHOUT)]
        # A case without a number in one of its arms, or with a zero, has no ratio.
        if min(means) > 0:
            logs.append(math.log(means[0] / means[1]))
    return math.exp(fmean(logs)) if logs else None
