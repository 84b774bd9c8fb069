"""Providers of others that break their promises: their samples are errors, and nothing else suffers."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import Any

import pytest

from pytest_upskill.calls.budget import Budget
from pytest_upskill.calls.measure import Measurer
from pytest_upskill.errors import CallError
from pytest_upskill.suite.matrix import Sample
from pytest_upskill.types import Outcome, Price, RateLimits, Reply, Request, Usage, Window
from tests.calls.fakes import MODEL, Fake, measurer, samples

PRICED = replace(MODEL, price=Price(1.0, 1.0))


def at_once(made: Measurer, *wanted: Sample) -> list[Outcome]:
    async def together() -> list[Outcome]:
        try:
            measuring = asyncio.gather(*(made.measure(sample) for sample in wanted))
            return await asyncio.wait_for(measuring, 10)
        finally:
            await made.close()

    return asyncio.run(together())


def answering(**fields: Any) -> Fake:
    async def answer(request: Request) -> Reply:
        await asyncio.sleep(0)
        return Reply("yes", **fields)

    return Fake(answer)


@pytest.mark.parametrize(
    "usage",
    [None, {"input_tokens": 3}, Usage("3", "4"), Usage(True, -1), Usage(1.5, math.nan)],  # type: ignore[arg-type]
    ids=repr,
)
def test_a_usage_that_is_none_is_unknown_and_costs_nobody_a_place(usage: Any) -> None:
    budget = Budget()
    made = measurer(answering(usage=usage), budget=budget)
    found = at_once(made, *samples(20, PRICED))
    assert [(one.error, one.hit, one.cost) for one in found] == [(None, True, None)] * 20
    assert {one.reply.usage for one in found if one.reply} == {Usage()}
    assert (budget.calls, budget.unknown) == (20, 20)


@pytest.mark.parametrize("latency", ["fast", None, -1.0, math.nan, math.inf], ids=repr)
def test_a_latency_that_is_none_is_nothing(latency: Any) -> None:
    (found,) = at_once(measurer(answering(latency=latency)), *samples(1))
    assert found.reply is not None
    assert found.reply.latency == 0.0


@pytest.mark.parametrize(
    "limits",
    [{"requests": 3}, RateLimits(3, 4), RateLimits(Window("1", None, "soon"), Window(1, True, []))],  # type: ignore[arg-type]
    ids=repr,
)
def test_limits_that_are_none_are_taken_no_notice_of(limits: Any) -> None:
    found = at_once(measurer(answering(limits=limits)), *samples(20))
    assert [one.error for one in found] == [None] * 20


@pytest.mark.parametrize("retry_after", ["1", math.nan, math.inf, -5.0, [3]], ids=repr)
@pytest.mark.parametrize("fault", ["limited", "failed"])
def test_a_wait_that_is_none_is_not_waited_for(fault: Any, retry_after: Any) -> None:
    async def answer(request: Request) -> Reply:
        await asyncio.sleep(0)
        if len(provider.requests) == 1:
            raise CallError("m: no", fault=fault, retry_after=retry_after, limits={"requests": 3})  # type: ignore[arg-type]
        return Reply("yes")

    provider = Fake(answer)
    found = at_once(measurer(provider), *samples(20))
    assert [one.error for one in found] == [None] * 20
