"""The messages API through the anthropic SDK."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_upskill.providers.anthropic import Anthropic
from pytest_upskill.types import Fault, Message, Model, Reply, Request, Usage
from tests.answers import error, message, ok
from tests.loopback import Server
from tests.providers.api import ask, clean, failure, request, since_1

__all__ = ["clean"]


def test_a_request_is_sent_as_the_api_wants_it_with_the_parameters_as_they_are() -> None:
    turns = (Message("user", "one"), Message("assistant", "two"), Message("user", "three"))
    asked = Request("m-1", "be brief", turns, {"temperature": 0, "max_tokens": 5, "thinking": {"x": None}})
    with Server() as server:
        ask(Anthropic, server.url, asked)
    (received,) = server.requests
    assert received.path == "/v1/messages"
    assert "anthropic-version" in received.headers
    assert received.body == {
        "model": "m-1",
        "system": "be brief",
        "messages": [
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": "two"},
            {"role": "user", "content": "three"},
        ],
        "temperature": 0,
        "max_tokens": 5,
        "thinking": {"x": None},
    }


def test_max_tokens_is_2048_and_system_is_left_out_where_nothing_is_configured() -> None:
    with Server() as server:
        ask(Anthropic, server.url)
    assert server.requests[0].body == {
        "model": "m-1",
        "messages": [{"role": "user", "content": "ping"}],
        "max_tokens": 2048,
    }


def test_a_parameter_cannot_replace_the_prompt() -> None:
    replaced = request(system="s", parameters={"messages": [], "model": "other", "system": "other"})
    with Server() as server:
        ask(Anthropic, server.url, replaced)
    body = server.requests[0].body
    assert (body["model"], body["system"], len(body["messages"])) == ("m-1", "s", 1)


def test_a_reply_has_text_usage_reason_latency_and_the_reported_model() -> None:
    with Server(script=[ok(message("Hello ✓", "m-1-2026", 12, 5))], latency=0.05) as server:
        reply = ask(Anthropic, server.url)
    assert 0.05 <= reply.latency < 2.0
    assert reply == Reply("Hello ✓", "m-1-2026", Usage(12, 5), "stop", reply.latency)


def test_text_blocks_are_joined_and_others_left_out() -> None:
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": "a"},
        {"type": "tool_use", "id": "t", "name": "n", "input": {}},
        {"type": "text", "text": "b"},
    ]
    with Server(script=[ok({**message(""), "content": blocks})]) as server:
        assert ask(Anthropic, server.url).text == "ab"


def test_no_blocks_are_an_empty_reply() -> None:
    with Server(script=[ok({**message(""), "content": [], "stop_reason": "refusal"})]) as server:
        reply = ask(Anthropic, server.url)
    assert (reply.text, reply.stop_reason) == ("", "refusal")


def test_cached_tokens_count_as_input() -> None:
    usage = {
        "input_tokens": 3,
        "cache_creation_input_tokens": 40,
        "cache_read_input_tokens": 500,
        "output_tokens": 6,
    }
    with Server(script=[ok({**message("x"), "usage": usage})]) as server:
        assert ask(Anthropic, server.url).usage == Usage(543, 6)


@pytest.mark.parametrize("usage", [None, {}, {"input_tokens": None, "output_tokens": "6"}])
def test_usage_that_the_server_does_not_say_is_unknown(usage: object) -> None:
    with Server(script=[ok({**message("x"), "usage": usage, "model": None})]) as server:
        reply = ask(Anthropic, server.url)
    assert (reply.usage, reply.model) == (Usage(None, None), None)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("refusal", "refusal"),
        ("model_context_window_exceeded", "model_context_window_exceeded"),
        (None, None),
    ],
)
def test_the_reason_to_stop_is_normalised(said: object, meant: str | None) -> None:
    with Server(script=[ok({**message("x"), "stop_reason": said})]) as server:
        assert ask(Anthropic, server.url).stop_reason == meant


@pytest.mark.parametrize(
    ("body", "says", "fault"),
    [
        ({}, "answered without content: is it a messages API?", "final"),
        ({"content": "text"}, "answered without content: is it a messages API?", "final"),
        ({"content": None}, "answered without content", "lost"),
    ],
)
def test_a_body_without_a_reply_is_an_error(body: dict[str, Any], says: str, fault: Fault) -> None:
    with Server(script=[ok(body)]) as server:
        told = failure(Anthropic, server.url, fault=fault)
    assert told == (f"glm: {server.url} {says}", "no usable reply", False)


@pytest.mark.parametrize(
    "blocks", [[], [None], [{"type": "text", "text": " \n"}], [{"type": "thinking", "thinking": "hm"}]]
)
@pytest.mark.parametrize("said", ["end_turn", None])
def test_an_empty_completion_is_lost(blocks: object, said: str | None) -> None:
    with Server(script=[ok({**message(""), "content": blocks, "stop_reason": said})]) as server:
        assert failure(Anthropic, server.url, fault="lost") == (
            f"glm: {server.url} answered with an empty completion",
            "empty completion",
            False,
        )


@pytest.mark.parametrize("said", ["max_tokens", "refusal", "stop_sequence", "tool_use", "pause_turn"])
def test_an_empty_text_with_a_reason_is_a_reply(said: str) -> None:
    with Server(script=[ok({**message(""), "content": [], "stop_reason": said})]) as server:
        assert ask(Anthropic, server.url).text == ""


def test_a_called_tool_is_a_reply() -> None:
    called = [{"type": "tool_use", "id": "t", "name": "n", "input": {}}]
    with Server(script=[ok({**message(""), "content": called})]) as server:
        assert ask(Anthropic, server.url).text == ""


def test_anthropic_itself_without_credentials_is_one_sentence_and_no_call() -> None:
    assert failure(Anthropic, Model("haiku", "anthropic", "claude-haiku")) == (
        "haiku: no Anthropic credentials: set ANTHROPIC_API_KEY, or ANTHROPIC_AUTH_TOKEN, "
        "or choose a profile of the SDK with ANTHROPIC_PROFILE",
        "no Anthropic credentials",
        True,
    )


def test_an_auth_token_is_used_and_named_as_the_sdks_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "token-123456")
    refused = error(401, {"error": {"message": "bad token-123456"}})
    with Server(script=[None, refused]) as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        assert ask(Anthropic, None).text == "pong"
        assert failure(Anthropic, None) == (
            f"glm: {server.url} refused the credentials that the anthropic package found (401): bad ***",
            "key refused (401)",
            True,
        )
    assert server.requests[0].headers["authorization"] == "Bearer token-123456"


@since_1
def test_headers_of_the_environment_count_as_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "Authorization: Bearer gateway-key")
    with Server() as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        assert ask(Anthropic, None).text == "pong"
    assert server.requests[0].headers["authorization"] == "Bearer gateway-key"


@since_1
def test_a_profile_of_the_sdk_counts_as_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "configs").mkdir()
    profile = {"authentication": {"type": "user_oauth", "credentials_path": str(tmp_path / "none.json")}}
    (tmp_path / "configs" / "work.json").write_text(json.dumps(profile), encoding="utf-8")
    monkeypatch.setenv("ANTHROPIC_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("ANTHROPIC_PROFILE", "work")
    with Server() as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        told, _, _ = failure(Anthropic, None)
    assert "no Anthropic credentials" not in told
    assert "none.json" in told
    assert server.requests == []


def test_what_goes_into_the_store_key_is_declared() -> None:
    assert (Anthropic.version, Anthropic.deterministic) == ("anthropic-messages-1", False)
