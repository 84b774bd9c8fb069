"""What the SDK sends anew for every call, and what is sent again without it."""

from __future__ import annotations

import asyncio
import importlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from pytest_upskill.errors import CallError
from pytest_upskill.providers.anthropic import Anthropic
from pytest_upskill.providers.openai import OpenAI
from pytest_upskill.providers.posts import Posts, RefusedError
from pytest_upskill.types import Message, Model, Reply, Request
from tests.answers import EMPTY, HANG, HTML, RESET, TRUNCATED, Answer, completion, error, message, ok
from tests.loopback import Received, Server
from tests.providers.api import Kind, base, both, clean, model, request, since_1

__all__ = ["clean"]
KEY = "sk-test-0123456789abcdef"
LEARNT = 2  # calls that the SDK makes before its requests are known


def ends(kind: Kind, of: Model, asked: list[Request], timeout: float = 5.0) -> list[Reply | CallError]:
    """Return what becomes of calls, one after the other, in one client."""

    async def go() -> list[Reply | CallError]:
        provider = kind(of)
        await provider.open()
        found: list[Reply | CallError] = []
        for each in asked:
            try:
                found.append(await provider.complete(each, timeout))
            except CallError as err:
                found.append(err)
        await provider.close()
        return found

    return asyncio.run(go())


def alike(one: Received, other: Received) -> bool:
    """Tell whether two requests differ in nothing but their body's length."""
    first, second = ({**each.headers, "content-length": ""} for each in (one, other))
    return (one.path, first, list(one.headers)) == (other.path, second, list(other.headers))


