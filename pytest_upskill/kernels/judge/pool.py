"""Judging processes that are used for one job after another: each takes more than a second to start."""

from __future__ import annotations

import threading
from collections.abc import Collection
from typing import Self

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels.judge.process import JudgeProcess


class JudgePool:
    """A pool of judging processes, for any threads. Each serves one job at a time.

    Args:
        idle: how many processes are kept for the next job at most.
        hidden: environment variables that they may not see.
    """

    def __init__(self, idle: int = 2, hidden: Collection[str] = ()) -> None:
        self._most_idle = idle
        self._hidden = frozenset(hidden)
        self._lock = threading.Lock()
        self._idle: list[JudgeProcess] = []
        self._all: set[JudgeProcess] = set()
        self._closed = False

    def take(self) -> JudgeProcess:
        """Return a process that is ready for a job. Raises `ScorerError` when none can start."""
        while (process := self._next()) is not None:
            if process.alive:
                return process
            self._stop(process)
        return self._start()

    def give_back(self, process: JudgeProcess, *, clean: bool) -> None:
        """Keep a process for the next job, unless something went wrong in it: then it is ended."""
        with self._lock:
            keep = clean and not self._closed and process.alive and len(self._idle) < self._most_idle
            if keep:
                self._idle.append(process)
        if not keep:
            self._stop(process)

    def close(self) -> None:
        """End every process, those at work too; what they work on ends in a `ScorerError`."""
        with self._lock:
            self._closed = True
            processes, self._all, self._idle = self._all, set(), []
        for process in processes:
            process.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _next(self) -> JudgeProcess | None:
        with self._lock:
            self._refuse_when_closed()
            return self._idle.pop() if self._idle else None

    def _start(self) -> JudgeProcess:
        with self._lock:
            self._refuse_when_closed()
            process = JudgeProcess(self._hidden)
            self._all.add(process)
        try:
            process.wait_ready()
        except BaseException:
            self._stop(process)
            raise
        return process

    def _stop(self, process: JudgeProcess) -> None:
        process.stop()
        with self._lock:
            self._all.discard(process)

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise ScorerError("the run is over: nothing can be judged any more")
