"""Posting JSON through an SDK's client, and without what it does anew for every call where that changes nothing."""

from __future__ import annotations

import contextlib
import importlib
import json
from contextvars import ContextVar
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import asyncio

    import anthropic
    import httpx2
    import openai

    from pytest_upskill.types import JSON

SDKClient: TypeAlias = "openai.AsyncOpenAI | anthropic.AsyncAnthropic"
_OF_ONE_CALL = ("content-length", "transfer-encoding", "cookie")


class RefusedError(Exception):
    """A server answered with a status that is no success; in the shape of the SDKs' own error."""

    def __init__(self, response: httpx2.Response) -> None:
        super().__init__(f"status {response.status_code}")
        self.response = response
        self.status_code = response.status_code
        self.body: object = response.text
        with contextlib.suppress(ValueError, RecursionError):
            self.body = json.loads(response.content)


class _Asked:
    """What a task has asked the SDK for, until its request leaves: others wait for what is learnt from it."""

    def __init__(self, path: str, turn: asyncio.Lock) -> None:
        self.path = path
        self.turn = turn
        self.open = True

    def left(self) -> None:
        if self.open:
            self.open = False
            self.turn.release()


_ASKED: ContextVar[_Asked | None] = ContextVar("pytest_upskill_asked", default=None)


class Posts:
    """Posts to one server with one key.

    More than half of what a call costs is the SDK's building of the request: addresses and headers that are the
    same each time. Where the key does not change, and the SDK has made two requests alike in all but the body, further
    ones are sent as they were, through the same HTTP client, with their own body. Whatever differs from call to call
    (a token that is renewed, a signature, a trace) so stays with the SDK. Requests are compared when they leave, not
    when they were answered: of 256 calls that begin at once all but two are spared the SDK.

    `learns` tells whether any are.

    Args:
        sdk: the SDK's module.
        client: its client.
        http: the HTTP client that it was made with.
    """

    def __init__(self, sdk: ModuleType, client: SDKClient, http: httpx2.AsyncClient) -> None:
        self.client = client
        self._http = http
        # The SDKs are on httpx2, older releases on httpx; asked for its Response they return what came as it is.
        library = importlib.import_module(type(sdk.DEFAULT_CONNECTION_LIMITS).__module__.partition(".")[0])
        self._response: Any = library.Response
        self._request: Any = library.Request
        # The last request of the SDK and the one that others are like, by their path.
        self._last: dict[str, httpx2.Request] = {}
        self._alike: dict[str, httpx2.Request] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self.learns = _has_fixed_key(client)
        if self.learns:
            hooks = http.event_hooks
            http.event_hooks = {**hooks, "request": [*hooks["request"], self._leaves]}

    async def post(self, path: str, body: dict[str, JSON], timeout: httpx2.Timeout) -> httpx2.Response:
        """Return what came with a status of success. Raises what the SDK raises, or `RefusedError`."""
        if not self.learns:
            return await self._through_sdk(path, body, timeout)
        alike = self._alike.get(path)
        if alike is None:
            import asyncio  # not where a model is only configured

            asked = _Asked(path, self._turns.setdefault(path, asyncio.Lock()))
            await asked.turn.acquire()
            alike = self._alike.get(path)
            if alike is None:
                token = _ASKED.set(asked)
                try:
                    return await self._through_sdk(path, body, timeout)
                finally:
                    _ASKED.reset(token)
                    asked.left()
            asked.left()
        return await self._again(alike, body, timeout)

    async def close(self) -> None:
        """Close the client and its connections."""
        await self.client.close()

    async def _leaves(self, request: httpx2.Request) -> None:
        asked = _ASKED.get()
        if asked is None or not asked.open:  # the second request of a redirection, or one without a turn
            return
        path = asked.path
        sent = self._request(request.method, request.url, headers=request.headers)
        for name in _OF_ONE_CALL:
            sent.headers.pop(name, None)
        last = self._last.get(path)
        if last is not None and (last.url, last.headers) == (sent.url, sent.headers):
            self._alike[path] = sent
        self._last[path] = sent
        asked.left()

    async def _through_sdk(
        self, path: str, body: dict[str, JSON], timeout: httpx2.Timeout
    ) -> httpx2.Response:
        answer: httpx2.Response = await self.client.post(
            path, cast_to=self._response, body=body, options={"timeout": timeout}
        )
        return answer

    async def _again(
        self, alike: httpx2.Request, body: dict[str, JSON], timeout: httpx2.Timeout
    ) -> httpx2.Response:
        request = self._request(
            alike.method,
            alike.url,
            headers=alike.headers,
            content=json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode(),
            extensions={"timeout": timeout.as_dict()},
        )
        answer = await self._http.send(request)
        if not answer.is_success:
            raise RefusedError(answer)
        return answer


def _has_fixed_key(client: SDKClient) -> bool:
    key = client.api_key or getattr(client, "auth_token", None)
    return bool(key) and client.custom_auth is None
