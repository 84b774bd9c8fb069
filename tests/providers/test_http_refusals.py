"""What a refusal tells the engine: whether to ask again, when, and what the limits are."""

from __future__ import annotations

import json

import pytest

from pytest_upskill.providers.anthropic import Anthropic
from pytest_upskill.providers.meanings import meaning
from pytest_upskill.providers.openai import OpenAI
from pytest_upskill.types import Fault, RateLimits, Window
from tests.answers import HTML, Answer, completion, error, message, ok
from tests.loopback import Server
from tests.providers.api import Kind, ask, base, both, caught, clean, failure

__all__ = ["clean"]


@pytest.mark.parametrize(
    ("statuses", "fault"),
    [
        ((429, 529), "limited"),
        ((408, 409, 500, 502, 503, 504, 520, 524, 599), "failed"),
        ((400, 401, 402, 403, 404, 405, 413, 422, 451), "final"),
    ],
)
def test_the_fault_follows_from_the_status(statuses: tuple[int, ...], fault: Fault) -> None:
    assert {meaning(status, None).fault for status in statuses} == {fault}


def test_only_what_holds_for_every_call_is_fatal() -> None:
    fatal = {status for status in range(300, 600) if meaning(status, {"error": {"message": "no"}}).fatal}
    assert fatal == {401, 402, 403, 404}


@both
@pytest.mark.parametrize("status", [429, 503, 529, 500, 408])
def test_a_refusal_carries_the_wait_that_the_server_asks_for(kind: Kind, status: int) -> None:
    with Server(script=[error(status, {"error": {"message": "later"}}, retry_after="3.5")]) as server:
        told = caught(kind, server.url)
    assert (told.retry_after, told.limits) == (3.5, None)
    assert len(server.requests) == 1


@both
def test_a_refusal_without_headers_says_neither_wait_nor_limits(kind: Kind) -> None:
    with Server(script=[error(429)]) as server:
        told = caught(kind, server.url)
    assert (told.fault, told.retry_after, told.limits) == ("limited", None, None)


HEADERS = {
    "X-RateLimit-Limit-Requests": "60",
    "X-RateLimit-Remaining-Requests": "12",
    "X-RateLimit-Reset-Requests": "2s",
}
SAID = RateLimits(Window(60, 12, 2))


@both
@pytest.mark.parametrize("status", [429, 500, 400])
def test_a_refusal_carries_the_limits(kind: Kind, status: int) -> None:
    with Server(script=[Answer(status, b"", HEADERS)]) as server:
        assert caught(kind, server.url).limits == SAID


@both
def test_an_answer_that_is_no_reply_carries_them_too(kind: Kind) -> None:
    with Server(script=[Answer(200, HTML.body, {**HEADERS, "retry-after": "9"})]) as server:
        told = caught(kind, server.url)
    assert (told.limits, told.retry_after) == (SAID, 9.0)


@pytest.mark.parametrize("kind", [OpenAI, Anthropic])
def test_so_does_a_reply(kind: Kind) -> None:
    good = ok(completion("pong") if kind is OpenAI else message("pong"))
    with Server(script=[Answer(200, good.body, HEADERS), good]) as server:
        assert ask(kind, server.url).limits == SAID
        assert ask(kind, server.url).limits is None


TOO_LONG = [
    error(
        400,
        {
            "error": {
                "message": "This model's maximum context length is 8192 tokens. However, your messages resulted in "
                "9001 tokens.",
                "type": "invalid_request_error",
                "code": "context_length_exceeded",
            }
        },
    ),
    error(
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "prompt is too long: 210000 tokens > 200000 maximum",
            },
        },
    ),
    error(
        400,
        {
            "error": {
                "code": 400,
                "message": "the request exceeds the available context size, try increasing it",
                "type": "exceed_context_size_error",
            }
        },
    ),
    error(
        500,
        {"error": {"code": 500, "message": "context shift is disabled", "type": "exceed_context_size_error"}},
    ),
    error(
        400,
        {
            "object": "error",
            "message": "This model's maximum context length is 4096 tokens.",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
    ),
]


