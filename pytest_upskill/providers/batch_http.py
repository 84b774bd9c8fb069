"""What the two batch APIs share: asking, reading files of JSON lines, and saying what went wrong."""

from __future__ import annotations

import importlib
import json
import re
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any, ClassVar

from pytest_upskill.errors import CallError
from pytest_upskill.protocols import BatchState
from pytest_upskill.providers.failures import MalformedError, connect_timeout, describe, provider_message
from pytest_upskill.providers.http import HTTPProvider
from pytest_upskill.types import JSON, Reply, Request

_PATIENCE = 300.0  # seconds without a byte: a file of many requests is read before it is answered
_MISSING = {404, 410}
_NO_BATCHES = {404, 405, 501}
_ID = re.compile(r"[\w.:-]+", re.ASCII)


class AnsweredError(Exception):
    """What a server answered to one request of a batch, in the shape of an SDK's error."""

    def __init__(self, status: int, body: object) -> None:
        super().__init__(f"status {status}")
        self.status_code = status
        self.body = body


class BatchHTTP(HTTPProvider):
    """A provider whose server also takes batches. A subclass says how they look there."""

    batch_discount = 0.5
    batch_limit: int
    batches: ClassVar[str]

    async def submit(self, requests: Mapping[str, Request]) -> str:
        """Hand in a batch and return its id. Raises `CallError`: `lost` when it may be there all the same."""
        with self._in_words():
            name = (await self._hand_in(requests)).get("id")
            if not isinstance(name, str) or not _ID.fullmatch(name):
                raise MalformedError("answered with a batch without an id: is it a batch API?", "no batches")
            return name

    async def state(self, batch: str) -> BatchState:
        """Ask how far a batch is. Raises `CallError`."""
        with self._in_words():
            try:
                return self._state(await self._get(f"{self.batches}/{batch}"))
            except Exception as err:
                if getattr(err, "status_code", None) in _MISSING:
                    return BatchState(0, 0, ended=True, gone=True)
                raise

    async def results(self, batch: str) -> AsyncIterator[tuple[str, Reply | Exception]]:
        """Yield what became of each request. Raises `CallError`: `lost` when what came was not whole."""
        with self._in_words():
            for path in await self._files(batch):
                async with aclosing(self._lines(path)) as lines:
                    async for line in lines:
                        name = line.get("custom_id")
                        if isinstance(name, str):
                            yield name, self._became(line)

    @abstractmethod
    async def _hand_in(self, requests: Mapping[str, Request]) -> dict[str, Any]:
        """Return the batch that the server has made."""

    @abstractmethod
    def _state(self, body: dict[str, Any]) -> BatchState:
        """Read how far a batch is."""

    @abstractmethod
    async def _files(self, batch: str) -> list[str]:
        """Return the addresses of the results. Raises `MalformedError` when there are none and never will be."""

    @abstractmethod
    def _outcome(self, line: dict[str, Any]) -> dict[str, Any]:
        """Return the reply's body in a line of the results. Raises what its request met."""

    def _became(self, line: dict[str, Any]) -> Reply | CallError:
        try:
            return self._read(self._outcome(line), 0.0)
        except Exception as err:  # noqa: BLE001 - becomes a sentence
            return self._told(err)

    def _told(self, err: Exception) -> CallError:
        if self._failures is None:
            raise RuntimeError(f"{self._model.name}: open() comes before batches")
        return self._failures.of(err, _PATIENCE)

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except Exception as err:  # noqa: BLE001 - becomes a sentence
            # Not chained: the SDK's exception may quote a key.
            raise self._told(err) from None

    @contextmanager
    def _where_batches_are(self) -> Iterator[None]:
        """Tell a server that knows no batches from one that refuses this one."""
        try:
            yield
        except Exception as err:
            status = getattr(err, "status_code", None)
            if status not in _NO_BATCHES:
                raise
            said = provider_message(getattr(err, "body", None))
            raise MalformedError(f"takes no batches ({status}): {said}", "no batches") from None

    @property
    def _api(self) -> Any:  # noqa: ANN401 - either SDK's client; their methods are alike, their types are not
        if self._client is None:
            raise RuntimeError(f"{self._model.name}: open() comes before batches")
        return self._client

    def _options(self) -> dict[str, Any]:
        return {"timeout": self._timeout(_PATIENCE, connect=connect_timeout(_PATIENCE))}

    async def _get(self, path: str) -> dict[str, Any]:
        return _parsed(await self._api.get(path, cast_to=bytes, options=self._options()))

    async def _send(self, path: str, body: dict[str, JSON]) -> dict[str, Any]:
        return _parsed(await self._api.post(path, cast_to=bytes, body=body, options=self._options()))

    async def _lines(self, path: str) -> AsyncGenerator[dict[str, Any], None]:
        stream_class = importlib.import_module(self.sdk).AsyncStream
        stream = await self._api.get(
            path,
            cast_to=bytes,
            stream=True,
            stream_cls=stream_class[bytes],
            options={**self._options(), "headers": {"Accept": "application/binary"}},
        )
        try:
            async with aclosing(_objects(stream.response.aiter_bytes())) as objects:
                async for line in objects:
                    yield line
        finally:
            await stream.close()


async def _objects(chunks: AsyncIterator[bytes]) -> AsyncGenerator[dict[str, Any], None]:
    rest, read, unread = b"", 0, None
    async for chunk in chunks:
        # By bytes: lines of text would also end at U+2028, which may stand in a reply.
        *lines, rest = (rest + chunk).split(b"\n")
        for line in filter(bytes.strip, lines):
            try:
                found = _parsed(line)
            except MalformedError as error:
                unread = unread or error
            else:
                read += 1
                yield found
    if rest.strip():
        yield _parsed(rest)
    elif unread is not None and not read:
        raise unread  # no results at all, such as the page of a proxy


def number(counts: object, key: str) -> int:
    """Return a count of requests, 0 where the server does not say it."""
    value = counts.get(key) if isinstance(counts, dict) else None
    return value if type(value) is int and value > 0 else 0


def details(error: object) -> str:
    """Return what an error of a batch or of one of its requests says."""
    if not isinstance(error, dict):
        return str(error) if error else "no details"
    said = [str(error[key]) for key in ("code", "type", "message") if error.get(key)]
    return ": ".join(said) or "no details"


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        said = describe(raw.decode("utf-8", "replace")) if raw.strip() else "an empty body"
        message = f"answered with what is not JSON: {said}"
        raise MalformedError(message, "not JSON", fault="lost") from None
    if not isinstance(body, dict):
        raise MalformedError(f"answered with JSON that is not an object: {json.dumps(body)}", fault="lost")
    return body
