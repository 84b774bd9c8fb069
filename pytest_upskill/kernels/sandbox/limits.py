"""What bounds a sandboxed command, what became of it, and the levels there are: frozen data."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pytest_upskill.errors import ScorerError

Level: TypeAlias = Literal["bubblewrap", "landlock", "none"]
Ended: TypeAlias = Literal["exited", "signal", "wall", "cpu", "memory", "disk", "processes", "killed"]
MIB = 2**20
GIB = 2**30


@dataclass(frozen=True, slots=True)
class Limits:
    """What a command and all that it starts may use.

    Attributes:
        cpu_seconds: of all its processes together.
        wall_seconds: from its start.
        memory_bytes: of address space for each process (not where it uses a device, whose driver reserves more than
            there is), and of resident memory for all together.
        file_bytes: of one file.
        disk_bytes: of all that lies in the working folder, and of `/tmp` and `/dev/shm` each.
        open_files: for each process.
        processes: processes and threads together.
    """

    cpu_seconds: float = 60.0
    wall_seconds: float = 120.0
    memory_bytes: int = 4 * GIB
    file_bytes: int = 256 * MIB
    disk_bytes: int = 512 * MIB
    open_files: int = 256
    processes: int = 64


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a command.

    Attributes:
        code: its exit code, None where a signal or a limit ended it.
        signal: the number of the signal that ended it, if one did.
        stdout, stderr: the first MiB of each.
        ended: `exited`, `signal`, the limit that it ran into as far as that can be known, or `killed` from here.
        seconds: from its start to the end of the last process that it left behind.
    """

    code: int | None
    signal: int | None
    stdout: bytes = field(repr=False)
    stderr: bytes = field(repr=False)
    ended: Ended
    seconds: float


@dataclass(frozen=True, slots=True)
class LevelReport:
    """Whether a level works on this machine, and why, in words for people."""

    level: Level
    works: bool
    why: str


class SandboxMissing(ScorerError):
    """No level of the sandbox works here."""

    def __init__(self, reports: Iterable[LevelReport]) -> None:
        reasons = "; ".join(report.why for report in reports)
        mend = "Install bubblewrap, or use --upskill-unsafe where the machine is yours to lose."
        if sys.platform != "linux":
            mend = "There kernels are compiled and run in a Linux machine or container."
        super().__init__(
            f"no sandbox works on this machine, and code of a model is not run without one: {reasons}. {mend}"
        )


def ending(ran: Ran) -> str:
    """Return in words for people how a command ended."""
    if ran.ended == "exited":
        return f"it ended with exit code {ran.code}"
    if ran.ended == "signal":
        return f"it was ended by {_signal_name(ran.signal)}"
    return _LIMITS[ran.ended]


_LIMITS = {
    "wall": "it was stopped at its time limit",
    "cpu": "it was stopped at its limit of processor time",
    "memory": "it was stopped at its memory limit",
    "disk": "it was stopped at its limit of disk space",
    "processes": "it was stopped at its limit of processes",
    "killed": "it was stopped from outside",
}


def _signal_name(number: int | None) -> str:
    import signal

    try:
        return signal.Signals(number or 0).name
    except ValueError:
        return f"signal {number}"
