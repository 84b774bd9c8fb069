"""The engine: one asyncio loop on a thread of its own, on which every call of a test run is made."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence

from pytest_upskill.calls.measure import Measurer
from pytest_upskill.calls.quiet import Quiet
from pytest_upskill.suite.matrix import Sample
from pytest_upskill.types import Outcome

_BREATH = 16  # samples between two turns of the loop, where replies come from the store without waiting
_POLL = 0.5  # seconds; a wait looks this often whether the engine is still alive
_LONGEST_STOP = 10.0  # seconds


class EngineStopped(Exception):
    """The engine ended while somebody waited for a sample."""


class Lane:
    """The queue of one model and the tasks that work it off, at most `concurrency` at a time."""

    def __init__(self, concurrency: int, measure: Callable[[Sample], Coroutine[None, None, None]]) -> None:
        self._concurrency = concurrency
        self._measure = measure
        self._waiting: deque[Sample] = deque()
        self._urgent: deque[Sample] = deque()
        self._taken: set[Sample] = set()
        self.runners: set[asyncio.Task[None]] = set()

    def push(self, sample: Sample, *, urgent: bool) -> None:
        """Queue a sample, in front with `urgent`; one that was taken before is left alone."""
        if sample in self._taken:
            return
        (self._urgent if urgent else self._waiting).append(sample)
        if len(self.runners) < self._concurrency:
            runner = asyncio.get_running_loop().create_task(self._run())
            self.runners.add(runner)
            runner.add_done_callback(self.runners.discard)

    async def _run(self) -> None:
        count = 0
        while (sample := self._next()) is not None:
            await self._measure(sample)
            count += 1
            if count % _BREATH == 0:
                await asyncio.sleep(0)

    def _next(self) -> Sample | None:
        for queue in (self._urgent, self._waiting):
            while queue:
                sample = queue.popleft()
                if sample not in self._taken:
                    self._taken.add(sample)
                    return sample
        return None


class Engine:
    """Measures samples in the order in which they were selected, ahead of those who ask for them.

    Nothing starts before the first `outcome` or `gather`. Both block and may be called from any thread;
    a sample that somebody waits for jumps the queue.

    Args:
        make_measurer: called on the loop.
        window: how many samples are begun ahead of the last one asked for; None for all.
    """

    def __init__(
        self, make_measurer: Callable[[], Measurer], window: int | None = None
    ) -> None:
        self._make_measurer = make_measurer
        self._window = window
        self.quiet = Quiet()
        self.measurer: Measurer | None = None
        self.outcomes: dict[Sample, Outcome] = {}
        self.finished: list[Sample] = []
        self._order: list[Sample] = []
        self._position: dict[Sample, int] = {}
        self._fed = 0
        self._lanes: dict[str, Lane] = {}
        self._changed = threading.Condition()
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stop: asyncio.Event | None = None
        self._failure: BaseException | None = None

    def select(self, samples: Iterable[Sample]) -> None:
        """Add samples to the order in which calls are made."""
        with self._changed:
            for sample in samples:
                if sample not in self._position:
                    self._position[sample] = len(self._order)
                    self._order.append(sample)

    def outcome(self, sample: Sample) -> Outcome:
        """Return what became of a sample, as soon as it is known.

        Raises:
            EngineStopped: the engine ended before.
        """
        return self.outcomes.get(sample) or self.gather([sample])[0]

    def gather(self, samples: Sequence[Sample]) -> list[Outcome]:
        """Return the outcomes of samples, in their order, as soon as all are known."""
        missing = [sample for sample in samples if sample not in self.outcomes]
        if missing:
            self._ask(missing)
            self._wait_for(missing)
        return [self.outcomes[sample] for sample in samples]

    def stop(self) -> None:
        """Cancel what is in flight, close the clients and the store, and end the thread."""
        if self._thread is None:
            return
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_LONGEST_STOP)
        self._thread = None
        self.quiet.restore()

    def _ask(self, samples: Sequence[Sample]) -> None:
        self._start()
        with self._changed:
            ahead = self._ahead(samples)
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._feed, ahead, samples)
            except RuntimeError:
                raise EngineStopped("the engine has ended") from self._failure

    def _ahead(self, samples: Sequence[Sample]) -> list[Sample]:
        if self._window is None:
            end = len(self._order)
        else:
            end = max((self._position.get(sample, -1) for sample in samples), default=-1) + 1 + self._window
        ahead = self._order[self._fed : end]
        self._fed = max(self._fed, min(end, len(self._order)))
        return ahead

    def _feed(self, ahead: Sequence[Sample], urgent: Sequence[Sample]) -> None:
        for sample in urgent:
            self._lane(sample).push(sample, urgent=True)
        for sample in ahead:
            self._lane(sample).push(sample, urgent=False)

    def _lane(self, sample: Sample) -> Lane:
        name = sample.model.name
        if name not in self._lanes:
            self._lanes[name] = Lane(sample.model.concurrency, self._measure)
        return self._lanes[name]

    async def _measure(self, sample: Sample) -> None:
        if self.measurer is None:
            raise EngineStopped("the engine has no measurer")
        outcome = await self.measurer.measure(sample)
        with self._changed:
            self.outcomes[sample] = outcome
            self.finished.append(sample)
            self._changed.notify_all()

    def _wait_for(self, samples: Sequence[Sample]) -> None:
        left = deque(samples)
        with self._changed:
            while True:
                while left and left[0] in self.outcomes:
                    left.popleft()
                if not left:
                    return
                if self._thread is None or not self._thread.is_alive():
                    raise EngineStopped("the engine ended before the sample was measured") from self._failure
                self._changed.wait(_POLL)

    def _start(self) -> None:
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="upskill-engine", daemon=True)
                self._thread.start()
        # Whoever did not start it must wait as well: before, there is no loop to hand samples to.
        self._ready.wait()

    def _run(self) -> None:
        self.quiet.thread = threading.get_ident()
        self.quiet.hush_warnings()
        try:
            asyncio.run(self._main())
        except BaseException as error:  # noqa: BLE001 - told to those who wait, on their own thread
            self._failure = error
        finally:
            self._ready.set()
            with self._changed:
                self._changed.notify_all()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self.measurer = self._make_measurer()
        self.quiet.hush_logging()
        self._ready.set()
        await self._stop.wait()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self.measurer.close()
