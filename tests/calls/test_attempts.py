"""Calls that fail: tried again where that may help, given up where nobody is there, paid for once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_upskill.calls.budget import Budget
from pytest_upskill.calls.retry import Policy
from pytest_upskill.calls.store import Store
from pytest_upskill.errors import CallError
from pytest_upskill.types import Fault, Outcome, Price, Reply, Request, Usage
from tests.calls.fakes import (
    HASTY,
    MODEL,
    Fake,
    at_once,
    case,
    gate,
    measurer,
    outcome,
    outcomes,
    samples,
    suite,
)

WITH_SKILL, WITHOUT_SKILL = gate().samples


def failing(fault: Fault, times: int, *, retry_after: float | None = None) -> Fake:
    """Return a provider that fails so often, and then answers."""

    async def answer(request: Request) -> Reply:
        await asyncio.sleep(0)
        if len(provider.requests) <= times:
            raise CallError("m: the server failed", short="failed", fault=fault, retry_after=retry_after)
        return Reply("yes", usage=Usage(100, 10))

    provider = Fake(answer)
    return provider


@pytest.mark.parametrize("fault", ["limited", "failed", "lost"])
def test_a_call_that_may_succeed_is_made_again(fault: Fault) -> None:
    provider = failing(fault, 3)
    made = measurer(provider)
    assert outcome(made, WITH_SKILL).hit
    assert len(provider.requests) == 4
    assert (made.traffic.calls, made.traffic.retries) == (1, 3)
    assert made.traffic.refusals == (3 if fault == "limited" else 0)


def test_a_final_refusal_is_asked_for_once() -> None:
    provider = failing("final", 100)
    assert outcome(measurer(provider), WITH_SKILL).error == "m: the server failed"
    assert len(provider.requests) == 1


def test_a_sample_that_fails_again_and_again_says_how_often_it_was_tried() -> None:
    async def answer(request: Request) -> Reply:
        await asyncio.sleep(0)
        if "poison" in request.messages[0].content:
            raise CallError("m: the server answered 500", short="server error (500)", fault="failed")
        return Reply("yes")

    provider = Fake(answer)
    found = at_once(measurer(provider), *gate(suite(case("a"), case("poison"), case("b"))).samples)
    # Whichever ends first says it in whole.
    poisoned = {"m: the server answered 500 (7 attempts)", "server error (500)"}
    assert {one.error for one in found[2:4]} == poisoned
    assert [one.error for one in (*found[:2], *found[4:])] == [None] * 4


def test_an_endpoint_that_nobody_answers_at_is_given_up_for_all_samples_with_one_cause() -> None:
    provider = failing("unreachable", 10_000)
    made = measurer(provider)
    found = at_once(made, *samples(500))
    assert {one.error for one in found} == {"failed"}
    assert list(map(str, made.down.values())) == ["m: the server failed (given up after 3 attempts in 0 s)"]
    assert len(provider.requests) <= 500 * 3


def test_once_given_up_no_further_call_is_made() -> None:
    provider = failing("unreachable", 10_000)
    found = outcomes(measurer(provider), *samples(50))
    assert {one.error for one in found} == {"failed"}
    assert len(provider.requests) == HASTY.first_attempts


def test_a_server_that_dies_in_mid_run_is_given_up_when_two_samples_met_nothing_else() -> None:
    async def answer(request: Request) -> Reply:
        await asyncio.sleep(0)
        if len(provider.requests) > 20:
            raise CallError("m: the server answered 502", short="bad gateway (502)", fault="failed")
        return Reply("yes")

    provider = Fake(answer)
    made = measurer(provider)
    found = outcomes(made, *samples(100))
    assert [one.error for one in found] == [
        *[None] * 20,
        "m: the server answered 502 (7 attempts)",
        *["bad gateway (502)"] * 79,
    ]
    assert list(map(str, made.down.values())) == [
        "m: the server answered 502 (given up after 7 attempts in 0 s)"
    ]


def test_who_waits_to_try_again_learns_at_once_that_the_model_was_given_up() -> None:
    patient = Policy(attempts=2, base=60.0, cap=60.0)

    async def answer(request: Request) -> Reply:
        await asyncio.sleep(0)
        if len(provider.requests) > 1:
            raise CallError("m: refused", short="key refused", fatal=True)
        raise CallError("m: 500", fault="failed")

    provider = Fake(answer)
    found = at_once(measurer(provider, policy=patient), *gate(runs=2).samples)
    assert {one.error for one in found} == {"key refused"}


def test_a_server_that_asks_for_an_hour_ends_the_calls_to_its_model() -> None:
    provider = failing("limited", 10_000, retry_after=3600)
    made = measurer(provider)
    found = outcomes(made, *samples(20))
    assert {one.error for one in found} == {"failed"}
    assert len(provider.requests) == 1
    assert list(map(str, made.down.values())) == [
        "m: the server failed (it asks to wait 3600 s, and 120 s are waited at most)"
    ]


def test_a_model_that_is_limited_beyond_the_deadline_of_a_sample_ends_with_that_word() -> None:
    provider = failing("limited", 10_000, retry_after=0.02)
    model = replace(MODEL, deadline=0.05)
    made = measurer(provider)
    outcome(made, gate(model=model).samples[0])
    (said,) = made.down.values()
    assert str(said).startswith("m: the server failed (its deadline of 0.05 s is over after ")


def test_no_more_calls_are_in_flight_than_the_model_allows_also_where_samples_wait_to_try_again() -> None:
    async def answer(request: Request) -> Reply:
        await asyncio.sleep(0.001)
        if len(provider.requests) % 3:
            raise CallError("m: 500", fault="failed")
        return Reply("yes")

    provider = Fake(answer)
    found = at_once(measurer(provider, policy=Policy(attempts=50, base=0.001, cap=0.002)), *samples(60))
    assert all(one.hit for one in found)
    assert provider.peak <= 4


def test_a_cancelled_call_frees_its_place() -> None:
    release = asyncio.Event()

    async def answer(request: Request) -> Reply:
        if len(provider.requests) <= 4:
            await asyncio.sleep(3600)
        return Reply("yes")

    async def run() -> list[Outcome]:
        made = measurer(provider)
        first, later = samples(8)[:4], samples(8)[4:]
        stuck = [asyncio.ensure_future(made.measure(sample)) for sample in first]
        while provider.now < 4:
            await asyncio.sleep(0)
        for call in [task for task in asyncio.all_tasks() if "_claimed" in repr(task)]:
            call.cancel()
        release.set()
        found = await asyncio.wait_for(asyncio.gather(*(made.measure(one) for one in later)), 5)
        await asyncio.wait(stuck)
        await made.close()
        return found

    provider = Fake(answer)
    assert all(one.hit for one in asyncio.run(run()))


def test_a_key_in_a_reply_is_masked_before_it_is_scored_stored_or_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_OWN_VARIABLE", "canary-of-a-variable")

    class Leaking(Fake):
        secrets = ("canary-of-the-provider",)

    async def answer(request: Request) -> Reply:
        return Reply("yes canary-of-a-variable canary-of-the-provider", model="canary-of-a-variable")

    sample = gate(model=replace(MODEL, api_key_env="MY_OWN_VARIABLE")).samples[0]
    found = outcome(measurer(Leaking(answer), store=Store(tmp_path)), sample)
    assert found.reply is not None
    assert (found.reply.text, found.reply.model) == ("yes *** ***", "***")
    assert found.scores[0].evidence == "yes *** ***"
    assert all(b"canary" not in path.read_bytes() for path in tmp_path.iterdir() if path.is_file())


PRICED = replace(MODEL, price=Price(1_000_000.0, 1_000_000.0))


def test_each_outcome_carries_what_it_cost() -> None:
    found = outcome(measurer(failing("failed", 0)), gate(model=PRICED).samples[0])
    assert found.cost == 110.0


def test_an_unknown_price_is_no_cost() -> None:
    assert outcome(measurer(failing("failed", 0)), WITH_SKILL).cost is None


def test_no_call_is_made_beyond_the_number_allowed() -> None:
    provider = failing("failed", 0)
    found = at_once(measurer(provider, budget=Budget(calls=5)), *samples(12))
    assert len(provider.requests) == 5
    assert sum(one.hit for one in found) == 5
    assert all(one.error for one in found if not one.hit)


def test_an_attempt_that_was_not_served_costs_no_call() -> None:
    provider = failing("failed", 3)
    assert outcome(measurer(provider, budget=Budget(calls=1)), WITH_SKILL).hit


def test_an_attempt_whose_reply_was_lost_counts_as_a_call() -> None:
    provider = failing("lost", 1)
    budget = Budget(calls=1)
    assert not outcome(measurer(provider, budget=budget), WITH_SKILL).hit
    assert (len(provider.requests), budget.calls) == (1, 1)
