"""What a supervisor is told and what it tells: builtins alone, and nothing imported that costs time."""

from __future__ import annotations

import marshal
import os

# Linux gives these numbers to nobody (systemd's table of users and groups). A process id is unique on a machine, so
# the sum with the supervisor's is unique too as long as that lives, and no other processes count towards its limits.
FIRST_OWN_UID = 2_000_000_000
# Stands in a command for the number of the own user, which only the supervisor knows.
OWN_UID = "OWN-UID"
_HEAD = 8


class Plan:
    """One command and its bounds, as the supervisor gets them.

    Attributes:
        command: what is executed, with its arguments.
        environment: all of its environment.
        workdir: where it starts, and the only folder that it may fill.
        rlimits: (resource, limit) for `setrlimit`.
        processes: the most of processes and threads. `count_others`: the kernel counts others' towards it.
        cpu, wall: in seconds. `memory`, `disk`: in bytes.
        own_uid: it runs as a user of its own.
        reach: a capability that the own user needs to reach its folders, or -1.
        groups: those that the own user is in.
        bubblewrap: the command is one of bwrap.
        ruleset: what Landlock handles; empty without Landlock. `rules`: (path, rights) of what it lets through.
        filter: the seccomp program; empty without one.
        keep: the descriptors that the command gets, beside the first three.
    """

    __slots__ = _FIELDS = (
        "command", "environment", "workdir", "rlimits", "processes", "count_others", "cpu", "wall", "memory",
        "disk", "own_uid", "reach", "groups", "bubblewrap", "ruleset", "rules", "filter", "keep",
    )  # fmt: skip

    def __init__(
        self,
        command: list[str],
        environment: dict[str, str],
        workdir: str,
        rlimits: list[tuple[int, int]],
        processes: int,
        count_others: bool,
        cpu: float,
        wall: float,
        memory: int,
        disk: int,
        own_uid: bool,
        reach: int,
        groups: list[int],
        bubblewrap: bool,
        ruleset: bytes,
        rules: list[tuple[str, int]],
        filter: bytes,  # noqa: A002 - what the kernel calls it
        keep: list[int],
    ) -> None:
        self.command = command
        self.environment = environment
        self.workdir = workdir
        self.rlimits = rlimits
        self.processes = processes
        self.count_others = count_others
        self.cpu = cpu
        self.wall = wall
        self.memory = memory
        self.disk = disk
        self.own_uid = own_uid
        self.reach = reach
        self.groups = groups
        self.bubblewrap = bubblewrap
        self.ruleset = ruleset
        self.rules = rules
        self.filter = filter
        self.keep = keep

    def packed(self) -> bytes:
        """Return the plan as bytes that `receive` reads. Both sides are one Python."""
        text = marshal.dumps([getattr(self, name) for name in self._FIELDS])
        return len(text).to_bytes(_HEAD, "little") + text


def receive(source: int) -> Plan:
    """Read a plan from a descriptor. Raises `EOFError` when the other side is gone."""
    size = int.from_bytes(_exactly(source, _HEAD), "little")
    return Plan(*marshal.loads(_exactly(source, size)))  # noqa: S302 - the other side started this process


def _exactly(source: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = os.read(source, size - len(data))
        if not part:
            raise EOFError
        data += part
    return data
