"""What the providers share that call a server over HTTP through its SDK."""

from __future__ import annotations

import importlib
import json
import os
import time
from abc import ABC, abstractmethod
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_upskill.errors import CallError
from pytest_upskill.providers.failures import (
    Failures,
    MalformedError,
    connect_timeout,
    describe,
    provider_message,
    wrong_url,
)
from pytest_upskill.providers.headers import rate_limits
from pytest_upskill.providers.meanings import error_in
from pytest_upskill.providers.posts import Posts, SDKClient
from pytest_upskill.providers.shared import Address, SharedClients
from pytest_upskill.types import JSON, Fault, Model, Reply, Request

if TYPE_CHECKING:
    import httpx2

PLACEHOLDER = "no-key-needed"
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]", "0.0.0.0")  # noqa: S104 - an address to call, not to bind
# The engine decides how many calls are in flight, of all the models that share a client: none waits here.
_MOST_CONNECTIONS = 1_000_000
_SHORTEST_SECRET = 8
_KEY_HEADERS = ("authorization", "x-api-key", "api-key")


class HTTPProvider(ABC):
    """One configured model behind an SDK. Building it imports nothing.

    A subclass says how its client is made, what a request looks like and how a reply is read.

    Args:
        model: whom to call.
        clients: those of the run, so that models that call one server with one key share a client.
    """

    deterministic = False
    version: str
    sdk: ClassVar[str]
    path: ClassVar[str]
    key_variable: ClassVar[str]

    def __init__(self, model: Model, clients: SharedClients | None = None) -> None:
        self._model = model
        self._clients = clients or SharedClients()
        self._address: Address | None = None
        self._posts: Posts | None = None
        self._client: SDKClient | None = None
        self._failures: Failures | None = None
        self._secrets: tuple[str, ...] = ()
        self._timeout: Any = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must be masked wherever a server repeats it: the keys in use, known after `open`."""
        return tuple(key for key in self._secrets if len(key) >= _SHORTEST_SECRET)

    async def open(self) -> None:
        """Import the SDK and make the client. Raises `CallError` when the SDK or a key is missing."""
        self._check_url()
        key = self._key()
        sdk = await self._import()
        self._timeout = sdk.Timeout
        failures = self._describe(self._model.base_url or "", key or "")
        address = Address(self.sdk, self._model.base_url, key)
        try:
            posts = self._clients.take(address, lambda: self._make(sdk, key))
        except Exception as err:  # noqa: BLE001 - becomes a sentence
            raise (err if isinstance(err, CallError) else failures.setup(err)) from None
        client = posts.client
        self._secrets = _keys(client)
        self._failures = self._describe(str(client.base_url), client.api_key or "")
        self._address, self._posts, self._client = address, posts, client

    async def complete(self, request: Request, timeout: float) -> Reply:
        """Make one attempt. `timeout` (seconds) holds for all of it, from the connection to the body's end."""
        if self._posts is None or self._failures is None:
            raise RuntimeError(f"{self._model.name}: open() comes before complete()")
        answer: httpx2.Response | None = None
        try:
            start = time.perf_counter()
            answer = await self._post(self._posts, self._body(request), timeout)
            latency = time.perf_counter() - start
            reply = self._read(_decode(answer.content), latency)
        except Exception as err:  # noqa: BLE001 - becomes a sentence
            # Not chained: the SDK's exception may quote a key.
            raise self._failures.of(err, timeout, answer) from None
        limits = rate_limits(answer.headers.raw)
        return reply if limits is None else replace(reply, limits=limits)

    async def close(self) -> None:
        """Give the client back; the last of those who share it closes its connections."""
        posts, self._posts, self._client = self._posts, None, None
        if posts is not None and self._address is not None:
            await self._clients.give_back(self._address)

    @abstractmethod
    def _connect(self, http: httpx2.AsyncClient, key: str | None) -> SDKClient:
        """Make the SDK's client, which never tries again; a `key` of None leaves the credentials to the SDK."""

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
        secrets = self._secrets or (() if key == PLACEHOLDER else (key,))
        words = f"the key in {self._model.api_key_env or self.key_variable}"
        if key == PLACEHOLDER:
            words = "a call without a key, as api_key_env is not set"
        elif not key:
            words = f"the credentials that the {self.sdk} package found"
        return Failures(self._model.name, self._model.model, url, self.path, words, secrets)

    def _make(self, sdk: ModuleType, key: str | None) -> Posts:
        http = _http_client(sdk)
        return Posts(sdk, self._connect(http, key), http)

    async def _post(self, posts: Posts, body: dict[str, JSON], timeout: float) -> httpx2.Response:
        import asyncio

        longest = connect_timeout(timeout)
        # `pool` as well: to aiohttp it is the time for all of a connection, from the host's address on.
        limits = self._timeout(None, connect=longest, pool=longest)
        async with asyncio.timeout(timeout):
            return await posts.post(self.path, body, limits)


def _http_client(sdk: ModuleType) -> httpx2.AsyncClient:
    limits = type(sdk.DEFAULT_CONNECTION_LIMITS)(
        max_connections=_MOST_CONNECTIONS, max_keepalive_connections=_MOST_CONNECTIONS
    )
    client: httpx2.AsyncClient = sdk.DefaultAioHttpClient(
        limits=limits,
        # HTTP_PROXY without NO_PROXY would otherwise capture a local server.
        mounts={f"all://{host}": None for host in _LOOPBACK},
    )
    return client


def _keys(client: SDKClient) -> tuple[str, ...]:
    found = [getattr(client, name, None) for name in ("api_key", "admin_api_key", "auth_token")]
    # Those of ..._CUSTOM_HEADERS as well.
    found += [
        value.rpartition(" ")[2]
        for name, value in client.default_headers.items()
        if name.lower() in _KEY_HEADERS and isinstance(value, str)
    ]
    return tuple({key for key in found if isinstance(key, str) and key not in ("", PLACEHOLDER)})


def _decode(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise _not_json(raw.decode("utf-8", "replace").strip()) from None
    if not isinstance(body, dict):
        raise MalformedError(f"answered with JSON that is not an object: {json.dumps(body)}")
    if body.get("error"):
        meant = error_in(body)
        message = f"answered with an error: {provider_message(body)}"
        raise MalformedError(message, meant.short or "error reply", fault=meant.fault, fatal=meant.fatal)
    return body


def _not_json(text: str) -> MalformedError:
    # Nothing, or the beginning of an object, is what is left of a reply; all else is no such server.
    fault: Fault = "lost" if text[:1] in ("", "{") else "final"
    said = describe(text) if text else "an empty body"
    return MalformedError(f"answered with what is not JSON: {said}", "not JSON", fault=fault)


def refuse_nothing(text: str, stop: str | None) -> None:
    """Raise `MalformedError` for a reply that has ended by itself before it began."""
    if stop in ("stop", None) and not text.strip():
        raise MalformedError("answered with an empty completion", "empty completion", fault="lost")


def count(usage: object, key: str) -> int | None:
    """Return a number of tokens, or None where the server did not say a usable one."""
    value = usage.get(key) if isinstance(usage, dict) else None
    return value if type(value) is int and value >= 0 else None


def word(value: object) -> str | None:
    """Return the value when it is a text that says something."""
    return value if isinstance(value, str) and value else None


def plain(text: str) -> str:
    """Return the text without lone surrogates, which JSON can carry and no file can."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
