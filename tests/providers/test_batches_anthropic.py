"""Anthropic's Message Batches: where results are read, and what is said where there are none."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_upskill.errors import CallError
from pytest_upskill.protocols import BatchProvider
from pytest_upskill.providers.anthropic import Anthropic
from tests.batch_server import BatchServer
from tests.providers.api import clean, model
from tests.providers.batches import Results, fails, name, opened, read, requests, results, submitted

__all__ = ["clean"]

KEY = "sk-canary-0123456789abcdef"


def test_requests_go_up_in_one_body() -> None:
    with BatchServer() as server:
        opened(Anthropic, server.url, submitted)
    assert server.steps == ["create"]
    (batch,) = server.batches.values()
    assert batch.requests[name(0)] == {
        "max_tokens": 2048,
        "system": "be brief",
        "model": "m-1",
        "messages": [{"role": "user", "content": "question 0"}],
    }


def test_results_are_read_where_the_server_says_but_no_key_goes_to_another_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GLM_API_KEY", KEY)

    async def all_of_it(provider: BatchProvider) -> Results:
        batch = await provider.submit(requests())
        await provider.state(batch)
        return await read(provider, batch)

    with BatchServer() as stranger, BatchServer() as server:
        server.elsewhere_url = stranger.url
        found = opened(Anthropic, model(Anthropic, server.url, api_key_env="GLM_API_KEY"), all_of_it)
    assert stranger.steps == []
    assert len(found) == 3
    assert len(server.keys) == 4
    assert all(KEY in key for key in server.keys)


def test_results_that_have_been_archived_are_gone_for_good() -> None:
    async def ask(provider: BatchProvider) -> Results:
        batch = await provider.submit(requests())
        await provider.state(batch)
        return await read(provider, batch)

    with BatchServer() as server:
        server.errors = [{"archived": True}]
        failed = fails(Anthropic, server.url, ask)
    assert str(failed) == f"glm: {server.url} has no results of it: they have been archived"
    assert (failed.short, failed.fault, failed.fatal) == ("batch failed", "final", False)


def test_an_error_keeps_the_meaning_that_its_kind_has_in_a_call() -> None:
    kinds = {"question 0": 429, "question 1": 401, "question 2": 500}

    def fate(body: dict[str, Any]) -> tuple[int, str]:
        return kinds[body["messages"][0]["content"]], "no"

    with BatchServer(fate=fate) as server:
        found = results(Anthropic, server)
    faults = {key: what.fault for key, what in found.items() if isinstance(what, CallError)}
    assert faults == {name(0): "limited", name(1): "final", name(2): "failed"}
