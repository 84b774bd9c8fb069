"""What a person reads when a server answers with something else than a reply."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_upskill.types import Fault, Model
from tests.answers import EMPTY, HTML, Answer, error, ok
from tests.loopback import Server
from tests.providers.api import Kind, base, both, clean, failure

__all__ = ["clean"]
KEY = "sk-test-0123456789abcdef"


STATUSES: list[tuple[Answer, Callable[[str], str], str, bool, Fault]] = [
    (
        error(401, {"error": {"message": "invalid x-api-key"}}),
        lambda url: f"{url} refused a call without a key, as api_key_env is not set (401): invalid x-api-key",
        "key refused (401)",
        True,
        "final",
    ),
    (
        error(403, {"error": {"message": "your country is not supported"}}),
        lambda url: (
            f"{url} refused access with a call without a key, as api_key_env is not set (403): "
            "your country is not supported"
        ),
        "access refused (403)",
        True,
        "final",
    ),
    (
        error(400, {"error": {"message": "max_tokens:\n  too  large"}}),
        lambda url: f"{url} answered 400 (Bad Request): max_tokens: too large",
        "bad request (400)",
        False,
        "final",
    ),
    (
        error(408, ""),
        lambda url: f"{url} answered 408 (Request Timeout): no message",
        "request timeout (408)",
        False,
        "failed",
    ),
    (
        error(409, {"detail": "loading"}),
        lambda url: f"{url} answered 409 (Conflict): loading",
        "conflict (409)",
        False,
        "failed",
    ),
    (
        error(429, {"error": {"message": "slow down"}}),
        lambda url: f"{url} says that there were too many requests (429): slow down",
        "rate limited (429)",
        False,
        "limited",
    ),
    (
        error(500, {"trace": [1]}),
        lambda url: f'{url} answered 500 (Internal Server Error): {{"trace": [1]}}',
        "internal server error (500)",
        False,
        "failed",
    ),
    (
        error(502, HTML.body.decode()),
        lambda url: f"{url} answered 502 (Bad Gateway): an HTML page 'Sign in'",
        "bad gateway (502)",
        False,
        "failed",
    ),
    (
        error(529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        lambda url: f"{url} answered 529 (Overloaded): Overloaded",
        "overloaded (529)",
        False,
        "limited",
    ),
]


@both
@pytest.mark.parametrize(
    ("answer", "says", "short", "fatal", "fault"), STATUSES, ids=lambda v: getattr(v, "status", "")
)
def test_a_status_becomes_one_sentence_with_the_providers_words(
    kind: Kind, answer: Answer, says: Callable[[str], str], short: str, fatal: bool, fault: Fault
) -> None:
    with Server(script=[answer]) as server:
        told = failure(kind, server.url, fault=fault)
        assert told == (f"glm: {says(base(kind, server.url))}", short, fatal)
    assert server.counts["requests"] == 1


@both
def test_413_is_not_fatal(kind: Kind) -> None:
    with Server(script=[error(413, {"error": {"message": "body too large"}})]) as server:
        message, short, fatal = failure(kind, server.url)
    # Python names this status differently from 3.13 on.
    assert message.startswith(f"glm: {base(kind, server.url)} answered 413 (")
    assert message.endswith("): body too large")
    assert (short.endswith(" (413)"), fatal) == (True, False)


@both
def test_404_names_the_path_and_the_model(kind: Kind) -> None:
    with Server(script=[error(404, {"error": {"message": "model: m-1"}})]) as server:
        assert failure(kind, server.url) == (
            f"glm: {base(kind, server.url)}{kind.path} or the model 'm-1' was not found (404): model: m-1",
            "not found (404)",
            True,
        )


@both
@pytest.mark.parametrize(
    ("answer", "says", "short", "fault"),
    [
        (HTML, "answered with what is not JSON: an HTML page 'Sign in'", "not JSON", "final"),
        (EMPTY, "answered with what is not JSON: an empty body", "not JSON", "lost"),
        (ok(" \n"), "answered with what is not JSON: an empty body", "not JSON", "lost"),
        (ok('{"choices": nope'), 'answered with what is not JSON: {"choices": nope', "not JSON", "lost"),
        (ok("[" * 100_000), "answered with what is not JSON: " + "[" * 100, "not JSON", "final"),
        (ok([1]), "answered with JSON that is not an object: [1]", "no usable reply", "final"),
        (
            ok({"error": {"message": "upstream died"}}),
            "answered with an error: upstream died",
            "error reply",
            "lost",
        ),
        (ok({"error": "upstream died"}), "answered with an error: upstream died", "error reply", "lost"),
    ],
    ids=["html", "empty", "blank", "broken", "deep", "list", "error", "error-text"],
)
def test_a_200_without_a_reply_is_named_as_what_it_is(
    kind: Kind, answer: Answer, says: str, short: str, fault: Fault
) -> None:
    with Server(script=[answer]) as server:
        message, told, fatal = failure(kind, server.url, fault=fault)
    assert message.startswith(f"glm: {base(kind, server.url)} {says}")
    assert len(message) <= 500
    assert (told, fatal, server.counts["requests"]) == (short, False, 1)


@both
@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("localhost:8080", "'localhost:8080' does not look like http://host:port/path"),
        ("ftp://127.0.0.1", "'ftp://127.0.0.1' does not look like http://host:port/path"),
        ("http://127.0.0.1:99999", "'http://127.0.0.1:99999' is not a URL"),
        (
            f"http://me:{KEY}@127.0.0.1",
            "holds a user name or password: put the key into a variable and name it in api_key_env",
        ),
    ],
)
def test_a_base_url_that_cannot_work_is_fatal(kind: Kind, url: str, says: str) -> None:
    configured = Model("glm", kind.sdk, "m-1", base_url=url)
    assert failure(kind, configured) == (f"glm: its base_url {says}", "base_url is wrong", True)
