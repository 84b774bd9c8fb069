"""What holds of batches with either API, through the real SDKs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pytest_upskill.errors import CallError
from pytest_upskill.protocols import BatchProvider, BatchState
from pytest_upskill.providers.openai import OpenAI
from pytest_upskill.types import Model, Reply
from tests.answers import HTML, RESET, TRUNCATED, Answer, error
from tests.batch_server import BatchServer
from tests.loopback import Server
from tests.providers.api import Kind, base, both, clean, model, request
from tests.providers.batches import Results, fails, name, opened, read, requests, results, submitted

__all__ = ["clean"]

KEY = "sk-canary-0123456789abcdef"


@both
def test_a_provider_takes_batches_for_half_the_price(kind: Kind) -> None:
    provider = kind(Model("glm", kind.sdk, "m-1"))
    assert isinstance(provider, BatchProvider)
    assert provider.batch_discount == 0.5
    assert provider.batch_limit == (50_000 if kind is OpenAI else 100_000)


@both
def test_a_request_in_a_batch_is_the_one_that_a_call_sends(kind: Kind) -> None:
    asked = request("quéstion \u2028", "be brief", {"temperature": 0, "max_tokens": 5})

    async def both_ways(provider: BatchProvider) -> tuple[Reply, Reply]:
        batch = await provider.submit({name(1): asked})
        await provider.state(batch)
        found = await read(provider, batch)
        reply = found[name(1)]
        assert isinstance(reply, Reply)
        return reply, await provider.complete(asked, 5.0)

    with BatchServer("pöng \u2028 \U0001f600") as server:
        batched, called = opened(kind, server.url, both_ways)
    (batch,) = server.batches.values()
    assert batch.requests == {name(1): server.requests[0].body}
    assert batched.latency == 0.0
    assert batched == replace(called, latency=0.0)


@both
def test_the_results_are_found_by_their_ids_in_whatever_order_they_come(kind: Kind) -> None:
    def reply(body: dict[str, Any]) -> str:
        return f"answer to {body['messages'][-1]['content']}"

    with BatchServer(reply) as server:
        found = results(kind, server)
    texts = {name: what.text for name, what in found.items() if isinstance(what, Reply)}
    assert texts == {name(n): f"answer to question {n}" for n in range(3)}


@both
def test_a_batch_is_asked_after_until_it_has_ended(kind: Kind) -> None:
    async def twice(provider: BatchProvider) -> list[BatchState]:
        batch = await provider.submit(requests())
        return [await provider.state(batch), await provider.state(batch)]

    with BatchServer(polls=2) as server:
        first, second = opened(kind, server.url, twice)
    assert (first.total, first.ended, first.gone) == (3, False, False)
    assert second == BatchState(3, 3, ended=True)


@both
def test_a_batch_that_the_server_does_not_know_is_gone(kind: Kind) -> None:
    async def ask(provider: BatchProvider) -> BatchState:
        return await provider.state("batch_of_somebody_else")

    with BatchServer() as server:
        assert opened(kind, server.url, ask) == BatchState(0, 0, ended=True, gone=True)


@both
def test_a_request_that_failed_in_a_batch_says_why_and_spoils_no_other(kind: Kind) -> None:
    fates: dict[str, Any] = {
        "question 0": (400, "max_tokens is too large"),
        "question 1": (500, "out of order"),
        "question 2": (529, "come back later"),
    }

    def fate(body: dict[str, Any]) -> Any:
        return fates.get(body["messages"][-1]["content"], "ok")

    with BatchServer(fate=fate) as server:
        found = results(kind, server, requests(4))
        where = base(kind, server.url)
    said = {name: str(what) for name, what in found.items() if isinstance(what, CallError)}
    last = (
        "529 (Overloaded): come back later"
        if kind is OpenAI
        else "500 (Internal Server Error): come back later"
    )
    assert said == {
        name(0): f"glm: {where} answered 400 (Bad Request): max_tokens is too large",
        name(1): f"glm: {where} answered 500 (Internal Server Error): out of order",
        name(2): f"glm: {where} answered {last}",
    }
    assert isinstance(found[name(3)], Reply)


@both
@pytest.mark.parametrize("ended", ["expired", "canceled"])
def test_a_batch_that_ended_early_still_has_the_results_of_what_was_done(kind: Kind, ended: str) -> None:
    def fate(body: dict[str, Any]) -> str:
        return ended if body["messages"][-1]["content"] in ("question 1", "question 2") else "ok"

    with BatchServer(fate=fate, status="cancelled" if ended == "canceled" else ended) as server:
        found = results(kind, server, requests(4))
        where = base(kind, server.url)
    done = {name for name, what in found.items() if isinstance(what, Reply)}
    assert done == {name(0), name(3)}
    details = f"batch_{ended}: This request could not be executed in time." if kind is OpenAI else ended
    what = found[name(1)]
    assert isinstance(what, CallError)
    assert str(what) == f"glm: {where} did not answer a request of a batch: {details}"
    assert what.short == "not answered in the batch"


@both
def test_a_result_without_a_usable_reply_is_an_error_of_its_own(kind: Kind) -> None:
    empty: dict[str, Any] = {"custom_id": name(7)}
    lines = [json.dumps(empty), "this is no JSON", "[]", "", json.dumps({"custom_id": 5})]
    with BatchServer() as server:
        server.more_lines = lines
        found = results(kind, server)
        where = base(kind, server.url)
    assert found.keys() == {name(0), name(1), name(2), name(7)}
    assert str(found[name(7)]) == f"glm: {where} did not answer a request of a batch: no details"


@both
@pytest.mark.parametrize("cut", [0.5, 0.9])
def test_results_that_are_cut_off_are_lost_after_what_came(kind: Kind, cut: float) -> None:
    async def both_times(provider: BatchProvider) -> tuple[Results, CallError, Results]:
        batch = await provider.submit(requests(20))
        await provider.state(batch)
        whole = server.results(batch)
        part = whole[: int(len(whole) * cut)]
        server.faults["results"] = [Answer(200, part, promised=len(whole), then="close")]
        came: Results = {}
        with pytest.raises(CallError) as caught:
            await read(provider, batch, came)
        return came, caught.value, await read(provider, batch)

    with BatchServer() as server:
        came, lost, again = opened(kind, server.url, both_times)
        where = base(kind, server.url)
    assert 0 < len(came) < 20 == len(again)
    assert came.items() <= again.items()
    assert str(lost) == f"glm: {where} dropped the connection before the reply was whole"
    assert lost.fault == "lost"


@both
def test_results_whose_end_is_missing_are_lost_even_where_the_connection_ends_well(kind: Kind) -> None:
    async def half(provider: BatchProvider) -> object:
        batch = await provider.submit(requests())
        await provider.state(batch)
        server.faults["results"] = [Answer(200, b'{"custom_id": "1", "resp')]
        return await read(provider, batch)

    with BatchServer() as server:
        lost = fails(kind, server.url, half)
        where = base(kind, server.url)
    says = 'answered with what is not JSON: {"custom_id": "1", "resp'
    assert (str(lost), lost.fault) == (f"glm: {where} {says}", "lost")


@both
def test_a_page_instead_of_results_is_not_taken_for_results_without_replies(kind: Kind) -> None:
    async def page(provider: BatchProvider) -> object:
        batch = await provider.submit(requests())
        await provider.state(batch)
        server.faults["results"] = [Answer(200, HTML.body + b"\n", HTML.headers)]
        return await read(provider, batch)

    with BatchServer() as server:
        lost = fails(kind, server.url, page)
        where = base(kind, server.url)
    says = "answered with what is not JSON: an HTML page 'Sign in'"
    assert (str(lost), lost.fault) == (f"glm: {where} {says}", "lost")


@both
def test_a_server_without_batches_says_so_and_may_still_be_called(kind: Kind) -> None:
    with Server() as server:
        refused = fails(kind, server.url, submitted)
        where = base(kind, server.url)
    path = "/v1/files" if kind is OpenAI else "/v1/messages/batches"
    assert str(refused) == f"glm: {where} takes no batches (404): no such path: {path}"
    assert (refused.short, refused.fatal, refused.fault) == ("no batches", False, "final")


@both
@pytest.mark.parametrize("status", [405, 501])
def test_a_method_that_a_server_does_not_know_means_the_same(kind: Kind, status: int) -> None:
    with BatchServer() as server:
        server.faults["upload" if kind is OpenAI else "create"] = [
            error(status, {"error": {"message": "no"}})
        ]
        refused = fails(kind, server.url, submitted)
        where = base(kind, server.url)
    assert str(refused) == f"glm: {where} takes no batches ({status}): no"


@both
def test_an_answer_without_an_id_is_no_batch(kind: Kind) -> None:
    with BatchServer() as server:
        server.faults["create"] = [error(200, {"id": "../files"})]
        refused = fails(kind, server.url, submitted)
        where = base(kind, server.url)
    assert str(refused) == f"glm: {where} answered with a batch without an id: is it a batch API?"


@both
@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (error(500, {"error": {"message": "no"}}), "failed"),
        (error(429, {"error": {"message": "no"}}, retry_after="7"), "limited"),
        (RESET, "lost"),
    ],
)
def test_a_batch_is_handed_in_once_whatever_comes_back(kind: Kind, answer: Answer, fault: str) -> None:
    with BatchServer() as server:
        server.losses["create"] = [answer]
        refused = fails(kind, server.url, submitted)
    assert refused.fault == fault
    assert refused.retry_after == (7.0 if fault == "limited" else None)
    assert server.steps.count("create") == len(server.batches) == 1


@both
def test_a_state_that_cannot_be_asked_is_a_fault_that_may_pass(kind: Kind) -> None:
    async def ask(provider: BatchProvider) -> BatchState:
        return await provider.state(await provider.submit(requests()))

    for answer, fault in ((error(503, "<html>"), "failed"), (HTML, "lost"), (TRUNCATED, "lost")):
        with BatchServer() as server:
            server.faults["state"] = [answer]
            assert fails(kind, server.url, ask).fault == fault


@both
def test_no_key_stands_in_a_message_of_a_batch(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLM_API_KEY", KEY)

    def fate(_: dict[str, Any]) -> tuple[int, str]:
        return 400, f"Incorrect API key provided: {KEY}"

    async def messages(provider: BatchProvider) -> list[str]:
        batch = await provider.submit(requests())
        await provider.state(batch)
        said = [str(what) for what in (await read(provider, batch)).values()]
        server.faults["state"] = [error(500, {"error": {"message": KEY}})]
        server.faults["create"] = [error(404, {"error": {"message": f"{'x' * 290}{KEY}"}})]
        for ask in (provider.state(batch), provider.submit(requests())):
            with pytest.raises(CallError) as caught:
                await ask
            said += [str(caught.value), caught.value.short, repr(caught.value.__cause__)]
        return said

    with BatchServer(fate=fate) as server:
        said = opened(kind, model(kind, server.url, api_key_env="GLM_API_KEY"), messages)
    assert len(said) == 9
    assert "sk-canary" not in " ".join(said)
    assert all(KEY in key for key in server.keys)
