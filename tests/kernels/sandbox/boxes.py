"""A sandbox of each level for each user, as tests use them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.kernels.sandbox import driver

NOBODY = 65534
KEY = "UPSKILL_SANDBOX_TEST_KEY"


@dataclass(frozen=True)
class Ended:
    """What a command came to in a box."""

    code: int | None
    signal: int | None
    ended: str
    words: str
    stdout: str
    stderr: str


class User:
    """Somebody who starts sandboxes: this process, or one of another user."""

    def __init__(self, name: str, process: subprocess.Popen[str] | None = None) -> None:
        self.name = name
        self.process = process
        self.pid = process.pid if process else os.getpid()

    def run(
        self,
        level: str,
        command: list[str],
        readable: tuple[Path, ...] = (),
        files: dict[str, str] | None = None,
        *,
        devices: bool,
        **limits: float,
    ) -> Ended:
        request: dict[str, Any] = {
            "level": level,
            "command": command,
            "readable": [str(path) for path in readable],
            "files": files or {},
            "limits": {"wall_seconds": 10.0} | limits,
            "environment": {},
            "devices": devices,
        }
        answer = self._ask(request) if self.process else driver.serve(request)
        if "missing" in answer:
            pytest.skip(answer["missing"])
        return Ended(**answer)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self.process is not None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


@contextmanager
def somebody(who: str) -> Iterator[User]:
    """Yield the user of these tests (`self`), or as root a user without any rights (`nobody`)."""
    if who == "self":
        yield User("root" if os.geteuid() == 0 else "user")
        return
    if os.geteuid():
        pytest.skip("only root can become another user")
    with subprocess.Popen(
        [python_for_all(), "-I", str(Path(driver.__file__).resolve())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        # The key stands in its environment, as a provider's stands in pytest's.
        env={KEY: "secret", "PATH": "/usr/bin:/bin"},
    ) as process:
        try:
            yield User("nobody", process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


@cache
def python_for_all() -> str:
    """Return a Python that a user without rights can execute, with this package in its reach; else skip."""
    code = f"import sys, os; sys.exit(sys.version_info < (3, 11) or not os.access({str(driver.ROOT)!r}, os.R_OK))"
    for name in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        if not shutil.which(name):
            continue
        with suppress(OSError):
            tried = subprocess.run(
                [name, "-I", "-c", code], user=NOBODY, extra_groups=[], check=False, timeout=20
            )
            if tried.returncode == 0:
                return name
    pytest.skip("no Python from 3.11 on that a user without rights can execute, or no package in its reach")