@both
@pytest.mark.parametrize("answer", TOO_LONG, ids=["openai", "anthropic", "llama", "llama-500", "vllm"])
def test_a_context_that_is_too_long_is_said_so(kind: Kind, answer: Answer) -> None:
    with Server(script=[answer]) as server:
        sentence, short, fatal = failure(kind, server.url)
    body = json.loads(answer.body)
    said = body.get("error", body)["message"]
    begin = f"glm: {base(kind, server.url)} says that the context is too long ({answer.status}): "
    assert sentence == begin + said
    assert (short, fatal) == ("context too long", False)


CONTENT = [
    error(
        400,
        {
            "error": {
                "message": "The response was filtered",
                "code": "content_filter",
                "innererror": {"code": "ResponsibleAIPolicyViolation"},
            }
        },
    ),
    error(400, {"error": {"message": "Rejected by our safety system", "code": "content_policy_violation"}}),
    error(400, {"error": {"message": "Hm", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}),
    error(
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "Output blocked by content filtering policy",
            },
        },
    ),
    error(
        403, {"error": {"code": 403, "message": "The model requires moderation and your input was flagged"}}
    ),
]


@both
@pytest.mark.parametrize("answer", CONTENT, ids=["azure", "openai", "inner", "anthropic", "router"])
def test_content_that_is_refused_is_said_so(kind: Kind, answer: Answer) -> None:
    with Server(script=[answer]) as server:
        sentence, short, fatal = failure(kind, server.url)
    assert sentence.startswith(f"glm: {base(kind, server.url)} refused the content ({answer.status}): ")
    assert (short, fatal) == ("content refused", False)


QUOTA = [
    error(
        429,
        {
            "error": {
                "message": "You exceeded your current quota, please check your plan and billing details.",
                "type": "insufficient_quota",
                "code": "insufficient_quota",
            }
        },
        retry_after="20",
    ),
    error(
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "Your credit balance is too low to access the Anthropic API.",
            },
        },
    ),
    error(
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "You have reached your specified API usage limits.",
            },
        },
    ),
    error(403, {"type": "error", "error": {"type": "billing_error", "message": "Mind your plan"}}),
]


@both
@pytest.mark.parametrize("answer", QUOTA, ids=["openai", "credit", "limit", "billing"])
def test_a_spent_quota_is_not_waited_for(kind: Kind, answer: Answer) -> None:
    with Server(script=[answer]) as server:
        sentence, short, fatal = failure(kind, server.url)
    assert sentence.startswith(
        f"glm: {base(kind, server.url)} says that the quota is spent ({answer.status}): "
    )
    assert json.loads(answer.body)["error"]["message"] in sentence
    assert (short, fatal) == ("quota spent", True)


@both
def test_a_payment_that_is_asked_for_is_fatal(kind: Kind) -> None:
    with Server(script=[error(402, {"error": {"message": "Insufficient Balance"}})]) as server:
        assert failure(kind, server.url) == (
            f"glm: {base(kind, server.url)} answered 402 (Payment Required): Insufficient Balance",
            "payment required (402)",
            True,
        )


@both
def test_words_of_a_prompt_in_another_refusal_mean_nothing(kind: Kind) -> None:
    with Server(script=[error(429, {"error": {"message": "maximum context length"}})]) as server:
        assert failure(kind, server.url, fault="limited")[1] == "rate limited (429)"


@both
@pytest.mark.parametrize(
    ("inner", "short", "fault", "fatal"),
    [
        ({"code": 429, "message": "slow down"}, "error reply", "limited", False),
        ({"code": 502, "message": "upstream"}, "error reply", "failed", False),
        ({"code": 401, "message": "no such key"}, "error reply", "final", True),
        ({"code": "context_length_exceeded", "message": "long"}, "context too long", "final", False),
        ({"code": "insufficient_quota", "message": "spent"}, "quota spent", "final", True),
        ({"code": True, "message": "odd"}, "error reply", "lost", False),
        ({"code": 7, "message": "odd"}, "error reply", "lost", False),
        ({"message": "odd"}, "error reply", "lost", False),
    ],
)
def test_an_error_with_status_200_means_what_it_says(
    kind: Kind, inner: dict[str, object], short: str, fault: Fault, fatal: bool
) -> None:
    with Server(script=[ok({"error": inner})]) as server:
        assert failure(kind, server.url, fault=fault) == (
            f"glm: {base(kind, server.url)} answered with an error: {inner['message']}",
            short,
            fatal,
        )
