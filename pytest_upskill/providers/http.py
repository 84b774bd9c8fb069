"""What the providers share that call a server over HTTP through its SDK."""

from __future__ import annotations

import importlib
import json
import os
import time
from abc import ABC, abstractmethod
from contextvars import ContextVar
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_upskill.errors import CallError
from pytest_upskill.providers.failures import (
    CONNECT_TIMEOUT,
    Failures,
    MalformedError,
    describe,
    provider_message,
    wrong_url,
)
from pytest_upskill.types import DEFAULT_CONCURRENCY, JSON, Model, Reply, Request

if TYPE_CHECKING:
    import asyncio

    import anthropic
    import httpx2
    import openai

PLACEHOLDER = "no-key-needed"
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]", "0.0.0.0")  # noqa: S104 - an address to call, not to bind
_LONGEST_WAIT = 120.0


class _Attempt:
    """The clock of one call: it starts anew with each attempt that the SDK makes."""

    __slots__ = ("deadline", "started", "timeout")

    def __init__(self, timeout: float, deadline: asyncio.Timeout) -> None:
        self.timeout = timeout
        self.deadline = deadline
        self.started = time.perf_counter()


_ATTEMPT: ContextVar[_Attempt] = ContextVar("pytest_upskill_attempt")


class HTTPProvider(ABC):
    """One configured model behind an SDK. Building it imports nothing.

    A subclass says how its client is made, what a request looks like and how a reply is read.
    """

    deterministic = False
    version: str
    sdk: ClassVar[str]
    path: ClassVar[str]
    key_variable: ClassVar[str]

    def __init__(self, model: Model) -> None:
        self._model = model
        self._client: openai.AsyncOpenAI | anthropic.AsyncAnthropic | None = None
        self._failures: Failures | None = None
        self._timeout: Any = None

    async def open(self) -> None:
        """Import the SDK and make the client. Raises `CallError` when the SDK or a key is missing."""
        self._check_url()
        key = self._key()
        sdk = await self._import()
        self._timeout = sdk.Timeout
        failures = self._describe(self._model.base_url or "", key or "")
        http: httpx2.AsyncClient | None = None
        try:
            http = _http_client(sdk, self._model.concurrency or DEFAULT_CONCURRENCY)
            client = self._connect(http, key)
        except Exception as err:  # noqa: BLE001 - becomes a sentence
            if http is not None:
                await http.aclose()
            raise (err if isinstance(err, CallError) else failures.setup(err)) from None
        self._failures = self._describe(str(client.base_url), client.api_key or "")
        self._client = client

    async def complete(self, request: Request, timeout: float) -> Reply:
        """Make one call. `timeout` (seconds) holds for each attempt, `latency` is that of the last one."""
        if self._client is None or self._failures is None:
            raise RuntimeError(f"{self._model.name}: open() comes before complete()")
        try:
            raw, latency = await self._post(self._client, self._body(request), timeout)
            return self._read(_decode(raw), latency)
        except Exception as err:  # noqa: BLE001 - becomes a sentence
            # Not chained: the SDK's exception may quote a key.
            raise self._failures.of(err, timeout) from None

    async def close(self) -> None:
        """Close the client and its connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    @abstractmethod
    def _connect(
        self, http: httpx2.AsyncClient, key: str | None
    ) -> openai.AsyncOpenAI | anthropic.AsyncAnthropic:
        """Make the SDK's client; a `key` of None leaves the credentials to the SDK."""

    @abstractmethod
    def _body(self, request: Request) -> dict[str, JSON]:
        """Return the request as the server wants it."""

    @abstractmethod
    def _read(self, body: dict[str, Any], latency: float) -> Reply:
        """Read the server's reply. Raises `MalformedError`."""

    async def _import(self) -> ModuleType:
        import asyncio

        try:
            # On a thread: it takes up to a second, during which other models' calls would stand still.
            sdk = await asyncio.to_thread(importlib.import_module, self.sdk)
            await asyncio.to_thread(importlib.import_module, "aiohttp")
        except ImportError as err:
            message = (
                f"{self._model.name}: the provider '{self.sdk}' needs packages that are missing ({err}): "
                f"pip install 'pytest-upskill[{self.sdk}]'"
            )
            raise CallError(message, short=f"{self.sdk} is not installed", fatal=True) from None
        return sdk

    def _check_url(self) -> None:
        url = self._model.base_url
        wrong = wrong_url(url) if url else None
        if wrong is not None:
            message = f"{self._model.name}: its base_url {wrong}"
            raise CallError(message, short="base_url is wrong", fatal=True)

    def _key(self) -> str | None:
        """Return the key: the named one, a placeholder to a custom server, None for the SDK's choice."""
        name = self._model.api_key_env
        if name is None:
            return PLACEHOLDER if self._model.base_url else None
        key = os.environ.get(name, "").strip()
        if not key:
            message = f"{self._model.name}: the environment variable {name} (its api_key_env) is not set"
            raise CallError(message, short=f"{name} is not set", fatal=True)
        return key

    def _missing_key(self, vendor: str, others: str) -> CallError:
        message = f"{self._model.name}: no {vendor} credentials: set {self.key_variable}, {others}"
        return CallError(message, short=f"no {vendor} credentials", fatal=True)

    def _describe(self, url: str, key: str) -> Failures:
        secrets = () if key == PLACEHOLDER else (key,)
        words = f"the key in {self._model.api_key_env or self.key_variable}"
        if key == PLACEHOLDER:
            words = "a call without a key, as api_key_env is not set"
        elif not key:
            words = f"the credentials that the {self.sdk} package found"
        return Failures(self._model.name, self._model.model, url, self.path, words, secrets)

    async def _post(
        self, client: openai.AsyncOpenAI | anthropic.AsyncAnthropic, body: dict[str, JSON], timeout: float
    ) -> tuple[bytes, float]:
        import asyncio

        limits = self._timeout(timeout, connect=min(timeout, CONNECT_TIMEOUT))
        async with asyncio.timeout(None) as deadline:
            attempt = _Attempt(timeout, deadline)
            _ATTEMPT.set(attempt)
            raw = await client.post(self.path, cast_to=bytes, body=body, options={"timeout": limits})
        return raw, time.perf_counter() - attempt.started


