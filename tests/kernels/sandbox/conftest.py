"""What all tests of the sandbox use: the attacker's program, and each level for each user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kernels.sandbox.boxes import Ended, User, somebody

LEVELS = ("bubblewrap", "landlock")
EACH = tuple((level, who) for level in LEVELS for who in ("self", "nobody"))
# An older kernel, and root who cannot become another user.
MORE = (("landlock 3", "self"), ("landlock 3", "nobody"), ("landlock same user", "self"))


@dataclass(frozen=True)
class Box:
    """A level of the sandbox, started by a user, and the attacker's program in it."""

    level: str
    user: User
    program: Path

    def attack(self, *words: str, devices: bool = False, **limits: float) -> Ended:
        command = [str(self.program), *words]
        return self.user.run(self.level, command, (self.program.parent,), None, devices=devices, **limits)

    def run(self, *command: str, files: dict[str, str] | None = None, **limits: float) -> Ended:
        return self.user.run(self.level, list(command), (), files, devices=False, **limits)

    @property
    def without(self) -> Box:
        """The same without walls."""
        return Box("none", self.user, self.program)


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Path]:
    """A folder that every user reaches, as pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="upskill-open-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def own_name(word: str) -> str:
    """Return a name for processes that no other test run has, in the 15 letters that a name may have."""
    return f"{word[:8]}-{os.getpid() % 10**6}"


@pytest.fixture(scope="session")
def program(open_folder: Path) -> Path:
    if sys.platform != "linux":
        pytest.skip("the sandbox needs Linux")
    if not shutil.which("gcc"):
        pytest.skip("the attacker's program needs gcc")
    folder = open_folder / "program"
    folder.mkdir()
    source = Path(__file__).with_name("attacks.c")
    # A name of its own: others may run these tests at the same time, and processes are counted by name.
    built = folder / own_name("attacks")
    subprocess.run(["gcc", "-O1", "-pthread", "-o", str(built), str(source)], check=True, timeout=60)
    return built


@pytest.fixture(scope="session")
def self_user() -> Iterator[User]:
    with somebody("self") as found:
        yield found


@pytest.fixture(scope="session")
def nobody_user() -> Iterator[User]:
    with somebody("nobody") as found:
        yield found


def boxed(request: pytest.FixtureRequest, program: Path) -> Box:
    level, who = request.param
    return Box(level, request.getfixturevalue(f"{who}_user"), program)


@pytest.fixture(scope="session", params=EACH, ids="-".join)
def box(request: pytest.FixtureRequest, program: Path) -> Box:
    return boxed(request, program)


@pytest.fixture(scope="session", params=[*EACH, *MORE], ids="-".join)
def any_box(request: pytest.FixtureRequest, program: Path) -> Box:
    return boxed(request, program)


@pytest.fixture(scope="session")
def bare_box(self_user: User, program: Path) -> Box:
    """No walls, only limits."""
    return Box("none", self_user, program)