@both
def test_a_call_without_the_sdk_looks_like_one_through_it(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLM_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    turns = (Message("user", "ü\n✓"), Message("assistant", "a"), Message("user", "b"))
    asked = [Request("m-1", "be brief", turns, {"temperature": 0.5, "stop": None})] * (LEARNT + 2)
    with Server() as server:
        replies = ends(kind, model(kind, server.url, api_key_env="GLM_API_KEY"), asked)
    assert [getattr(reply, "text", reply) for reply in replies] == ["pong"] * (LEARNT + 2)
    first, *rest = server.requests
    assert KEY in str(first.headers)
    assert all(alike(first, other) and other.body == first.body for other in rest)


@both
def test_it_carries_its_own_body_and_length(kind: Kind) -> None:
    asked = [request("q" * (n + 1)) for n in range(LEARNT + 3)]
    with Server(lambda body: body["messages"][-1]["content"]) as server:
        replies = ends(kind, model(kind, server.url), asked)
    assert [getattr(reply, "text", reply) for reply in replies] == ["q" * (n + 1) for n in range(LEARNT + 3)]


BROKEN = Answer(200, b"no gzip", {"content-encoding": "gzip"})
CUT = Answer(200, b'{"choices": [', promised=500, then="reset")
FAULTS = {
    "400": error(400, {"error": {"message": f"no {KEY}", "code": "context_length_exceeded"}}),
    "400-text": error(400, "no"),
    "400-empty": error(400),
    "401": error(401, {"error": {"message": f"bad key {KEY}"}}),
    "403": error(403, {"detail": "not you"}),
    "404": error(404, {"error": "model: m-1"}),
    "429": error(429, {"error": {"message": "slow"}}, retry_after="7", x_ratelimit_limit_requests="60"),
    "500": error(500, HTML.body.decode()),
    "503": error(503, {"error": {"message": "busy"}}, retry_after_ms="70"),
    "529": error(529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
    "304": error(304),
    "html": HTML,
    "empty": EMPTY,
    "error": ok({"error": {"message": KEY}}),
    "nothing": ok({"choices": [], "content": None}),
    "broken": BROKEN,
    "closed": TRUNCATED,
    "reset": CUT,
    "before": RESET,
    "stalled": Answer(200, b'{"choices": [', promised=500, then="hang"),
    "silent": HANG,
}


@both
@pytest.mark.parametrize("answer", FAULTS.values(), ids=FAULTS)
def test_what_goes_wrong_without_the_sdk_is_said_in_the_same_words(
    kind: Kind, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLM_API_KEY", KEY)
    script = [answer, None, None, answer]
    with Server(script=script) as server:
        of = model(kind, server.url, api_key_env="GLM_API_KEY")
        through, _, _, without = ends(kind, of, [request()] * len(script), timeout=0.3)
    assert isinstance(through, CallError)
    assert isinstance(without, CallError)
    assert told(through) == told(without)
    assert KEY not in str(through)
    assert without.__cause__ is None
    assert len(server.requests) == len(script)


def told(err: CallError) -> tuple[object, ...]:
    return (str(err), err.short, err.fatal, err.fault, err.retry_after, err.limits)


@both
def test_a_server_that_went_away_is_unreachable(kind: Kind) -> None:
    async def go() -> CallError:
        with Server() as server:
            provider = kind(model(kind, server.url))
            await provider.open()
            for _ in range(LEARNT + 1):
                await provider.complete(request(), 5.0)
            url = base(kind, server.url)
        await asyncio.sleep(0.05)  # until the client has seen that the connection is gone
        with pytest.raises(CallError) as caught:
            await provider.complete(request(), 5.0)
        assert (
            str(caught.value) == f"glm: nobody answers at {url} (connection refused): is the server running?"
        )
        await provider.close()
        return caught.value

    assert asyncio.run(go()).fault == "unreachable"


@both
def test_another_path_of_one_client_is_learnt_by_itself(kind: Kind) -> None:
    async def go(url: str) -> None:
        sdk = importlib.import_module(kind.sdk)
        provider = kind(model(kind, url))
        await provider.open()
        assert provider._posts is not None
        for _ in range(LEARNT + 1):
            for path in (kind.path, f"{kind.path}/other"):
                with suppress(sdk.NotFoundError, RefusedError):
                    await provider._posts.post(path, {"model": "m"}, sdk.Timeout(5.0))
        assert list(provider._posts._alike) == [kind.path, f"{kind.path}/other"]
        await provider.close()

    with Server() as server:
        asyncio.run(go(server.url))


def counted(call: Callable[..., object], calls: list[object]) -> Callable[..., object]:
    """Return the call that notes what it is called with."""

    def noting(*positional: object, **named: object) -> object:
        calls.append(positional)
        return call(*positional, **named)

    return noting


@both
def test_calls_that_begin_together_are_spared_the_sdk_but_for_two(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[object] = []

    async def go(url: str) -> list[str]:
        provider = kind(model(kind, url))
        await provider.open()
        assert provider._posts is not None
        client = provider._posts.client
        monkeypatch.setattr(client, "post", counted(client.post, built))
        replies = await asyncio.gather(*(provider.complete(request(f"{n}"), 5.0) for n in range(20)))
        await provider.close()
        return [reply.text for reply in replies]

    with Server(lambda body: body["messages"][-1]["content"], latency=0.2) as server:
        assert asyncio.run(go(server.url)) == [f"{n}" for n in range(20)]
    assert len(built) == LEARNT
    assert all(alike(server.requests[0], other) for other in server.requests)


@both
def test_a_redirection_is_followed_each_time_from_where_it_was_asked(kind: Kind) -> None:
    with Server() as there:
        away = [Answer(307, b"", {"location": base(kind, there.url) + kind.path})] * 4
        with Server(script=away) as server:
            replies = ends(kind, model(kind, server.url), [request()] * len(away))
            assert [getattr(reply, "text", reply) for reply in replies] == ["pong"] * len(away)
            assert len(server.requests) == len(there.requests) == len(away)


@both
def test_cookies_of_a_server_are_not_sent_for_ever(kind: Kind) -> None:
    good = ok(completion("pong") if kind is OpenAI else message("pong"))
    cookies = [Answer(200, good.body, {"set-cookie": f"mark={n}; Path=/"}) for n in range(LEARNT + 3)]
    with Server(script=cookies) as server:
        ends(kind, model(kind, server.url), [request()] * len(cookies))
    assert ["cookie" in received.headers for received in server.requests][LEARNT:] == [False] * 3


@both
def test_what_the_sdk_varies_from_call_to_call_stays_with_it(kind: Kind) -> None:
    async def go(url: str, numbers: Iterator[int]) -> None:
        sdk = importlib.import_module(kind.sdk)

        async def sign(request: object) -> None:
            request.headers["signature"] = str(next(numbers))  # type: ignore[attr-defined]

        http = sdk.DefaultAioHttpClient(event_hooks={"request": [sign]})
        client = kind(model(kind, url))._connect(http, "some-key")
        posts = Posts(sdk, client, http)
        for _ in range(LEARNT + 3):
            await posts.post(kind.path, {"model": "m", "messages": []}, sdk.Timeout(5.0))
        assert posts._alike == {}
        await posts.close()

    with Server() as server:
        asyncio.run(go(server.url, count()))
    assert [received.headers["signature"] for received in server.requests] == ["0", "1", "2", "3", "4"]


@since_1
def test_credentials_that_are_no_key_stay_with_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    async def learns() -> bool:
        provider = Anthropic(model(Anthropic, None))
        await provider.open()
        found = provider._posts is None or provider._posts.learns
        await provider.close()
        return found

    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "Authorization: Bearer gateway-key")
    assert not asyncio.run(learns())


@since_1
def test_a_profile_stays_with_the_sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "configs").mkdir()
    token = {"access_token": "token-of-the-profile", "expires_at": int(time.time()) + 3600}
    (tmp_path / "token.json").write_text(json.dumps(token), encoding="utf-8")
    (tmp_path / "token.json").chmod(0o600)
    profile = {"authentication": {"type": "user_oauth", "credentials_path": str(tmp_path / "token.json")}}
    (tmp_path / "configs" / "work.json").write_text(json.dumps(profile), encoding="utf-8")
    monkeypatch.setenv("ANTHROPIC_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("ANTHROPIC_PROFILE", "work")

    async def go() -> tuple[bool, list[str]]:
        provider = Anthropic(model(Anthropic, None))
        await provider.open()
        texts = [(await provider.complete(request(), 5.0)).text for _ in range(LEARNT + 2)]
        learns = provider._posts is not None and provider._posts.learns
        await provider.close()
        return learns, texts

    with Server() as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        assert asyncio.run(go()) == (False, ["pong"] * 4)
    said = {received.headers["authorization"] for received in server.requests}
    assert said == {"Bearer token-of-the-profile"}
