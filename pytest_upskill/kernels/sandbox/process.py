"""The supervisor as its parent sees it: it is started, asked to end what it runs, and says what became of it."""

from __future__ import annotations

import contextlib
import marshal
import os
import select
import selectors
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels.sandbox.limits import MIB, Ran
from pytest_upskill.kernels.sandbox.plan import Plan

_MOST_OUTPUT = MIB
_POLL = 0.2  # seconds
# The packages stay empty: what their own __init__ imports would make each start several times as long.
_BOOT = """
import sys
name, path = '', sys.argv[1]
for part in ('pytest_upskill', 'kernels', 'sandbox'):
    name, path = name + part, path + '/' + part
    sys.modules[name] = package = type(sys)(name)
    package.__path__ = [path]
    name += '.'
from pytest_upskill.kernels.sandbox.supervisor import main
main(int(sys.argv[2]))
"""
_ROOT = str(Path(__file__).resolve().parents[3])


class Started:
    """A command that runs in the sandbox under its supervisor, whose process id is `pid`."""

    def __init__(self, plan: Plan, what: str, stdin: int, stdout: int, stderr: int | IO[bytes]) -> None:
        self._control, theirs = socket.socketpair()
        with theirs:
            # A new session: the terminal's Ctrl-C is for pytest, which then asks for the end.
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _BOOT, _ROOT, str(theirs.fileno())],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                pass_fds=(theirs.fileno(), *plan.keep),
                env={name: value for name, value in os.environ.items() if name == "LD_LIBRARY_PATH"},
                cwd="/",
                start_new_session=True,
            )
        self.pid = self._process.pid
        self._lock = threading.Lock()
        self._what = what
        self._errors = None if isinstance(stderr, int) else stderr
        self._ran: Ran | None = None
        self._failure = ""
        with contextlib.suppress(OSError):
            # Where it is gone already there will be no answer, and that is said then.
            self._control.sendall(plan.packed())

    @property
    def pipes(self) -> tuple[IO[bytes] | None, IO[bytes] | None, IO[bytes] | None]:
        return self._process.stdin, self._process.stdout, self._process.stderr

    @property
    def ended(self) -> bool:
        """Whether it is known to have ended."""
        return self._ran is not None or bool(self._failure)

    @property
    def control(self) -> socket.socket:
        return self._control

    def wait(self, timeout: float | None = None) -> Ran:
        """Return what became of the command once the last of its processes is gone.

        Raises:
            TimeoutError: it still runs after `timeout` seconds.
            ScorerError: it could not be started.
        """
        end = None if timeout is None else time.monotonic() + timeout
        if not self._lock.acquire(timeout=-1 if timeout is None else timeout):
            raise TimeoutError(f"{self._what} still runs in the sandbox")
        try:
            if not self._ran and not self._failure:
                self._await(end)
            if self._ran:
                return self._ran
            raise ScorerError(f"{self._what} could not be run in the sandbox: {self._failure}")
        finally:
            self._lock.release()

    def kill(self) -> None:
        """End the command and all that it started; return when they are gone."""
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ScorerError):
            self.wait()

    def _await(self, end: float | None) -> None:
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        while not poll.poll(None if end is None else max(0.0, end - time.monotonic()) * 1000):
            if end is not None and time.monotonic() >= end:
                raise TimeoutError(f"{self._what} still runs in the sandbox")
        answer = self._control.recv(65536)
        self._control.close()
        self._process.wait()
        errors = self._tail()
        try:
            kind, *rest = marshal.loads(answer)  # noqa: S302 - from the supervisor, which is ours
        except (EOFError, ValueError, TypeError):
            kind, rest = "failed", [f"its supervisor ended with {self._process.returncode}"]
        if kind == "failed":
            self._failure = f"{rest[0]} {errors.decode(errors='replace').strip()[-300:]}".strip()
        elif rest[4]:
            self._failure = f"{rest[4]} of its processes cannot be killed; the device or a disk may hang"
        else:
            code, signal, ended, seconds, _ = rest
            self._ran = Ran(code, signal, b"", errors, ended, seconds)

    def _tail(self) -> bytes:
        if self._errors is None:
            return b""
        with self._errors as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 65536))
            return file.read()


def communicate(started: Started, stdin: bytes) -> Ran:
    """Feed a command, read what it says while it runs, and return what became of it.

    What it says beyond a MiB is read and dropped, lest it waits for ever. The end is the supervisor's word, not the
    end of the output: that may be held open by a process which outlives the command for a moment.
    """
    feed, out, errors = started.pipes
    texts = {"out": bytearray(), "errors": bytearray()}
    with selectors.DefaultSelector() as selector:
        selector.register(started.control, selectors.EVENT_READ, "control")
        for name, pipe in (("out", out), ("errors", errors)):
            if pipe:
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe, selectors.EVENT_READ, name)
        if feed:
            os.set_blocking(feed.fileno(), False)
            selector.register(feed, selectors.EVENT_WRITE, "feed")
        try:
            _exchange(selector, memoryview(stdin), texts, started)
        finally:
            for end in (feed, out, errors):
                if end:
                    end.close()
    try:
        ran = started.wait()
    except ScorerError as error:
        said = bytes(texts["errors"]).decode(errors="replace").strip()[-300:]
        raise ScorerError(f"{error}: {said}" if said else str(error)) from None
    return Ran(ran.code, ran.signal, bytes(texts["out"]), bytes(texts["errors"]), ran.ended, ran.seconds)


def _exchange(
    selector: selectors.BaseSelector, stdin: memoryview, texts: dict[str, bytearray], started: Started
) -> None:
    over = False
    while True:
        ready = selector.select(0 if over else _POLL)
        if over and not ready:
            return
        # Who kills it from another thread takes the supervisor's answer, and this one would wait for it for ever.
        over = over or (not ready and started.ended)
        for key, _ in ready:
            file: Any = key.fileobj
            if key.data == "control":
                # All processes are gone: what lies in the pipes now is all there will be.
                over = True
                selector.unregister(file)
            elif key.data == "feed":
                stdin = _fed(selector, file, stdin)
            elif not _read(file, texts[key.data]):
                selector.unregister(file)
                file.close()


def _read(pipe: IO[bytes], text: bytearray) -> bool:
    try:
        part = os.read(pipe.fileno(), 65536)
    except BlockingIOError:
        return True
    text += part[: _MOST_OUTPUT - len(text)]
    return bool(part)


def _fed(selector: selectors.BaseSelector, pipe: IO[bytes], rest: memoryview) -> memoryview:
    try:
        rest = rest[os.write(pipe.fileno(), rest) :] if rest else rest
    except BlockingIOError:
        return rest
    except OSError:
        rest = rest[:0]
    if not rest:
        selector.unregister(pipe)
        pipe.close()
    return rest
