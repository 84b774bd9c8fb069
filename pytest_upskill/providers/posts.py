"""Posting JSON through an SDK's client, and without what it does anew for every call where that changes nothing."""

from __future__ import annotations

import contextlib
import importlib
import json
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
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


class Posts:
    """Posts to one server with one key.

    More than half of what a call costs is the SDK's building of the request: addresses and headers that are the
    same each time. Where the key does not change, and two requests of the SDK were alike in all but the body, further
    ones are sent as they were, through the same HTTP client, with their own body. Whatever differs from call to call
    (a token that is renewed, a signature, a trace) so stays with the SDK.

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
        self._learns = _has_fixed_key(client)
        # The last request of the SDK and the one that others are like, by their path.
        self._last: dict[str, httpx2.Request] = {}
        self._alike: dict[str, httpx2.Request] = {}

    async def post(self, path: str, body: dict[str, JSON], timeout: httpx2.Timeout) -> httpx2.Response:
        """Return what came with a status of success. Raises what the SDK raises, or `RefusedError`."""
        alike = self._alike.get(path)
        if alike is not None:
            return await self._again(alike, body, timeout)
        answer: httpx2.Response = await self.client.post(
            path, cast_to=self._response, body=body, options={"timeout": timeout}
        )
        if self._learns and not answer.history:
            self._learn(path, answer.request)
        return answer

    async def close(self) -> None:
        """Close the client and its connections."""
        await self.client.close()

    def _learn(self, path: str, sent: httpx2.Request) -> None:
        for name in _OF_ONE_CALL:
            sent.headers.pop(name, None)
        last = self._last.get(path)
        if last is not None and (last.url, last.headers) == (sent.url, sent.headers):
            self._alike[path] = sent
        self._last[path] = sent

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
