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


class Watch:
    """The limits of a tree of processes. `over` looks once and returns the limit that is passed, or nothing."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._foreign: set[int] = set()
        self._next_disk = 0.0
        # bwrap, and the first process of its namespace: the kernel counts that one only without an own user.
        self._uncounted = 1 + plan.own_uid if plan.bubblewrap else 0

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
        return self._disk([process.pid for process in found])

    def _disk(self, pids: list[int]) -> str:
        start = time.monotonic()
        if start < self._next_disk:
            return ""
        over = self.disk_is_over(pids)
        # A folder of many files is slow to read: a quarter of the time at most.
        self._next_disk = start + 4 * (time.monotonic() - start)
        return "disk" if over else ""

    def disk_is_over(self, pids: list[int]) -> bool:
        """Return whether the working folder, with files that only a process still holds, is past the limit."""
        try:
            left = _subtract_folder(self._plan.disk, self._plan.workdir, None, 0)
            return _subtract_held(left, pids) < 0
        except OSError:
            # A folder that cannot be read hides what lies in it.
            return True


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


def _subtract_held(left: int, pids: list[int]) -> int:
    """Count files that were deleted while open: they take their space until they are closed."""
    seen = set()
    for pid in pids:
        try:
            for entry in os.scandir(f"/proc/{pid}/fd"):
                status = os.stat(entry.path)  # noqa: PTH116
                file = status.st_dev, status.st_ino
                if stat.S_ISREG(status.st_mode) and not status.st_nlink and file not in seen:
                    seen.add(file)
                    left -= status.st_blocks * 512
        except OSError:
            continue
    return left
