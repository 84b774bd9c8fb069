"""The engine's order, its queue-jumping and its limits: a real loop on a real thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import cast

import pytest

from pytest_upskill.calls.engine import Engine
from pytest_upskill.calls.measure import Measurer
from pytest_upskill.suite.matrix import Sample
from pytest_upskill.types import Model, Outcome, Reply
from tests.calls.fakes import CONCURRENCY, MODEL, samples
from tests.waiting import until

Measure = Callable[[Sample], "asyncio.Future[None] | None"]
ONE = Model("one", "fake", "one", concurrency=1)


class Scripted:
    """Stands where a measurer would: notes the order, and waits for a sign where it is told to."""

    def __init__(self, *, held: bool = False) -> None:
        self.begun: list[Sample] = []
        self.now = 0
        self.peak = 0
        self.closed = 0
        self.sign = threading.Event()
        if not held:
            self.sign.set()

    async def measure(self, sample: Sample) -> Outcome:
        self.begun.append(sample)
        self.now += 1
        self.peak = max(self.peak, self.now)
        while not self.sign.is_set():
            await asyncio.sleep(0.001)
        self.now -= 1
        return Outcome(Reply(sample.id))

    async def close(self) -> None:
        self.closed += 1


Start = Callable[..., Engine]


@pytest.fixture
def start() -> Iterator[Start]:
    engines: list[Engine] = []

    def make(scripted: object, window: int | None = None) -> Engine:
        engines.append(Engine(lambda: cast("Measurer", scripted), window))
        return engines[-1]

    yield make
    for engine in engines:
        engine.stop()
        assert "upskill-engine" not in [thread.name for thread in threading.enumerate()]


def text(outcome: Outcome) -> str:
    assert outcome.reply is not None
    return outcome.reply.text


def test_nothing_starts_before_something_is_asked(start: Start) -> None:
    scripted = Scripted()
    engine = start(scripted)
    engine.select(samples(3))
    assert scripted.begun == []
    assert "upskill-engine" not in [thread.name for thread in threading.enumerate()]


def test_samples_are_begun_in_the_order_in_which_they_were_selected(start: Start) -> None:
    scripted = Scripted()
    engine = start(scripted)
    wanted = samples(200)
    engine.select(wanted)
    engine.outcome(wanted[0])
    until(lambda: len(engine.outcomes) == 200)
    assert scripted.begun == wanted


def test_each_sample_is_measured_once_however_often_it_is_asked_for(start: Start) -> None:
    scripted = Scripted()
    engine = start(scripted)
    wanted = samples(20)
    for _ in range(3):
        engine.select(wanted)
        assert [text(found) for found in engine.gather([*wanted, *wanted])] == [s.id for s in wanted] * 2
    assert sorted(scripted.begun, key=wanted.index) == wanted
    assert sorted(engine.finished, key=wanted.index) == wanted


def test_who_waits_jumps_the_queue(start: Start) -> None:
    scripted = Scripted(held=True)
    engine = start(scripted)
    wanted = samples(100, ONE)
    engine.select(wanted)
    first = threading.Thread(target=engine.outcome, args=[wanted[0]])
    first.start()
    until(lambda: len(scripted.begun) == 2)
    hurried = threading.Thread(target=engine.gather, args=[[wanted[70], wanted[50]]])
    hurried.start()
    until(lambda: len(engine._lanes["one"]._urgent) == 2)
    scripted.sign.set()
    until(lambda: len(engine.outcomes) == 100)
    first.join()
    hurried.join()
    assert [wanted.index(sample) for sample in scripted.begun[:5]] == [0, 1, 70, 50, 2]


def test_a_sample_that_was_not_selected_is_measured_when_it_is_asked_for(start: Start) -> None:
    engine = start(Scripted(), 1)
    engine.select(samples(3))
    (other,) = samples(1)
    assert text(engine.outcome(other)) == other.id


@pytest.mark.parametrize("concurrency", [1, 3, 16])
def test_twice_as_many_samples_of_a_model_are_under_way_as_calls(start: Start, concurrency: int) -> None:
    scripted = Scripted(held=True)
    engine = start(scripted)
    wanted = samples(50, Model("x", "fake", "x", concurrency=concurrency))
    engine.select(wanted)
    waiter = threading.Thread(target=engine.gather, args=[wanted])
    waiter.start()
    until(lambda: scripted.now == 2 * concurrency)
    scripted.sign.set()
    waiter.join()
    assert scripted.peak == 2 * concurrency


def test_each_model_has_its_own_limit(start: Start) -> None:
    scripted = Scripted(held=True)
    engine = start(scripted)
    wanted = [*samples(50, ONE), *samples(50)]
    engine.select(wanted)
    waiter = threading.Thread(target=engine.gather, args=[wanted])
    waiter.start()
    until(lambda: scripted.now == 2 * (1 + CONCURRENCY))
    scripted.sign.set()
    waiter.join()
    assert scripted.peak == 2 * (1 + CONCURRENCY)


def test_with_a_window_no_more_is_begun_than_that_ahead_of_what_is_asked(start: Start) -> None:
    scripted = Scripted()
    engine = start(scripted, 5)
    wanted = samples(100)
    engine.select(wanted)
    engine.outcome(wanted[0])
    until(lambda: len(engine.outcomes) == 6)
    engine.outcome(wanted[1])
    until(lambda: len(engine.outcomes) == 7)
    engine.outcome(wanted[40])
    until(lambda: len(engine.outcomes) == 46)
    threading.Event().wait(0.02)
    assert set(scripted.begun) == set(wanted[:46])


@pytest.mark.parametrize("model", [ONE, MODEL], ids=["one", "four"])
def test_no_sample_is_forgotten_between_two_that_ask_one_by_one(start: Start, model: Model) -> None:
    # A sample that was pushed in the turn in which the last task ended once found no task to take it.
    engine = start(Scripted(), 1)
    wanted = samples(3000, model)
    engine.select(wanted)
    done = threading.Event()

    def walk() -> None:
        for sample in wanted:
            engine.outcome(sample)
        done.set()

    threading.Thread(target=walk, daemon=True).start()
    assert done.wait(20)


def test_threads_that_ask_at_once_at_the_very_start_all_get_their_answer(start: Start) -> None:
    for _ in range(20):
        engine = start(Scripted())
        wanted = samples(8)
        engine.select(wanted)
        together = threading.Barrier(8)
        found: dict[Sample, Outcome] = {}

        def ask(
            sample: Sample,
            together: threading.Barrier = together,
            engine: Engine = engine,
            found: dict[Sample, Outcome] = found,
        ) -> None:
            together.wait()
            found[sample] = engine.outcome(sample)

        threads = [threading.Thread(target=ask, args=[sample]) for sample in wanted]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert {sample: text(outcome) for sample, outcome in found.items()} == {s: s.id for s in wanted}
        engine.stop()


def test_what_is_selected_later_is_measured_too(start: Start) -> None:
    engine = start(Scripted())
    wanted = samples(10)
    engine.select(wanted[:5])
    engine.gather(wanted[:5])
    engine.select(wanted)
    engine.outcome(wanted[5])
    until(lambda: len(engine.outcomes) == 10)


class Instant(Scripted):
    """Answers without waiting, as the store does; holds the loop until the test is ready."""

    async def measure(self, sample: Sample) -> Outcome:
        self.begun.append(sample)
        if len(self.begun) == 10:
            self.sign.wait(10)
        return Outcome(Reply(sample.id))


def test_ten_thousand_stored_replies_hold_up_who_waits_for_one_round_at_most(start: Start) -> None:
    scripted = Instant(held=True)
    engine = start(scripted)
    wanted = samples(10_000, Model("x", "fake", "x", concurrency=16))
    engine.select(wanted)
    waiters = [threading.Thread(target=engine.outcome, args=[wanted[0]])]
    waiters[0].start()
    until(lambda: len(scripted.begun) == 10)
    waiters.append(threading.Thread(target=engine.outcome, args=[wanted[-1]]))
    waiters[1].start()
    until(lambda: len(engine._loop._ready) > 0)  # type: ignore[union-attr]  # the call of the second waiter
    scripted.sign.set()
    for waiter in waiters:
        waiter.join(10)
    assert scripted.begun.index(wanted[-1]) <= 10 + 2 * 16


def test_an_engine_that_was_never_asked_stops_at_once(start: Start) -> None:
    engine = start(Scripted())
    engine.stop()
    engine.stop()


def test_what_belongs_to_the_loop_is_looked_at_on_its_thread(start: Start) -> None:
    engine = start(Scripted())
    assert engine.look(threading.get_ident, 0) == 0  # it has not begun
    engine.outcome(samples(1)[0])
    assert engine.look(threading.get_ident, 0) == engine.quiet.thread
    engine.stop()
    assert engine.look(threading.get_ident, 0) == 0


def test_nobody_waits_for_a_look_at_a_loop_that_is_busy(start: Start) -> None:
    scripted = Instant(held=True)
    engine = start(scripted)
    wanted = samples(10)
    engine.select(wanted)
    waiter = threading.Thread(target=engine.gather, args=[wanted])
    waiter.start()
    until(lambda: len(scripted.begun) == 10)
    assert engine.look(threading.get_ident, 0) == 0
    scripted.sign.set()
    waiter.join()
