"""The table of --upskill-plan: what of each skill and model is there, and what the rest would take."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_upskill.calls.estimate import LETTERS_A_TOKEN, UNSEEN_REPLY, Estimate
from pytest_upskill.calls.prices import in_dollars
from pytest_upskill.errors import one_line
from pytest_upskill.reports.plan import Plan, in_time
from pytest_upskill.reports.table import Line, Shape, laid_out
from pytest_upskill.reports.words import wrapped

_BASIS = (
    f"Tokens, dollars and time are estimates: {LETTERS_A_TOKEN} characters of a prompt are a token, and a reply is as "
    f"long as the mean of those in the store of the same model, or {UNSEEN_REPLY} tokens (max_tokens, where that is "
    "less) where there are none."
)


def plan_table(plan: Plan, width: int) -> Iterator[Line]:
    """Yield the plan by skill and model, its sum, and what its estimates rest on, in at most `width` columns."""
    rest = "calls" if plan.calls else "missing"
    columns = (
        "skill",
        "model",
        "samples",
        "recorded",
        "stored",
        "batched",
        rest,
        "tokens in",
        "tokens out",
        "cost",
        "time",
    )
    rows = []
    for load in plan.loads:
        stored = load.stored if plan.reads else ""
        batched = load.batched if plan.batched else ""
        there = (load.samples, load.recorded if plan.recorded else "", stored, batched, load.rest.calls)
        toll = _toll(load.rest, load.rest.seconds) if plan.calls else ("",) * 4
        rows.append((one_line(load.skill), one_line(load.model), *there, *toll))
    if len(rows) > 1:
        stored = plan.stored if plan.reads else ""
        there = (plan.samples, plan.recorded or "", stored, plan.batched or "", plan.rest)
        rows.append(("all", "", *there, *(_toll(_sum(plan), plan.seconds) if plan.calls else ("",) * 4)))
    cells = [dict(zip(columns, map(str, row), strict=True)) for row in rows]
    yield from laid_out(cells, Shape(columns, ("skill", "model"), ("tokens out", "tokens in", "time")), width)
    if plan.calls and plan.rest:
        yield from (Line(text) for text in wrapped(_BASIS, width))


def _sum(plan: Plan) -> Estimate:
    rests = [load.rest for load in plan.loads]
    return Estimate(
        calls=plan.rest,
        input_tokens=sum(rest.input_tokens for rest in rests),
        output_tokens=sum(rest.output_tokens for rest in rests),
        cost=None if plan.unpriced else plan.cost,
    )


def _toll(rest: Estimate, seconds: float | None) -> tuple[str, str, str, str]:
    if not rest.calls:
        return "", "", "", ""
    cost = "unknown" if rest.cost is None else in_dollars(rest.cost) if rest.cost else "0"
    time = "" if seconds is None else in_time(seconds) if seconds >= 1 else "< 1 s"
    return str(rest.input_tokens), str(rest.output_tokens), cost, time
