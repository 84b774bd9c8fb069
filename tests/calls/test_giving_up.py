"""When there is nothing to wait for any more, nobody waits; and one bad case ends nothing but itself."""

from __future__ import annotations

import asyncio
import time
import traceback
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_upskill.calls.budget import Budget
from pytest_upskill.calls.engine import Engine
from pytest_upskill.calls.measure import Measurer
from pytest_upskill.calls.retry import Policy
from pytest_upskill.calls.store import Store, StoreError
from pytest_upskill.errors import CallError
from pytest_upskill.suite.matrix import Sample
from pytest_upskill.types import Model, Outcome, Reply, Request
from tests.calls.fakes import HASTY, MODEL, Fake, at_once, case, gate, measurer, outcomes, samples, suite

ONE = replace(MODEL, concurrency=1)


def measured(made: Measurer, wanted: list[Sample]) -> dict[str, Outcome]:
    """Measure samples as a run does: in their order, twice as many at a time as calls may be in flight."""
    engine = Engine(lambda: made)
    engine.select(wanted)
    try:
        found = engine.gather(wanted)
    finally:
        engine.stop()
    return {sample.id: outcome for sample, outcome in zip(wanted, found, strict=True)}


def limited(retry_after: float) -> CallError:
    return CallError("m: too many", short="rate limited", fault="limited", retry_after=retry_after)


@pytest.mark.parametrize("outage", [30.0, 0.0])
def test_one_case_that_breaks_a_server_ends_no_other_also_where_one_call_is_made_at_a_time(
    outage: float,
) -> None:
    async def answer(request: Request) -> Reply:
        await asyncio.sleep(0)
        if "poison" in request.messages[0].content:
            raise CallError("m: the server answered 500", short="server error (500)", fault="failed")
        return Reply("yes")

    made = measurer(Fake(answer), policy=replace(HASTY, outage=outage))
    found = measured(
        made, list(gate(suite(case("a"), case("poison"), case("b"), case("c")), ONE, runs=3).samples)
    )
    assert {name for name, one in found.items() if one.error} == {name for name in found if "poison" in name}
    assert made.down == {}


def test_a_server_that_fails_with_the_one_case_there_is_is_given_up_all_the_same() -> None:
    async def answer(request: Request) -> Reply:
        await asyncio.sleep(0)
        raise CallError("m: the server answered 502", short="bad gateway (502)", fault="failed")

    provider = Fake(answer)
    made = measurer(provider)
    measured(made, list(gate(suite(case("a")), ONE, runs=50).samples))
    assert list(map(str, made.down.values())) == [
        "m: the server answered 502 (given up after 7 attempts in 0 s)"
    ]
    assert len(provider.requests) <= 9 * 7


def test_a_server_that_only_refuses_and_resets_is_given_up() -> None:
    async def answer(request: Request) -> Reply:
        await asyncio.sleep(0)
        if len(provider.requests) % 2:
            raise limited(0.001)
        raise CallError("m: dropped", short="dropped", fault="lost")

    provider = Fake(answer)
    made = measurer(provider, policy=Policy(attempts=2, base=0.001, cap=0.001))
    found = measured(made, samples(200))
    assert all(one.error for one in found.values())
    assert "(given up after " in str(made.down["m"])
    assert len(provider.requests) < 100


def test_a_sample_that_is_always_limited_ends_no_other_where_others_are_served() -> None:
    async def answer(request: Request) -> Reply:
        await asyncio.sleep(0.002)
        if "case-0?" in request.messages[0].content:
            raise limited(0.001)
        return Reply("yes")

    made = measurer(Fake(answer))
    found = measured(made, samples(100, replace(MODEL, deadline=0.05)))
    (error,) = [one.error for one in found.values() if one.error]
    assert error.startswith("m: too many (its deadline of 0.05 s is over after ")
    assert made.down == {}


def test_nobody_waits_out_the_hour_that_a_server_asks_for() -> None:
    async def answer(request: Request) -> Reply:
        await asyncio.sleep(0)
        raise limited(3600)

    provider = Fake(answer)
    found = at_once(measurer(provider), *samples(40))
    assert {one.error for one in found} == {"rate limited"}
    assert len(provider.requests) == 4


def test_who_waits_to_try_again_learns_at_once_that_the_budget_is_spent() -> None:
    patient = Policy(attempts=2, base=60.0, cap=60.0)

    async def answer(request: Request) -> Reply:
        await asyncio.sleep(0)
        if "case-0?" in request.messages[0].content:
            raise CallError("m: 500", fault="failed")
        await asyncio.sleep(0.05)
        return Reply("yes")

    provider = Fake(answer)
    found = at_once(measurer(provider, policy=patient, budget=Budget(calls=2)), *samples(6))
    said = "--upskill-max-calls=2 is reached: no further call is made; raise it to go on"
    assert {one.error for one in found if not one.hit} == {said, "budget spent"}
    assert (len(provider.requests), sum(one.hit for one in found)) == (2, 1)


def test_what_the_budget_refuses_does_not_wait_for_the_limits_before() -> None:
    provider = Fake()
    slow = replace(MODEL, requests_per_minute=1200)
    begun = time.perf_counter()
    found = measured(measurer(provider, budget=Budget(calls=3)), samples(200, slow))
    assert time.perf_counter() - begun < 3
    assert sum(one.hit for one in found.values()) == len(provider.requests) == 3


class Full(Store):
    """A store on a disk that is full."""

    async def put(self, key: bytes, reply: Reply, endpoint: str = "") -> None:
        await asyncio.sleep(0)
        raise StoreError("the disk is full")


def test_a_reply_that_cannot_be_kept_ends_the_calls_that_wait_for_their_turn(tmp_path: Path) -> None:
    provider = Fake()
    found = at_once(measurer(provider, store=Full(tmp_path)), *samples(40))
    assert {one.error for one in found} == {"the disk is full"}
    assert len(provider.requests) == MODEL.concurrency


def frames(error: BaseException) -> int:
    return len(list(traceback.walk_tb(error.__traceback__)))


def test_the_error_of_a_model_that_was_given_up_does_not_grow_with_each_sample() -> None:
    async def refuse(request: Request) -> Reply:
        raise CallError("m: refused", short="key refused", fatal=True)

    made = measurer(Fake(refuse))
    outcomes(made, *samples(200))
    assert frames(made.down["m"]) < 20


def test_nor_does_that_of_a_model_that_could_not_be_opened() -> None:
    class Closed(Fake):
        async def open(self) -> None:
            raise CallError("m: no such package", short="not installed")

    made = measurer(Closed())
    found = outcomes(made, *samples(200))
    assert {one.error for one in found} == {"not installed"}
    assert str(made.down["m"]) == "m: no such package"
    assert frames(made.down["m"]) < 20


def test_nor_does_that_of_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    made = measurer(Fake(), store=Full(tmp_path))
    outcomes(made, *samples(200))
    assert made.means.attempts.stopped is not None
    assert frames(made.means.attempts.stopped) < 20


def test_a_model_that_is_limited_for_an_hour_keeps_no_other_from_its_calls() -> None:
    async def refuse(request: Request) -> Reply:
        await asyncio.sleep(0)
        raise limited(3600)

    bad, good = Fake(refuse), Fake()
    cases = suite(*(case(f"case-{n}") for n in range(10)))
    refused = gate(cases, Model("bad", "fake", "x")).samples
    served = gate(cases, Model("good", "fake", "y")).samples
    found = at_once(measurer({"bad": bad, "good": good}), *refused, *served)
    assert [one.error for one in found] == ["rate limited"] * 20 + [None] * 20
