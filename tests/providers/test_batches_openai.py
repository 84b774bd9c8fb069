"""OpenAI's Batch API: files up and down, and how a batch is found again."""

from __future__ import annotations

import json
import time

import pytest

from pytest_upskill.errors import CallError
from pytest_upskill.protocols import BatchProvider
from pytest_upskill.providers.openai import OpenAI
from pytest_upskill.types import Reply
from tests.answers import error, ok
from tests.batch_server import BatchServer
from tests.providers.api import clean, request
from tests.providers.batches import Results, fails, name, opened, read, requests, results, submitted

__all__ = ["clean"]


def test_requests_go_up_as_a_file_of_lines() -> None:
    with BatchServer() as server:
        opened(OpenAI, server.url, submitted)
    assert server.steps == ["upload", "create"]
    lines = [json.loads(line) for line in server.files["file-0"].splitlines()]
    assert lines[0] == {
        "custom_id": name(0),
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {
            "model": "m-1",
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": "question 0"},
            ],
        },
    }
    assert [line["custom_id"] for line in lines] == [name(0), name(1), name(2)]


def test_a_text_with_line_ends_of_all_kinds_stays_on_its_line() -> None:
    text = "a\nb\r\nc\u2028d\u2029e\x85f\x0bg"
    with BatchServer(text) as server:
        found = results(OpenAI, server, {name(1): request(text)})
    what = found[name(1)]
    assert isinstance(what, Reply)
    assert what.text == text
    (batch,) = server.batches.values()
    assert batch.requests[name(1)]["messages"][0]["content"] == text


def test_a_batch_that_failed_validation_says_why_for_good() -> None:
    async def ask(provider: BatchProvider) -> Results:
        batch = await provider.submit(requests())
        state = await provider.state(batch)
        assert state.ended
        return await read(provider, batch)

    with BatchServer(status="failed") as server:
        server.errors = [
            {"code": "model_mismatch", "line": 1, "message": "All requests must be of one model."},
            {"code": "token_limit_exceeded", "message": "Enqueued token limit reached."},
        ]
        failed = fails(OpenAI, server.url, ask)
    assert str(failed) == (
        f"glm: {server.url}/v1 has no results of it, which is failed: model_mismatch: All requests must be of one "
        "model.; token_limit_exceeded: Enqueued token limit reached."
    )
    assert (failed.short, failed.fault, failed.fatal) == ("batch failed", "final", False)


def test_a_batch_of_which_all_failed_has_errors_alone() -> None:
    with BatchServer(fate=lambda _: (400, "no such parameter")) as server:
        found = results(OpenAI, server)
    assert server.steps.count("results") == 1
    assert all(isinstance(what, CallError) for what in found.values())
    assert len(found) == 3


def test_no_file_is_made_a_batch_of_when_it_could_not_go_up() -> None:
    with BatchServer() as server:
        server.faults["upload"] = [error(500, {"error": {"message": "disk full"}})]
        failed = fails(OpenAI, server.url, submitted)
    assert str(failed) == f"glm: {server.url}/v1 answered 500 (Internal Server Error): disk full"
    assert server.steps == ["upload"]


@pytest.mark.parametrize(
    ("count", "since", "known"),
    [(3, 0.0, True), (3, 1.0, True), (2, 0.0, False), (3, 3600.0, False)],
    ids=["the same", "a clock that goes ahead", "other requests", "an older batch"],
)
def test_a_batch_is_found_by_the_ids_of_its_requests(count: int, since: float, known: bool) -> None:
    async def find(provider: BatchProvider) -> tuple[str, str | None]:
        assert isinstance(provider, OpenAI)
        batch = await provider.submit(requests())
        await provider.submit(requests(5))
        ids = list(reversed(requests(count)))
        return batch, await provider.find(ids, time.time() + since)

    with BatchServer() as server:
        batch, found = opened(OpenAI, server.url, find)
    assert found == (batch if known else None)
    assert server.steps[-1] == "list"


def test_batches_of_others_without_a_mark_are_passed_over() -> None:
    others = [{"id": "b", "metadata": None, "created_at": 1}, {"id": "c"}]

    async def find(provider: BatchProvider) -> str | None:
        assert isinstance(provider, OpenAI)
        return await provider.find([name(1)], 0.0)

    with BatchServer() as server:
        server.faults["list"] = [ok({"data": others})]
        assert opened(OpenAI, server.url, find) is None
