"""A trusted process of ours that answers one question at a time, from its parent's side."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels import frames
from pytest_upskill.scorers.children import exit_words, own_path, public_environment
from pytest_upskill.scorers.evidence import fold

_START_LIMIT = 120.0
_END_LIMIT = 5.0
_TAIL = 4000
_LONGEST_ANSWER = 2**40
_BOOT = (
    "import json, sys; start = json.loads(sys.argv.pop()); sys.path[:] = start['path']; "
    "from importlib import import_module; import_module(start['module']).main(start['fd'])"
)


class Child:
    """A child process that starts at once and is ready after its greeting. For any threads, one question at a time.

    It imports from where this process does, and sees of the environment only what cannot be a secret.

    Args:
        name: what it is called in messages, as in `the judge`.
        module: the one whose `main(descriptor)` it calls: that sends a greeting and then answers by `frames`.
        environment: variables that it gets beside the public ones.
        hidden: variables that it may not see, beside those that may be a secret by their name or value.
    """

    def __init__(
        self, name: str, module: str, environment: Mapping[str, str], hidden: Collection[str] = ()
    ) -> None:
        self._name = name
        public = public_environment({key: os.environ[key] for key in os.environ if key not in hidden})
        self._link, theirs = socket.socketpair()
        boot = json.dumps({"path": own_path(), "module": module, "fd": theirs.fileno()})
        try:
            self._child = subprocess.Popen(
                # -W: what PYTHONWARNINGS says is meant for the user's own run.
                (sys.executable, "-P", "-B", "-W", "ignore", "-c", _BOOT, boot),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs.fileno(),),
                env={**public, **environment},
                start_new_session=True,
            )
        except BaseException:
            self._link.close()
            raise
        finally:
            theirs.close()
        self._lock = threading.Lock()
        self._late = threading.Event()
        self._stopped = False
        self._tail = b""
        self._reader = threading.Thread(target=self._read_tail, name="upskill-words", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def alive(self) -> bool:
        return not self._stopped and self._child.poll() is None

    def greeting(self, advice: str) -> dict[str, Any]:
        """Wait until the process is ready and return what it says then. Raises `ScorerError` when it cannot start."""
        return self._exchange(None, (), _START_LIMIT, "it started", advice)[0]

    def ask(
        self, head: dict[str, Any], blocks: Sequence[bytes | memoryview], limit: float, what: str, advice: str
    ) -> tuple[dict[str, Any], list[bytes]]:
        """Return the answer to a question.

        Args:
            head: the question; the process is told the limit, too.
            blocks: what goes with it.
            limit: seconds.
            what: what it does meanwhile, in words.
            advice: what to do where that takes longer.

        Raises:
            ScorerError: the answer says so, the process ended, or it took longer.
        """
        return self._exchange({**head, "limit": limit}, blocks, limit, what, advice)

    def stop(self) -> None:
        """Kill the process with all that it started and wait for its end. May be called again, by any thread."""
        self._stopped = True
        self._hang_up()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(_END_LIMIT)
        self._reader.join(_END_LIMIT)
        with self._lock:
            self._link.close()

    def _exchange(
        self,
        head: dict[str, Any] | None,
        blocks: Sequence[bytes | memoryview],
        limit: float,
        what: str,
        advice: str,
    ) -> tuple[dict[str, Any], list[bytes]]:
        with self._lock:
            watch = threading.Timer(limit, self._give_up)
            watch.daemon = True
            watch.start()
            try:
                if head is not None:
                    frames.send(self._link, head, blocks)
                answer, back = frames.receive(self._link, _LONGEST_ANSWER)
            except frames.Broken:
                raise ScorerError(self._why(limit, what, advice)) from None
            finally:
                watch.cancel()
        if "error" in answer:
            raise ScorerError(answer["error"])
        return answer, back

    def _give_up(self) -> None:
        self._late.set()
        self._hang_up()

    def _hang_up(self) -> None:
        # The socket too: a process that the reference started may still hold its other end.
        with contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            # Once it was waited for, its number may be another's.
            if self._child.poll() is None:
                os.killpg(self._child.pid, signal.SIGKILL)

    def _why(self, limit: float, what: str, advice: str) -> str:
        if self._late.is_set():
            return f"{self._name} took longer than {limit:g} s while {what}; {advice}"
        if self._stopped:
            return f"{self._name} was stopped while {what}"
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(_END_LIMIT)
        self._reader.join(_END_LIMIT)
        lines = self._tail.decode("utf-8", "replace").strip().splitlines()
        last = f"; its last words: {fold(lines[-1])}" if lines else ""
        return f"{self._name} {exit_words(self._child.returncode)} while {what}{last}"

    def _read_tail(self) -> None:
        # Nobody else closes the pipe: a program that the reference started may hold it open for ever.
        if self._child.stdout is None:
            return
        with self._child.stdout as pipe:
            while part := os.read(pipe.fileno(), 65536):
                self._tail = (self._tail + part)[-_TAIL:]
