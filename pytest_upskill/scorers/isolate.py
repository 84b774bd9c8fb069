"""The scorers that run in child processes, under a time limit."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from pytest_upskill.errors import ScorerError
from pytest_upskill.protocols import Scorer
from pytest_upskill.scorers.evidence import described
from pytest_upskill.scorers.process import Process, start
from pytest_upskill.scorers.wire import Job, pack_job, unpack_scores
from pytest_upskill.types import Check, Reply, Score, ScoringContext


class Judges:
    """A pool of scoring processes for one test run, on one event loop of any thread.

    Args:
        size: the most processes at a time; each is started when it is first needed.
        time_limit: seconds that one check of one reply may take.
        secrets: environment variables that they must not see, beside those whose name or value says so.
        python_path: folders that the processes import from, before this process's own `sys.path`.
    """

    def __init__(
        self,
        size: int = 2,
        time_limit: float = 10.0,
        python_path: Sequence[str] = (),
        secrets: Collection[str] = (),
    ) -> None:
        self._size = size
        self._limit = time_limit
        self._python_path = tuple(python_path)
        self._secrets = frozenset(secrets)
        self._slots = asyncio.Semaphore(size)
        self._idle: list[Process] = []
        self._processes: set[Process] = set()
        self._closed = False

    async def score(self, scorer: Scorer, reply: Reply, check: Check, context: ScoringContext) -> list[Score]:
        """Return what an isolated scorer says of a reply.

        Raises `ScorerError` when it cannot say: its own error, a time-out, or the end of its process.
        """
        line = pack_job(Job(f"{type(scorer).__module__}:{type(scorer).__qualname__}", reply, check, context))
        async with self._slots:
            process = await self._take()
            answer = None
            try:
                answer = await self._ask(process, line, scorer, check)
            finally:
                await self._give_back(process, healthy=answer is not None)
        return unpack_scores(answer)

    async def close(self) -> None:
        """End every process and wait until none is left; what is being scored ends in a `ScorerError`."""
        self._closed = True
        await self._stop(*self._processes)
        # With all slots in hand, nobody is starting a process any more.
        for _ in range(self._size):
            await self._slots.acquire()
        await self._stop(*self._processes)
        for _ in range(self._size):
            self._slots.release()

    async def _ask(self, process: Process, line: bytes, scorer: Scorer, check: Check) -> bytes:
        try:
            async with asyncio.timeout(self._limit):
                answer = await process.ask(line)
        except TimeoutError:
            # Built-in scorers say how to mend it; the Protocol does not ask for it.
            advice = getattr(scorer, "advice", "make the check cheaper")
            words = f"{described(check)} took longer than {self._limit:g} s on this reply; {advice}"
            raise ScorerError(words) from None
        if answer is None:
            self._refuse_when_closed()
            raise ScorerError(f"{described(check)}: its process {await process.ending()}")
        return answer

    async def _take(self) -> Process:
        self._refuse_when_closed()
        while self._idle:
            process = self._idle.pop()
            if process.alive:
                return process
            await self._stop(process)
        process = await start(self._python_path, self._limit, self._secrets)
        self._processes.add(process)
        try:
            await process.wait_ready()
            self._refuse_when_closed()
        except BaseException:
            await self._stop(process)
            raise
        return process

    async def _give_back(self, process: Process, *, healthy: bool) -> None:
        if healthy and not self._closed:
            self._idle.append(process)
        else:
            await self._stop(process)

    async def _stop(self, *processes: Process) -> None:
        await asyncio.gather(*(process.stop() for process in processes))
        self._processes.difference_update(processes)

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise ScorerError("the run is over: nothing can be scored any more")
