"""The chat completions API through the openai SDK."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_upskill.providers.openai import OpenAI
from pytest_upskill.types import Fault, Message, Model, Reply, Request, Usage
from tests.answers import completion, error, ok
from tests.loopback import Server
from tests.providers.api import ask, clean, failure, request

__all__ = ["clean"]


def test_a_request_is_sent_as_the_api_wants_it_with_the_parameters_as_they_are() -> None:
    turns = (Message("user", "one"), Message("assistant", "two"), Message("user", "three"))
    asked = Request(
        "m-1", "be brief", turns, {"temperature": 0, "max_tokens": 5, "chat_template": {"x": None}}
    )
    with Server() as server:
        ask(OpenAI, server.url, asked)
    (received,) = server.requests
    assert received.path == "/v1/chat/completions"
    assert received.headers["authorization"] == "Bearer no-key-needed"
    assert received.body == {
        "model": "m-1",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": "two"},
            {"role": "user", "content": "three"},
        ],
        "temperature": 0,
        "max_tokens": 5,
        "chat_template": {"x": None},
    }


def test_no_system_message_and_no_limit_are_sent_where_there_are_none() -> None:
    with Server() as server:
        ask(OpenAI, server.url)
    assert server.requests[0].body == {"model": "m-1", "messages": [{"role": "user", "content": "ping"}]}


def test_a_parameter_cannot_replace_the_prompt() -> None:
    with Server() as server:
        ask(OpenAI, server.url, request(parameters={"messages": [], "model": "other"}))
    assert server.requests[0].body == {"model": "m-1", "messages": [{"role": "user", "content": "ping"}]}


def test_a_reply_has_text_usage_reason_latency_and_the_reported_model() -> None:
    with Server(script=[ok(completion("Hello ✓", "m-1-2026", 12, 5))], latency=0.05) as server:
        reply = ask(OpenAI, server.url)
    assert 0.05 <= reply.latency < 2.0
    assert reply == Reply("Hello ✓", "m-1-2026", Usage(12, 5), "stop", reply.latency)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("content_filter", "content_filter"),
        ("tool_calls", "tool_calls"),
        (None, None),
        (7, None),
    ],
)
def test_the_reason_to_stop_is_normalised(said: object, meant: str | None) -> None:
    body = completion("x")
    body["choices"][0]["finish_reason"] = said
    with Server(script=[ok(body)]) as server:
        assert ask(OpenAI, server.url).stop_reason == meant


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, ""),
        ("", ""),
        ([], ""),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
        ([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "b"}, "?"], "b"),
    ],
)
def test_content_may_be_null_or_a_list_of_parts(content: object, text: str) -> None:
    body = completion(content)
    body["choices"][0]["finish_reason"] = "length"
    with Server(script=[ok(body)]) as server:
        reply = ask(OpenAI, server.url)
    assert (reply.text, reply.stop_reason) == (text, "length")


@pytest.mark.parametrize("content", [None, "", " \n", [], [{"type": "thinking", "thinking": "hm"}]])
@pytest.mark.parametrize("said", ["stop", None, ""])
def test_an_empty_completion_is_lost(content: object, said: object) -> None:
    body = completion(content)
    body["choices"][0]["finish_reason"] = said
    with Server(script=[ok(body)]) as server:
        assert failure(OpenAI, server.url, fault="lost") == (
            f"glm: {server.url}/v1 answered with an empty completion",
            "empty completion",
            False,
        )


@pytest.mark.parametrize("said", ["length", "max_tokens", "content_filter", "tool_calls"])
def test_an_empty_text_with_a_reason_is_a_reply(said: str) -> None:
    body = completion("")
    body["choices"][0]["finish_reason"] = said
    with Server(script=[ok(body)]) as server:
        assert ask(OpenAI, server.url).text == ""


@pytest.mark.parametrize("key", ["tool_calls", "function_call"])
def test_a_called_tool_is_a_reply(key: str) -> None:
    body = completion(None)
    body["choices"][0]["message"][key] = [{"type": "function"}]
    with Server(script=[ok(body)]) as server:
        assert ask(OpenAI, server.url).text == ""


def test_a_refusal_is_a_reply() -> None:
    body = completion(None)
    body["choices"][0]["message"]["refusal"] = "I cannot help with that."
    with Server(script=[ok(body)]) as server:
        reply = ask(OpenAI, server.url)
    assert (reply.text, reply.stop_reason) == ("I cannot help with that.", "refusal")


@pytest.mark.parametrize(
    "usage", [None, {}, [], {"prompt_tokens": "7"}, {"prompt_tokens": -1}, {"prompt_tokens": True}]
)
def test_usage_that_the_server_does_not_say_is_unknown(usage: object) -> None:
    with Server(script=[ok({**completion("x"), "usage": usage, "model": None})]) as server:
        reply = ask(OpenAI, server.url)
    assert (reply.usage, reply.model) == (Usage(None, None), None)


@pytest.mark.parametrize(
    ("body", "says", "fault"),
    [
        ({}, "answered without choices: is it a chat completions API?", "final"),
        ({"choices": "x"}, "answered without choices: is it a chat completions API?", "final"),
        ({"choices": None}, "answered without a choice", "lost"),
        ({"choices": []}, "answered without a choice", "lost"),
        ({"choices": [None]}, "answered with a choice that has no message", "lost"),
        ({"choices": [{"message": None}]}, "answered with a choice that has no message", "lost"),
        (completion({"a": 1}), "answered with content that is not text", "lost"),
    ],
)
def test_a_body_without_a_reply_is_an_error(body: dict[str, Any], says: str, fault: Fault) -> None:
    with Server(script=[ok(body)]) as server:
        told = failure(OpenAI, server.url, fault=fault)
    assert told == (f"glm: {server.url}/v1 {says}", "no usable reply", False)


def test_a_stream_is_not_taken_for_a_reply() -> None:
    with Server(script=[error(200, 'data: {"choices": []}\n\ndata: [DONE]')]) as server:
        assert failure(OpenAI, server.url) == (
            f'glm: {server.url}/v1 answered with what is not JSON: data: {{"choices": []}} data: [DONE]',
            "not JSON",
            False,
        )


def test_openai_itself_without_a_key_is_one_sentence_and_no_call() -> None:
    assert failure(OpenAI, Model("mini", "openai", "gpt-mini")) == (
        "mini: no OpenAI credentials: set OPENAI_API_KEY, or name another variable in api_key_env",
        "no OpenAI credentials",
        True,
    )


def test_organisation_and_project_are_left_to_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-1")
    with Server() as server:
        ask(OpenAI, server.url)
    headers = server.requests[0].headers
    assert (headers["openai-organization"], headers["openai-project"]) == ("org-1", "proj-1")


def test_what_goes_into_the_store_key_is_declared() -> None:
    assert (OpenAI.version, OpenAI.deterministic) == ("openai-chat-1", False)
