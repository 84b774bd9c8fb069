"""From the outcomes of a gate's samples to the counts that a verdict is made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from pytest_upskill.suite.matrix import Gate, Sample
from pytest_upskill.types import WITH, WITHOUT, Arm, Case, Outcome, Price, Reply
from pytest_upskill.verdicts.verdict import CaseCount


@dataclass(frozen=True, slots=True)
class Tally:
    """What was measured of a gate's samples.

    `counts` are the hits of the cases that were measured whole, runs with the same reply taken once.
    `complete` tells that every declared sample was measured or skipped. Token means are over calls whose
    usage is known; `tokens_ratio`, `latency_ratio` are geometric means of with/without over the cases.
    Costs are US dollars over all calls of an arm, None when the price or a usage is unknown.
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

    @property
    def complete(self) -> bool:
        return not self.errors and not self.pending


def tally(gate: Gate, outcomes: Mapping[Sample, Outcome]) -> Tally:
    """Count what is known of a gate's samples by now."""
    known = [(sample, outcomes[sample]) for sample in gate.samples if sample in outcomes]
    cases = _by_case(known)
    wanted = 2 * gate.runs
    whole = {case: rows for case, rows in cases.items() if sum(o.measured for _, o in rows) == wanted}
    replies = {
        arm: [o.reply for s, o in known if s.arm == arm and o.measured and o.reply] for arm in (WITH, WITHOUT)
    }
    return Tally(
        counts=tuple(_count(case, rows) for case, rows in whole.items()),
        errors=tuple(row for row in known if row[1].error is not None),
        skips=tuple(row for row in known if row[1].skip is not None),
        pending=len(gate.samples) - len(known),
        repeated=tuple(case.id for case, rows in whole.items() if _repeats(rows)),
        truncated=sum(reply.truncated for arm in replies.values() for reply in arm),
        with_tokens=_mean_tokens(replies[WITH]),
        without_tokens=_mean_tokens(replies[WITHOUT]),
        tokens_ratio=_ratio(whole.values(), _tokens),
        latency_ratio=_ratio(whole.values(), lambda reply: reply.latency),
        with_cost=_cost(replies[WITH], gate.model.price),
        without_cost=_cost(replies[WITHOUT], gate.model.price),
    )


Rows = list[tuple[Sample, Outcome]]


def _by_case(known: Iterable[tuple[Sample, Outcome]]) -> dict[Case, Rows]:
    cases: dict[Case, Rows] = {}
    for sample, outcome in known:
        cases.setdefault(sample.case, []).append((sample, outcome))
    return cases


def _arm(rows: Rows, arm: Arm) -> list[Outcome]:
    return [outcome for sample, outcome in rows if sample.arm == arm]


def _distinct(outcomes: Sequence[Outcome]) -> list[Outcome]:
    # One reply got twice is one run: a server that answers from a cache adds no evidence.
    return list({outcome.reply.text: outcome for outcome in reversed(outcomes) if outcome.reply}.values())[
        ::-1
    ]


def _repeats(rows: Rows) -> bool:
    return any(len(_distinct(_arm(rows, arm))) < len(_arm(rows, arm)) for arm in (WITH, WITHOUT))


def _count(case: Case, rows: Rows) -> CaseCount:
    with_, without = _distinct(_arm(rows, WITH)), _distinct(_arm(rows, WITHOUT))
    runs = min(len(with_), len(without))
    return CaseCount(
        case.id,
        sum(outcome.hit for outcome in with_[:runs]),
        runs,
        sum(outcome.hit for outcome in without[:runs]),
        runs,
    )


def _tokens(reply: Reply) -> float | None:
    usage = reply.usage
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    return usage.input_tokens + usage.output_tokens


def _mean_tokens(replies: Sequence[Reply]) -> float | None:
    counts = [count for reply in replies if (count := _tokens(reply)) is not None]
    return fmean(counts) if counts else None


def _cost(replies: Sequence[Reply], price: Price | None) -> float | None:
    if price is None or not replies:
        return None
    total = 0.0
    for reply in replies:
        usage = reply.usage
        if usage.input_tokens is None or usage.output_tokens is None:
            return None
        total += (usage.input_tokens * price.input + usage.output_tokens * price.output) / 1e6
    return total


def _ratio(cases: Iterable[Rows], measure: Callable[[Reply], float | None]) -> float | None:
    logs = []
    for rows in cases:
        with_ = [value for o in _arm(rows, WITH) if o.reply and (value := measure(o.reply))]
        without = [value for o in _arm(rows, WITHOUT) if o.reply and (value := measure(o.reply))]
        if with_ and without:
            logs.append(math.log(fmean(with_) / fmean(without)))
    return math.exp(fmean(logs)) if logs else None
