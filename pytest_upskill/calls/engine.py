"""The engine: one asyncio loop on a thread of its own, on which every call of a test run is made."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import TypeVar

from pytest_upskill.calls.follower import Follower, Further
from pytest_upskill.calls.lane import Lane
from pytest_upskill.calls.measure import Measurer
from pytest_upskill.calls.quiet import Quiet
from pytest_upskill.suite.matrix import Sample
from pytest_upskill.types import DEFAULT_CONCURRENCY, Outcome

# Samples that are measured at a time, for each call that may be in flight: some wait to try again, or for
# another run that makes the same call, and the limiter holds the number of calls.
_ROOM = 2
_POLL = 0.5  # seconds; on Windows only a wait with a time limit can be interrupted
_LONGEST_CANCEL = 2.0  # seconds
_LONGEST_STOP = 8.0  # seconds, for all of `stop`
_LONGEST_LOOK = 0.2  # seconds
_Seen = TypeVar("_Seen")


class EngineStopped(Exception):
    """The engine ended while somebody waited for a sample."""


class Watcher:
    """Hears of those who wait for samples, on their threads; this one has nothing to do."""

    def waiting(self) -> float:
        """Hear that this thread waits; return after how many seconds at the latest to say so again."""
        return _POLL

    def waited(self) -> None:
        """Hear that this thread waits no more."""


class Engine:
    """Measures samples in the order in which they were selected, ahead of those who ask for them.

    Nothing starts before the first `outcome` or `gather`. Both block and may be called from any thread;
    a sample that somebody waits for jumps the queue.

    Args:
        make_measurer: called on the loop.
        window: how many samples are begun ahead of the last one asked for; None for all.
        watcher: hears of those who wait.
        follower: holds samples back; it must let each of them go, or say what became of it.
    """

    def __init__(
        self,
        make_measurer: Callable[[], Measurer],
        window: int | None = None,
        watcher: Watcher | None = None,
        follower: Follower | None = None,
    ) -> None:
        self._make_measurer = make_measurer
        self._window = window
        self._watcher = watcher or Watcher()
        self._follower = follower or Follower()
        self.quiet = Quiet()
        self.measurer: Measurer | None = None
        self.outcomes: dict[Sample, Outcome] = {}
        self.finished: list[Sample] = []
        self._order: list[Sample] = []
        self._position: dict[Sample, int] = {}
        self._fed = 0
        self._begun: set[Sample] = set()
        self._awaited: list[Sample] = []
        self._lanes: dict[str, Lane] = {}
        self._changed = threading.Condition()
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._over = False
        self._failure: BaseException | None = None

    def select(self, samples: Iterable[Sample]) -> None:
        """Add samples to the order in which calls are made."""
        with self._changed:
            for sample in samples:
                if sample not in self._position:
                    self._position[sample] = len(self._order)
                    self._order.append(sample)

    def settle(self, outcomes: Mapping[Sample, Outcome]) -> None:
        """Say what became of samples that are not measured. Any thread."""
        with self._changed:
            if not self._over:
                self.outcomes.update(outcomes)
                self._changed.notify_all()

    def outcome(self, sample: Sample) -> Outcome:
        """Return what became of a sample, as soon as it is known.

        Raises:
            EngineStopped: the engine ended before.
        """
        return self.gather([sample])[0]

    def gather(self, samples: Sequence[Sample]) -> list[Outcome]:
        """Return the outcomes of samples, in their order, as soon as all are known.

        Raises:
            EngineStopped: the engine ended before.
        """
        missing = [sample for sample in samples if sample not in self.outcomes]
        if missing:
            self._ask(samples, missing)
            self._wait_for(missing)
        elif self._window is not None:
            # The window moves on with those who ask, also where the answer is there already.
            with contextlib.suppress(EngineStopped):
                self._ask(samples, [])
        return [self.outcomes[sample] for sample in samples]

    def look(self, question: Callable[[], _Seen], otherwise: _Seen) -> _Seen:
        """Ask for something that belongs to the loop, on its thread; `otherwise` where it does not answer soon."""
        seen: Future[_Seen] = Future()
        if self._loop is None:
            return otherwise
        try:
            self._loop.call_soon_threadsafe(lambda: seen.set_result(question()))
            return seen.result(_LONGEST_LOOK)
        except (RuntimeError, TimeoutError):  # it has ended, or is busy
            return otherwise

    def stop(self) -> None:
        """Cancel what is in flight, close the clients and the store, and end the thread.

        Whoever waits gets `EngineStopped`, as does whoever asks later for what is not known.
        """
        with self._changed:
            self._over = True
            thread, self._thread = self._thread, None
            self._changed.notify_all()
        if thread is None:
            return
        self._ready.wait()
        self.quiet.hush_warnings()  # what clients warn of when they are closed
        self._end_loop()
        thread.join(_LONGEST_STOP)
        self.quiet.restore()

    def _end_loop(self) -> None:
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._stop.set)

    def _ask(self, samples: Sequence[Sample], urgent: Sequence[Sample]) -> None:
        self._start()
        with self._changed:
            if self._over or self._loop is None:
                raise self._stopped() from self._failure
            ahead = self._ahead(samples)
            hurried = [sample for sample in urgent if sample not in self._begun]
            if not ahead and not hurried:
                return
            try:
                self._loop.call_soon_threadsafe(self._feed, ahead, hurried)
            except RuntimeError:  # closed in this moment
                raise self._stopped() from self._failure

    def _ahead(self, samples: Sequence[Sample]) -> list[Sample]:
        end = len(self._order)
        if self._window is not None:
            last = max(self._position.get(sample, -1) for sample in samples)
            end = min(end, last + 1 + self._window)
        ahead = self._order[self._fed : end]
        self._fed = max(self._fed, end)
        return ahead

    def _feed(self, ahead: Sequence[Sample], urgent: Sequence[Sample]) -> None:
        try:
            self._push(self._follower.hurried(urgent), self._follower.free(ahead))
        except Exception as error:  # noqa: BLE001 - the loop would tell nobody
            self._fail(error)

    def _push(self, urgent: Iterable[Sample], ahead: Iterable[Sample]) -> None:
        if self._stop is None or self._stop.is_set():
            return
        for sample in urgent:
            self._lane(sample).push(sample, urgent=True)
        for sample in ahead:
            self._lane(sample).push(sample, urgent=False)

    def _go_on(self, further: Further) -> None:
        self.settle(further.outcomes)
        # What the window has not reached yet it finds free when it does.
        self._push(further.urgent, [each for each in further.samples if self._position[each] < self._fed])

    def _lane(self, sample: Sample) -> Lane:
        name = sample.model.name
        if name not in self._lanes:
            width = _ROOM * (sample.model.concurrency or DEFAULT_CONCURRENCY)
            self._lanes[name] = Lane(width, self._measure, self._fail)
        return self._lanes[name]

    async def _measure(self, sample: Sample) -> None:
        if self.measurer is None:
            raise EngineStopped("the engine has no measurer")
        self._begun.add(sample)
        outcome = await self.measurer.measure(sample)
        with self._changed:
            if not self._over:
                self.outcomes[sample] = outcome
                self.finished.append(sample)
                # To wake those who wait for another sample would cost as much as the sample.
                if sample in self._awaited:
                    self._changed.notify_all()
        further = await self._follower.finished(sample)
        if further is not None:
            self._go_on(further)

    def _fail(self, error: BaseException) -> None:
        # Nobody may wait for ever for a sample whose task has died.
        if self._stop is not None and not self._stop.is_set():
            self._failure = error
            self._stop.set()

    def _wait_for(self, samples: Sequence[Sample]) -> None:
        left = deque(samples)
        try:
            while True:
                while left and left[0] in self.outcomes:
                    left.popleft()
                if not left:
                    return
                self._wait_at_most(min(_POLL, self._watcher.waiting()), left[0])
        finally:
            self._watcher.waited()

    def _wait_at_most(self, seconds: float, sample: Sample) -> None:
        with self._changed:
            self._awaited.append(sample)
            try:
                self._changed.wait_for(lambda: self._over or sample in self.outcomes, seconds)
            finally:
                self._awaited.remove(sample)
            if self._over and sample not in self.outcomes:
                raise self._stopped() from self._failure

    def _stopped(self) -> EngineStopped:
        if self._failure is None:
            return EngineStopped("the run is over: nothing is measured any more")
        cause = f"{type(self._failure).__name__}: {self._failure}"
        return EngineStopped(f"the engine has ended, nothing is measured any more: {cause}")

    def _start(self) -> None:
        with self._changed:
            if self._thread is None and not self._over:
                thread = threading.Thread(target=self._run, name="upskill-engine", daemon=True)
                thread.start()
                self._thread = thread
            elif self._thread is None:
                raise self._stopped() from self._failure
        # Whoever did not start it must wait as well: before, there is no loop to hand samples to.
        self._ready.wait()

    def _run(self) -> None:
        self.quiet.thread = threading.get_ident()
        self.quiet.hush_warnings()
        try:
            asyncio.run(self._main())
        except BaseException as error:  # noqa: BLE001 - told to those who wait, on their own thread
            self._failure = self._failure or error
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()
            self._ready.set()

    async def _main(self) -> None:
        self._stop = asyncio.Event()
        self.measurer = self._make_measurer()
        self.quiet.hush_logging()
        self._loop = asyncio.get_running_loop()
        self._ready.set()
        try:
            await self._stop.wait()
        finally:
            self._stop.set()
            await self._shut_down(self.measurer)

    async def _shut_down(self, measurer: Measurer) -> None:
        runners = [runner for lane in self._lanes.values() for runner in lane.runners]
        for runner in runners:
            runner.cancel()
        if runners:
            await asyncio.wait(runners, timeout=_LONGEST_CANCEL)
        await measurer.close()
