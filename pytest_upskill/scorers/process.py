"""One scoring process, from its parent's side."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Collection, Sequence
from contextlib import suppress

from pytest_upskill.errors import ScorerError
from pytest_upskill.scorers.children import exit_words, own_path, public_environment
from pytest_upskill.scorers.evidence import fold

_START_LIMIT = 60.0
_END_LIMIT = 5.0
_TAIL = 4000
_LONGEST_ANSWER = 2**24
_BOOT = (
    "import json, sys; start = json.loads(sys.argv.pop()); sys.path[:] = start['path']; "
    "from pytest_upskill.scorers.child import main; main(start['limit'])"
)


class Process:
    """A child process that scores one job at a time. `start` makes one."""

    def __init__(self, transport: asyncio.SubprocessTransport, pipes: _Pipes) -> None:
        self._transport = transport
        self._pipes = pipes
        self.pid = transport.get_pid()

    @property
    def alive(self) -> bool:
        return not self._pipes.exited.is_set()

    async def ask(self, line: bytes) -> bytes | None:
        """Return the answer to a job, or None when the process ended instead of answering."""
        self._pipes.tail = b""
        stdin = self._transport.get_pipe_transport(0)
        if isinstance(stdin, asyncio.WriteTransport):
            stdin.write(line)
        return await self._pipes.answers.get()

    async def wait_ready(self) -> None:
        """Wait until the process can take jobs. Raises `ScorerError` when it cannot start."""
        try:
            async with asyncio.timeout(_START_LIMIT):
                started = await self._pipes.answers.get() is not None
        except TimeoutError:
            raise ScorerError(f"the scoring process did not start within {_START_LIMIT:g} s") from None
        if not started:
            raise ScorerError(f"the scoring process could not start: it {await self.ending()}")

    async def ending(self) -> str:
        """Return in words how the process ended, with the last line that it wrote to stderr."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_END_LIMIT):
                await self._pipes.exited.wait()
        code = self._transport.get_returncode()
        lines = self._pipes.tail.decode("utf-8", "replace").strip().splitlines()
        last = f"; its last words: {fold(lines[-1])}" if lines else ""
        return f"{exit_words(code)}{last}"

    async def stop(self) -> None:
        """Kill the process with all that it started and wait for its end. May be called again."""
        self._kill()
        with suppress(TimeoutError):
            async with asyncio.timeout(_END_LIMIT):
                await self._pipes.exited.wait()
        # After the end only: before it, close() would take the exit code away from the child watcher.
        self._transport.close()

    def _kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            if sys.platform == "win32":
                self._transport.kill()
            else:
                os.killpg(self.pid, signal.SIGKILL)


async def start(path: Sequence[str], time_limit: float, secrets: Collection[str] = ()) -> Process:
    """Start a scoring process that imports from `path`, then from where this process does.

    It sees the environment without what may be a secret, and without the variables named in `secrets`, and
    leads a process group of its own. It is not ready yet.
    """
    boot = json.dumps({"path": [*path, *own_path()], "limit": time_limit})
    transport, pipes = await asyncio.get_running_loop().subprocess_exec(
        _Pipes,
        *(sys.executable, "-P", "-B", "-c", _BOOT, boot),
        env=public_environment({name: os.environ[name] for name in os.environ if name not in secrets}),
        start_new_session=True,
    )
    return Process(transport, pipes)


class _Pipes(asyncio.SubprocessProtocol):
    """Collects the answers line by line, and the tail of stderr."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.exited = asyncio.Event()
        self.tail = b""
        self._partial = b""

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            self.tail = (self.tail + data)[-_TAIL:]
            return
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self.answers.put_nowait(line)
        if len(self._partial) > _LONGEST_ANSWER:
            self.answers.put_nowait(None)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 1:
            self.answers.put_nowait(None)

    def process_exited(self) -> None:
        self.exited.set()
        # A program that the scorer started may still hold the pipe open.
        self.answers.put_nowait(None)
