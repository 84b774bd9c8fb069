"""Providers of others that break their promises: their samples are errors, and nothing else suffers."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from dataclasses import replace
from typing import Any

import pytest

from pytest_upskill.calls import attempts
from pytest_upskill.calls.budget import Budget
from pytest_upskill.calls.quiet import Quiet
from pytest_upskill.calls.retry import Policy
from pytest_upskill.errors import CallError
from pytest_upskill.types import Price, RateLimits, Reply, Request, Usage, Window
from tests.calls.fakes import MODEL, Fake, at_once, measurer, samples

PRICED = replace(MODEL, price=Price(1.0, 1.0))


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


def test_a_provider_that_takes_no_notice_of_its_time_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def answer(request: Request) -> Reply:
        if len(provider.requests) == 1:
            await asyncio.sleep(3600)
        return Reply("yes")

    monkeypatch.setattr(attempts, "_LATE", 0.01)
    provider = Fake(answer)
    made = measurer(provider)
    (found,) = at_once(made, *samples(1, replace(MODEL, timeout=0.01)))
    assert found.hit
    assert (len(provider.requests), made.traffic.retries, made.traffic.in_flight) == (2, 1, 0)


def test_a_provider_that_never_ends_a_call_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(request: Request) -> Reply:
        await asyncio.sleep(3600)
        return Reply("yes")

    monkeypatch.setattr(attempts, "_LATE", 0.01)
    made = measurer(Fake(answer), policy=Policy(attempts=2, base=0.001, cap=0.001))
    (found,) = at_once(made, *samples(1, replace(MODEL, timeout=0.01)))
    assert found.error == "m: the provider did not end a call within its 0.01 s (2 attempts)"


class Leaking(Fake):
    """A provider with a key of its own, of which no variable knows."""

    secrets = ("canary-of-the-provider",)


def test_a_key_is_masked_before_a_long_message_is_cut() -> None:
    async def answer(request: Request) -> Reply:
        raise CallError("m: " + "x" * 985 + "canary-of-the-provider")

    (found,) = at_once(measurer(Leaking(answer)), *samples(1))
    assert found.error is not None
    assert "canary" not in found.error


def test_a_key_that_an_sdk_logs_is_masked() -> None:
    async def answer(request: Request) -> Reply:
        logging.getLogger("sdk").warning("sent canary-of-the-provider")
        return Reply("yes")

    quiet = Quiet()
    quiet.thread = threading.get_ident()
    quiet.hush_logging()
    try:
        (found,) = at_once(measurer(Leaking(answer)), *samples(1))
    finally:
        quiet.restore()
    assert found.log == ("WARNING sdk: sent ***",)
