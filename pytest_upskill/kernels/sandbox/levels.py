"""How each level turns a command into a plan for the supervisor."""

from __future__ import annotations

import math
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pytest_upskill.kernels.sandbox import landlock, seccomp, users, view
from pytest_upskill.kernels.sandbox.limits import Level, Limits
from pytest_upskill.kernels.sandbox.plan import Plan


@dataclass(frozen=True, slots=True)
class Order:
    """A command with all that a level needs to know of it."""

    command: list[str]
    workdir: Path
    readable: list[str]
    limits: Limits
    environment: dict[str, str]
    devices: bool = False
    keep: tuple[int, ...] = ()


class Kind(Protocol):
    """A level that works on this machine."""

    @property
    def level(self) -> Level: ...

    def plan(self, order: Order) -> Plan: ...


@dataclass(frozen=True, slots=True)
class Landlock:
    """Landlock for files, TCP, signals and abstract sockets; seccomp for all else; an own user where root."""

    abi: int
    own_uid: bool
    level: Level = "landlock"

    def plan(self, order: Order) -> Plan:
        plan = bare(order)
        plan.own_uid = self.own_uid
        plan.reach = users.reach_of([*order.readable, str(order.workdir.parent)]) if self.own_uid else -1
        if self.own_uid:
            limit_own_processes(plan)
        plan.ruleset = landlock.ruleset(self.abi)
        plan.rules = landlock.rules(self.abi, self._grants(order))
        # Without scopes an own user still keeps signals away from the rest; the same user would reach them all.
        signals = self.abi >= landlock.SCOPED or self.own_uid
        plan.filter = seccomp.program(
            platform.machine(), landlock=True, signals=signals, devices=order.devices
        )
        return plan

    @staticmethod
    def _grants(order: Order) -> list[tuple[str, int]]:
        read = (*view.SYSTEM, *view.ROOTS, *order.readable)
        grants = [(path, landlock.READ) for path in read]
        grants += [(path, landlock.USE) for path in view.NODES]
        if order.devices:
            grants += [(path, landlock.READ) for path in view.DRIVER]
            used = (view.OWN_THREADS, *view.device_nodes())
            grants += [(path, landlock.USE | landlock.READ) for path in used]
        return [*grants, (str(order.workdir), landlock.WRITE)]


@dataclass(frozen=True, slots=True)
class Bare:
    """No sandbox: limits, a clean environment, and the end of the whole tree are all there is."""

    level: Level = "none"

    def plan(self, order: Order) -> Plan:
        return bare(order)


def bare(order: Order) -> Plan:
    """Return the plan of a command without any walls."""
    limits = order.limits
    return Plan(
        command=order.command,
        environment=order.environment,
        workdir=str(order.workdir),
        rlimits=rlimits(limits, devices=order.devices),
        processes=limits.processes,
        count_others=True,
        cpu=limits.cpu_seconds,
        wall=limits.wall_seconds,
        memory=limits.memory_bytes,
        disk=limits.disk_bytes,
        own_uid=False,
        reach=-1,
        groups=view.device_groups() if order.devices else [],
        bubblewrap=False,
        ruleset=b"",
        rules=[],
        filter=b"",
        keep=list(order.keep),
    )


def limit_own_processes(plan: Plan) -> None:
    """Have the kernel count the processes of this command alone, as it does for an own user."""
    import resource

    plan.count_others = False
    plan.rlimits.append((resource.RLIMIT_NPROC, plan.processes))


def rlimits(limits: Limits, *, devices: bool) -> list[tuple[int, int]]:
    """Return the limits that the kernel holds for each process."""
    import resource

    # A driver reserves more address space than there is memory: twice the device's (NVIDIA/cuda-python#2458), and in
    # which way is its own business. What is resident is watched in any case.
    space = [] if devices else [(resource.RLIMIT_AS, limits.memory_bytes)]
    return [
        *space,
        (resource.RLIMIT_CPU, math.ceil(limits.cpu_seconds)),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_CORE, 0),
    ]
