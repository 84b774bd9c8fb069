"""bubblewrap: a command in namespaces of its own, where the rest of the machine is not there at all."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass

from pytest_upskill.kernels.sandbox import seccomp, users, view
from pytest_upskill.kernels.sandbox.levels import Order, bare, limit_own_processes
from pytest_upskill.kernels.sandbox.limits import Level
from pytest_upskill.kernels.sandbox.plan import OWN_UID, Plan

_NAMES = {users.DAC_OVERRIDE: "dac_override", users.DAC_READ_SEARCH: "dac_read_search"}


@dataclass(frozen=True, slots=True)
class Bubblewrap:
    """bwrap, and the program of util-linux with which a command gets its own user or its own count of processes."""

    program: str
    helper: str
    own_uid: bool
    level: Level = "bubblewrap"

    def plan(self, order: Order) -> Plan:
        plan = bare(order)
        plan.bubblewrap = True
        plan.own_uid = self.own_uid
        plan.count_others = False
        if self.own_uid:
            limit_own_processes(plan)
        plan.filter = seccomp.program(platform.machine(), landlock=False, devices=order.devices)
        plan.command = [
            self.program,
            *self._options(order),
            "--",
            *self._inner(order, plan.groups),
            *order.command,
        ]
        return plan

    def _options(self, order: Order) -> Iterator[str]:
        yield from (
            "--unshare-ipc",
            "--unshare-pid",
            "--unshare-net",
            "--unshare-uts",
            "--unshare-cgroup-try",
        )
        yield from ("--die-with-parent", "--new-session", "--clearenv")
        if self.own_uid:
            # Without a user namespace: in one, root could become nobody else.
            yield from ("--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID")
            # bwrap itself has to enter the working folder, which is the own user's. What comes after has lost it.
            yield from ("--cap-add", f"CAP_{_NAMES[users.reach()]}".upper()) if users.reach() >= 0 else ()
        else:
            yield "--unshare-user"
        for name, value in order.environment.items():
            yield from ("--setenv", name, value)
        yield from _system(str(order.limits.disk_bytes))
        if order.devices:
            yield from _devices()
        yield from ("--remount-ro", "/dev")
        for folder in order.readable:
            yield from _bound("--ro-bind", folder)
        yield from _bound("--bind", str(order.workdir))
        yield from ("--chdir", str(order.workdir), "--remount-ro", "/")

    def _inner(self, order: Order, groups: list[int]) -> list[str]:
        if not self.own_uid:
            # Set inside, for there the kernel counts the namespace's processes and not all of the user's.
            return [self.helper, f"--nproc={order.limits.processes}"]
        reach = _reach(order)
        keep = (
            [f"--inh-caps=-all,+{reach}", f"--ambient-caps=-all,+{reach}"] if reach else ["--inh-caps=-all"]
        )
        inside = [f"--groups={','.join(map(str, groups))}"] if groups else ["--clear-groups"]
        return [self.helper, "--reuid", OWN_UID, "--regid", OWN_UID, *inside, *keep]


def _reach(order: Order) -> str:
    return _NAMES.get(users.reach_of(order.readable), "")


def _system(size: str) -> Iterator[str]:
    for folder in view.SYSTEM:
        if os.path.exists(folder):  # noqa: PTH110 - names of the system, as bwrap takes them
            yield from _bound("--ro-bind", folder)
    for folder in view.ROOTS:
        if os.path.islink(folder):  # noqa: PTH114
            yield from ("--symlink", os.readlink(folder), folder)  # noqa: PTH115
        else:
            yield from ("--ro-bind-try", folder, folder)
    yield from ("--proc", "/proc", "--dev", "/dev")
    # bwrap's own have no limit but half the machine's memory.
    yield from ("--perms", "1777", "--size", size, "--tmpfs", "/dev/shm")  # noqa: S108
    yield from ("--perms", "1777", "--size", size, "--tmpfs", "/tmp")  # noqa: S108


def _bound(how: str, path: str) -> Iterator[str]:
    # The folders above it, which bwrap would close to all but root.
    parts = path.split("/")[1:-1]
    for count in range(1, len(parts) + 1):
        yield from ("--perms", "0755", "--dir", "/" + "/".join(parts[:count]))
    yield from (how, path, path)


def _devices() -> Iterator[str]:
    for node in view.device_nodes():
        yield from ("--dev-bind", node, node)
    for path in view.DRIVER:
        if path.startswith("/sys/"):
            # The namespace's own /proc has the driver's files already.
            yield from _bound("--ro-bind-try", path)
