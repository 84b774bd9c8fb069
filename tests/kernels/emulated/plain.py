"""A sandbox that is none: it starts what it is told to, with nothing but the environment that it is given."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

from pytest_upskill.kernels.sandbox import Ran


class PlainStarted:
    """A process that was started."""

    def __init__(self, process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
        self._process = process
        self._errors = errors
        self._said = b""
        self.pid = process.pid

    def wait(self, timeout: float | None = None) -> Ran:
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError("it still runs") from None
        if not self._errors.closed:
            with self._errors as file:
                file.seek(0)
                self._said = file.read()
        if code < 0:
            return Ran(None, -code, b"", self._said, "signal", 0.0)
        return Ran(code, None, b"", self._said, "exited", 0.0)

    def kill(self) -> None:
        self._process.kill()


class PlainSandbox:
    """What the real ones offer, as far as the launcher asks for it. Everything is readable."""

    level = "none"

    def __init__(self) -> None:
        self.started: list[PlainStarted] = []

    def start(
        self,
        command: Sequence[str],
        *,
        workdir: Path,
        readable: Iterable[Path],
        limits: object,
        pass_fds: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
        devices: bool = False,
    ) -> PlainStarted:
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed when its end is read
        process = subprocess.Popen(
            list(command),
            cwd=workdir,
            env={"PATH": os.defpath, **(environment or {})},
            pass_fds=tuple(pass_fds),
            stdin=subprocess.DEVNULL,
            stderr=errors,
        )
        self.started.append(PlainStarted(process, errors))
        return self.started[-1]

    def close(self) -> None:
        for started in self.started:
            started.kill()
            started.wait(10)
