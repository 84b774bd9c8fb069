"""What a supervisor looks at while a command runs: limits of the whole tree, which the kernel has for one process."""

from __future__ import annotations

import os
import stat
import time

from pytest_upskill.kernels.sandbox import tree
from pytest_upskill.kernels.sandbox.plan import Plan

# An empty file or folder takes an inode and a place in its folder.
_ENTRY = 4096
_DEEPEST = 64
_TICKS = os.sysconf("SC_CLK_TCK")
_SYS_PTRACE = 19


class Watch:
    """The limits of a tree of processes. `over` looks once and returns the limit that is passed, or nothing."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._foreign: set[int] = set()
        self._next_disk = 0.0
        # bwrap, and the first process of its namespace: the kernel counts that one only without an own user.
        self._uncounted = 1 + plan.own_uid if plan.bubblewrap else 0
        # Where root may not look into the processes of another user, all of them hide.
        self._blind = plan.own_uid and not _may_trace()

    def over(self) -> str:
        found = tree.descendants(os.getpid(), self._foreign)
        if sum(process.threads for process in found) - self._uncounted >= self._plan.processes:
            return "processes"
        if sum(process.resident for process in found) > self._plan.memory:
            return "memory"
        times = os.times()
        reaped = times.children_user + times.children_system
        if sum(process.ticks for process in found) / _TICKS + reaped > self._plan.cpu:
            return "cpu"
        return self._disk(found)

    def _disk(self, found: list[tree.Process]) -> str:
        start = time.monotonic()
        if start < self._next_disk:
            return ""
        over = self.disk_is_over(found)
        # A folder of many files is slow to read: a quarter of the time at most.
        self._next_disk = start + 4 * (time.monotonic() - start)
        return "disk" if over else ""

    def disk_is_over(self, found: list[tree.Process]) -> bool:
        """Return whether the working folder, with files that only a process still holds, is past the limit."""
        try:
            left = _subtract_folder(self._plan.disk, self._plan.workdir, None, 0)
            return _subtract_held(left, found, self._may_hide(found)) < 0
        except OSError:
            # A folder that cannot be read hides what lies in it, and a process what it holds.
            return True

    def _may_hide(self, found: list[tree.Process]) -> set[int]:
        """Return the processes that need not show what they hold: bwrap, and the first one of its namespace."""
        if self._blind:
            return {process.pid for process in found}
        if not self._plan.bubblewrap:
            return set()
        outer = {process.pid for process in found if process.parent == os.getpid()}
        return outer | {process.pid for process in found if process.parent in outer}


def _subtract_folder(left: int, name: str, above: int | None, depth: int) -> int:
    try:
        folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    except (FileNotFoundError, NotADirectoryError):
        return left
    try:
        # By descriptors: a path would grow too long, and could lead out of the folder by then.
        for entry in os.scandir(folder):
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            left -= status.st_blocks * 512 + _ENTRY
            if stat.S_ISDIR(status.st_mode):
                left = _subtract_folder(left, entry.name, folder, depth + 1) if depth < _DEEPEST else -1
            if left < 0:
                break
        return left
    finally:
        os.close(folder)


def _subtract_held(left: int, found: list[tree.Process], hiding: set[int]) -> int:
    """Count files that were deleted while open: they take their space until they are closed.

    Raises:
        OSError: a process hides them that is not among those that may.
    """
    seen: set[tuple[int, int]] = set()
    for process in found:
        # Each thread may have descriptors of its own.
        alone = process.threads == 1
        for folder in (f"/proc/{process.pid}",) if alone else tree.thread_folders(process.pid):
            try:
                left -= _held(f"{folder}/fd", seen)
            except PermissionError:
                # It has executed a file that it may not read. One that is about to end is closed as well.
                now = tree.read(folder)
                if now and now.mapped and process.pid not in hiding:
                    raise
            except OSError:
                continue
    return left


def _held(folder: str, seen: set[tuple[int, int]]) -> int:
    size = 0
    for entry in os.scandir(folder):
        try:
            status = os.stat(entry.path)  # noqa: PTH116
        except FileNotFoundError:
            continue
        file = status.st_dev, status.st_ino
        if stat.S_ISREG(status.st_mode) and not status.st_nlink and file not in seen:
            seen.add(file)
            size += status.st_blocks * 512
    return size


def _may_trace() -> bool:
    with open("/proc/self/status", "rb") as file:  # noqa: PTH123
        (effective,) = (int(line.split()[1], 16) for line in file if line.startswith(b"CapEff:"))
    return bool(effective >> _SYS_PTRACE & 1)
