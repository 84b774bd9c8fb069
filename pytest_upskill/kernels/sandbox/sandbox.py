"""A sandbox: commands of one level, and the end of all that still run."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels.sandbox import view
from pytest_upskill.kernels.sandbox.levels import Kind, Order
from pytest_upskill.kernels.sandbox.limits import Level, Limits, Ran
from pytest_upskill.kernels.sandbox.process import Started, communicate


class Sandbox:
    """Runs commands on one level. Several threads may use it at the same time."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._lock = threading.Lock()
        self._running: set[Started] = set()
        self._closed = False

    @property
    def level(self) -> Level:
        return self._kind.level

    def run(
        self,
        command: Sequence[str],
        *,
        workdir: Path,
        readable: Iterable[Path],
        limits: Limits,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
        devices: bool = False,
    ) -> Ran:
        """Run a command to its end, and to that of all that it started.

        Args:
            command: the program, found on the command's own `PATH` where it is no path, and its arguments.
            workdir: the folder where it starts and which it may fill. What lies in it may change its owner.
            readable: folders and files that it may read beside the system's programs and libraries.
            limits: what it may use.
            stdin: what it reads.
            environment: all of it beside `PATH`, `LANG` and `TMPDIR`, which is the working folder.
            devices: it sees the nodes of NVIDIA's driver.

        Raises:
            ScorerError: it could not be started, or the sandbox is closed.
        """
        order = self._order(command, workdir, readable, limits, environment, devices, ())
        started = self._start(order, subprocess.PIPE, subprocess.PIPE, subprocess.PIPE)
        try:
            return communicate(started, stdin)
        finally:
            self._end(started)

    def start(
        self,
        command: Sequence[str],
        *,
        workdir: Path,
        readable: Iterable[Path],
        limits: Limits,
        pass_fds: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
        devices: bool = False,
    ) -> Started:
        """Start a command that goes on beside us, and has the descriptors of `pass_fds` under the same numbers.

        Its stdout goes nowhere; the end of its stderr is in what `Started.wait` returns. Close your own copies of the
        descriptors, or you never see that it is gone. The rest is as in `run`.
        """
        order = self._order(command, workdir, readable, limits, environment, devices, tuple(pass_fds))
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `Started` when its end is read
        return self._start(order, subprocess.DEVNULL, subprocess.DEVNULL, errors)

    def close(self) -> None:
        """End all that still runs; nothing can be started any more."""
        with self._lock:
            self._closed = True
            running = set(self._running)
        for started in running:
            self._end(started)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _order(
        self,
        command: Sequence[str],
        workdir: Path,
        readable: Iterable[Path],
        limits: Limits,
        given: Mapping[str, str] | None,
        devices: bool,
        keep: tuple[int, ...],
    ) -> Order:
        work = workdir.resolve(strict=True)
        environment = view.environment(work, given)
        whole = view.found(command, environment["PATH"], work)
        folders = view.readable_folders(command[0], readable)
        return Order(whole, work, folders, limits, environment, devices, keep)

    def _start(self, order: Order, stdin: int, stdout: int, stderr: int | IO[bytes]) -> Started:
        plan, name = self._kind.plan(order), Path(order.command[0]).name
        with self._lock:
            if self._closed:
                raise ScorerError(f"the run is over: {name} is not started in the sandbox any more")
            started = Started(plan, name, stdin, stdout, stderr)
            self._running = {other for other in self._running if not other.ended} | {started}
        return started

    def _end(self, started: Started) -> None:
        started.kill()
        with self._lock:
            self._running.discard(started)
