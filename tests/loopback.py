"""A server on 127.0.0.1 that speaks both chat APIs, misbehaves to order and counts what it gets."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self

from tests.answers import Answer, completion, message
from tests.faults import Twist

Reply = str | Callable[[dict[str, Any]], str]
_PATHS = ("/v1/chat/completions", "/v1/messages")


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came; the headers' names are in lower case."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def prompt(self) -> str:
        """Return what the request asks, as one comparable text."""
        return json.dumps([self.body.get("system"), self.body.get("messages")], sort_keys=True)


class Server:
    """Serve in a thread while the `with` block runs.

    Args:
        reply: the text of every reply, or a function of the request's body that returns it.
        latency: seconds before each answer.
        script: what the first requests get, in order of arrival; None is a good reply.
        twist: what becomes of a good answer, asked when a request arrives; a 429 is sent at once.
        port: 0 takes a free one.
    """

    def __init__(
        self,
        reply: Reply = "pong",
        *,
        latency: float = 0.0,
        script: Iterable[Answer | None] = (),
        twist: Twist | None = None,
        port: int = 0,
    ) -> None:
        self.reply = reply
        self.latency = latency
        self.script = list(script)
        self.twist = twist or Twist()
        # How often each prompt got its reply whole.
        self.delivered: Counter[str] = Counter()
        self.port = port
        self.requests: list[Received] = []
        self.in_flight = 0
        self.peak = 0
        self._ready = threading.Event()
        self._done: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self.run, daemon=True, name="loopback server")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def counts(self) -> dict[str, int]:
        """Return how many requests came, with how many distinct prompts, and the most at one time.

        `delivered` prompts got a good reply whole, `twice` of them more than once. Then what went wrong, by kind.
        """
        prompts = {received.prompt for received in self.requests}
        twice = sum(count > 1 for count in self.delivered.values())
        return {
            "requests": len(self.requests),
            "distinct": len(prompts),
            "peak": self.peak,
            "delivered": len(self.delivered),
            "twice": twice,
            **self.twist.counts,
        }

    def elsewhere(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer | None:
        """Answer what is neither a call nor a question about calls; None is a 404."""
        return None

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the loopback server did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._thread.join(10)

    def run(self, ready: Callable[[], None] | None = None) -> None:
        """Serve in this thread until `stop`; `ready` is called when the port is known."""
        asyncio.run(self._serve(ready))

    def stop(self) -> None:
        """End `run`, from any thread."""
        if self._loop is not None and self._done is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._done.set)

    async def _serve(self, ready: Callable[[], None] | None) -> None:
        self._loop, self._done = asyncio.get_running_loop(), asyncio.Event()
        connections: set[_Connection] = set()
        factory = partial(_Connection, self, connections)
        server = await self._loop.create_server(factory, "127.0.0.1", self.port, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        if ready is not None:
            ready()
        await self._done.wait()
        server.close()
        for connection in list(connections):
            connection.abort()
        # The transports close in the next turn of the loop.
        await asyncio.sleep(0.01)


class _Connection(asyncio.Protocol):
    """One keep-alive connection: requests one after the other."""

    def __init__(self, server: Server, all_of_them: set[_Connection]) -> None:
        self._server = server
        self._all = all_of_them
        self._buffer = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self._busy = False

    def abort(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a stream transport is needed")
        self._transport = transport
        self._all.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        self._idle()

    def data_received(self, data: bytes) -> None:
        if data[:1] == b"\x16":
            # A TLS greeting: say what ordinary servers say to it.
            self._send(Answer(400, then="close"))
            return
        self._buffer += data
        if not self._busy:
            self._next()

    def _next(self) -> None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        first, *lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        fields = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in fields}
        stop = end + 4 + int(headers.get("content-length", "0"))
        if len(self._buffer) < stop:
            return
        body = bytes(self._buffer[end + 4 : stop])
        del self._buffer[:stop]
        method, path, _ = first.split(" ", 2)
        self._handle(method, path, headers, body)

    def _handle(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        if method == "POST" and path in _PATHS:
            self._call(Received(path, headers, json.loads(body)))
        elif (method, path) == ("GET", "/count"):
            self._send(_json_answer(200, self._server.counts))
        elif (method, path) == ("POST", "/stop"):
            self._send(_json_answer(200, {"stopped": True}))
            self._server.stop()
        else:
            answer = self._server.elsewhere(method, path, headers, body)
            self._send(answer or _json_answer(404, {"error": {"message": f"no such path: {path}"}}))

    def _call(self, received: Received) -> None:
        server = self._server
        server.requests.append(received)
        server.in_flight += 1
        server.peak = max(server.peak, server.in_flight)
        self._busy = True
        scripted = server.script.pop(0) if server.script else None
        good = _good(received, server.reply)
        answer = scripted or server.twist(good)
        # A limit refuses at the door; everything else takes its time.
        if server.latency and (answer.status != 429 or scripted is not None):
            loop = asyncio.get_running_loop()
            whole = received if answer is good else None
            self._timer = loop.call_later(server.latency, self._answer, answer, whole)
        else:
            self._answer(answer, received if answer is good else None)

    def _answer(self, answer: Answer, whole: Received | None) -> None:
        if whole is not None and not self._transport.is_closing():
            self._server.delivered[whole.prompt] += 1
        if answer.then != "hang":
            self._idle()
        self._send(answer)
        if not self._busy:
            self._next()

    def _idle(self) -> None:
        self._server.in_flight -= self._busy
        self._busy = False

    def _send(self, answer: Answer) -> None:
        if not answer.silent:
            self._transport.write(_head(answer))
            if answer.trickle:
                self._trickle(answer, 0)
                return
            self._transport.write(answer.body)
        if answer.then == "close":
            self._transport.close()
        elif answer.then == "reset":
            self._transport.abort()

    def _trickle(self, answer: Answer, at: int) -> None:
        if at < len(answer.body):
            self._transport.write(answer.body[at : at + 1])
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(answer.trickle, self._trickle, answer, at + 1)


def _head(answer: Answer) -> bytes:
    length = len(answer.body) if answer.promised is None else answer.promised
    headers = {"content-type": "application/json", **answer.headers, "content-length": str(length)}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {answer.status} Scripted\r\n{lines}\r\n".encode("latin-1")


def _json_answer(status: int, body: object) -> Answer:
    return Answer(status, json.dumps(body).encode())


def _good(received: Received, reply: Reply) -> Answer:
    text = reply if isinstance(reply, str) else reply(received.body)
    tokens = max(1, len(received.prompt) // 4), max(1, len(text) // 4)
    shape = completion if received.path == _PATHS[0] else message
    return _json_answer(200, shape(text, received.body.get("model"), *tokens))
