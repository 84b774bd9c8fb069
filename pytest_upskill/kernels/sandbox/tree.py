"""The descendants of a supervisor, as /proc shows them, and how all of them are ended."""

from __future__ import annotations

import os
import time

from pytest_upskill.kernels.sandbox import kernel

_STOP, _KILL = 19, 9
_PATIENCE = 10.0


class Process:
    """A process: its threads, resident bytes, and ticks of processor time with those of children it waited for.

    `mapped` is false where it has no memory any more, for it is about to end.
    """

    __slots__ = ("mapped", "parent", "pid", "resident", "threads", "ticks")

    def __init__(self, pid: int, fields: list[bytes]) -> None:
        # proc(5), /proc/pid/stat from its third field on: the second may hold spaces and brackets.
        self.pid = pid
        self.parent = int(fields[1])
        self.ticks = sum(int(field) for field in fields[11:15])
        self.threads = int(fields[17])
        self.mapped = fields[20] != b"0"
        self.resident = int(fields[21]) * _PAGE


_PAGE = os.sysconf("SC_PAGE_SIZE")


def descendants(root: int, foreign: set[int] | None = None) -> list[Process]:
    """Return all processes below one.

    `foreign` holds processes that were seen not to be below it, so that a watch need not read them again. It grows
    here, and forgets those that are gone.
    """
    pids = {int(name) for name in os.listdir("/proc") if name.isdecimal()}  # noqa: PTH208
    if foreign is not None:
        foreign &= pids
        pids -= foreign
    found = {process.pid: process for process in map(_whole, pids) if process}
    below = {pid: _is_below(pid, root, found) for pid in found if pid != root}
    if foreign is not None:
        foreign |= {pid for pid, answer in below.items() if answer is False and pid > 1}
    return [found[pid] for pid, answer in below.items() if answer]


def _is_below(pid: int, root: int, found: dict[int, Process]) -> bool | None:
    """Return whether a process is below another, None where a parent ended while /proc was read."""
    for _ in range(len(found) + 1):
        if pid == root:
            return True
        if pid not in found:
            # Only the first process has no parent that can be seen; a parent known to be foreign is not read again.
            return False if pid <= 1 or os.path.exists(f"/proc/{pid}") else None  # noqa: PTH110
        pid = found[pid].parent
    return None


def _whole(pid: int) -> Process | None:
    process = read(f"/proc/{pid}")
    if process and process.threads > 1 and not process.mapped:
        # Its first thread has ended, and the others go on with its memory.
        threads = map(read, thread_folders(pid))
        process.resident = max((thread.resident for thread in threads if thread), default=0)
    return process


def thread_folders(pid: int) -> list[str]:
    """Return the folders of /proc of a process' threads, none where it is gone."""
    folder = f"/proc/{pid}/task"
    try:
        return [f"{folder}/{thread}" for thread in os.listdir(folder)]  # noqa: PTH208
    except OSError:
        return []


def read(folder: str) -> Process | None:
    """Return the process or thread of a folder of /proc, None where it is gone."""
    try:
        with open(f"{folder}/stat", "rb") as file:  # noqa: PTH123 - pathlib costs the supervisor 10 ms
            pid, _, fields = file.read().partition(b" ")
            process = Process(int(pid), fields.rpartition(b")")[2].split())
    except (OSError, IndexError, ValueError):
        return None
    return process


def end_all(own: int | None, statuses: dict[int, int]) -> int:
    """Kill and reap all descendants; return how many are left because they cannot be killed.

    A process that forks faster than it is found is stopped first: what is stopped forks no more and still counts
    towards its limit of processes. One signal to all of an own user's processes is exact: the kernel lets no fork
    slip through it.
    """
    end = time.monotonic() + _PATIENCE
    while not reap(statuses):
        if own is not None:
            _kill_user(own)
        if not reap(statuses):
            _kill_found(os.getpid())
        if time.monotonic() > end:
            return len(descendants(os.getpid()))
        time.sleep(0.001)
    return 0


def reap(statuses: dict[int, int]) -> bool:
    """Wait for all that have ended, note how, and return whether no child is left."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        if not pid:
            return False
        statuses[pid] = status


def _kill_user(own: int) -> None:
    pid = os.fork()
    if not pid:
        try:
            kernel.become(own, -1, [])
            os.kill(-1, _KILL)
        finally:
            os._exit(0)


def _kill_found(root: int) -> None:
    stopped: set[int] = set()
    for _ in range(50):
        found = {process.pid for process in descendants(root)} - stopped
        if not found:
            break
        _signal(found, _STOP)
        stopped |= found
    _signal(stopped, _KILL)


def _signal(pids: set[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except OSError:
            continue
