"""One model's queue, and the tasks that work it off."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from pytest_upskill.suite.matrix import Sample


class Lane:
    """The samples of one model that wait, and at most `width` that are measured.

    Belongs to the engine's loop. A sample is measured once, however often it is pushed.

    Args:
        width: how many are measured at a time.
        measure: must not raise but for cancellation.
        failed: hears of it when it does all the same, or when a task was cancelled by somebody else.
    """

    def __init__(
        self,
        width: int,
        measure: Callable[[Sample], Awaitable[None]],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._width = width
        self._measure = measure
        self._failed = failed
        self._waiting: deque[Sample] = deque()
        self._urgent: deque[Sample] = deque()
        self._taken: set[Sample] = set()
        self._working = 0
        self.runners: set[asyncio.Task[None]] = set()

    def push(self, sample: Sample, *, urgent: bool) -> None:
        """Queue a sample, in front with `urgent`; one that was taken before is left alone."""
        if sample in self._taken:
            return
        (self._urgent if urgent else self._waiting).append(sample)
        if self._working < self._width:
            self._working += 1
            runner = asyncio.get_running_loop().create_task(self._run())
            self.runners.add(runner)
            runner.add_done_callback(self._ended)

    async def _run(self) -> None:
        while (sample := self._next()) is not None:
            await self._measure(sample)
            # Where replies come from the store nothing else waits: without this, nobody could jump the queue.
            await asyncio.sleep(0)
        # Not in the callback, which comes a turn later: what is pushed in between must find a place to run.
        self._working -= 1

    def _next(self) -> Sample | None:
        for queue in (self._urgent, self._waiting):
            while queue:
                sample = queue.popleft()
                if sample not in self._taken:
                    self._taken.add(sample)
                    return sample
        return None

    def _ended(self, runner: asyncio.Task[None]) -> None:
        self.runners.discard(runner)
        if runner.cancelled():
            self._failed(asyncio.CancelledError("a sample was cancelled"))
        elif (error := runner.exception()) is not None:
            self._failed(error)