def _http_client(sdk: ModuleType, concurrency: int) -> httpx2.AsyncClient:
    default = sdk.DEFAULT_CONNECTION_LIMITS
    most = max(concurrency, default.max_connections)
    limits = type(default)(max_connections=most, max_keepalive_connections=most)
    client: httpx2.AsyncClient = sdk.DefaultAioHttpClient(
        limits=limits,
        # HTTP_PROXY without NO_PROXY would otherwise capture a local server.
        mounts={f"all://{host}": None for host in _LOOPBACK},
        event_hooks={"request": [_sent], "response": [_answered]},
    )
    return client


async def _sent(_request: object) -> None:
    attempt = _ATTEMPT.get(None)
    if attempt is not None:
        attempt.started = time.perf_counter()
        attempt.deadline.reschedule(None)


async def _answered(response: httpx2.Response) -> None:
    """End the attempt in time even when its body trickles in, and refuse very long waits."""
    import asyncio

    attempt = _ATTEMPT.get(None)
    if attempt is not None and response.is_success:
        spent = time.perf_counter() - attempt.started
        now = asyncio.get_running_loop().time()
        attempt.deadline.reschedule(now + max(0.0, attempt.timeout - spent))
    elif _wait(response.headers.get("retry-after")) > _LONGEST_WAIT:
        # An SDK would sit there for the hour that a daily limit asks for.
        response.headers["x-should-retry"] = "false"


def _wait(header: str | None) -> float:
    try:
        return float(header or 0)
    except ValueError:
        return 0.0


def _decode(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        text = raw.decode("utf-8", "replace")
        said = describe(text) if text.strip() else "an empty body"
        raise MalformedError(f"answered with what is not JSON: {said}", "not JSON") from None
    if not isinstance(body, dict):
        raise MalformedError(f"answered with JSON that is not an object: {json.dumps(body)}")
    if body.get("error"):
        raise MalformedError(f"answered with an error: {provider_message(body)}", "error reply")
    return body


def count(usage: object, key: str) -> int | None:
    """Return a number of tokens, or None where the server did not say a usable one."""
    value = usage.get(key) if isinstance(usage, dict) else None
    return value if type(value) is int and value >= 0 else None


def word(value: object) -> str | None:
    """Return the value when it is a text that says something."""
    return value if isinstance(value, str) and value else None


def plain(text: str) -> str:
    """Return the text without lone surrogates, which JSON can carry and no file can."""
    return text.encode("utf-8", "replace").decode("utf-8")
