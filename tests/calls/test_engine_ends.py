"""How the engine ends: nobody is left waiting, and nothing is left open."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import cast

import pytest

from pytest_upskill.calls.engine import Engine, EngineStopped
from pytest_upskill.calls.measure import Measurer
from pytest_upskill.suite.matrix import Sample
from pytest_upskill.types import Model, Outcome, Reply, Request
from tests.calls.fakes import Fake, measurer, samples

OVER = "the run is over: nothing is measured any more"


class Raises:
    """A measurer that breaks its promise."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.closed = 0

    async def measure(self, sample: Sample) -> Outcome:
        await asyncio.sleep(0.01)
        raise self.error

    async def close(self) -> None:
        self.closed += 1


class Odd(BaseException):
    """Not an `Exception`, as pytest's own outcomes are not."""


def asked(engine: Engine, wanted: list[Sample]) -> list[BaseException]:
    """Let five threads ask, and return what each was told; none may wait for long."""
    told: list[BaseException] = []

    def ask(sample: Sample) -> None:
        try:
            engine.outcome(sample)
        except BaseException as error:
            told.append(error)

    threads = [threading.Thread(target=ask, args=[sample], daemon=True) for sample in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
    return told


@pytest.mark.parametrize(
    "error", [ValueError("lost"), Odd("lost"), SystemExit("lost"), asyncio.CancelledError("lost")], ids=type
)
def test_nobody_waits_for_a_measurer_that_raises(error: BaseException) -> None:
    raising = Raises(error)
    engine = Engine(lambda: cast("Measurer", raising))
    told = asked(engine, samples(5))
    assert len(told) == 5
    for one in told:
        assert isinstance(one, EngineStopped)
        assert str(one).startswith("the engine has ended, nothing is measured any more: ")
        assert type(error).__name__ in str(one)
        assert type(one.__cause__) is type(error)
    with pytest.raises(EngineStopped, match="the engine has ended"):
        engine.outcome(samples(1)[0])
    engine.stop()
    assert raising.closed == 1


def test_nobody_waits_for_a_measurer_that_cannot_be_made() -> None:
    def broken() -> Measurer:
        raise RuntimeError("no such scorer")

    engine = Engine(broken)
    told = asked(engine, samples(5))
    assert {str(one) for one in told} == {
        "the engine has ended, nothing is measured any more: RuntimeError: no such scorer"
    }
    assert all(isinstance(one.__cause__, RuntimeError) for one in told)
    engine.stop()


class StopsTheLoop(Raises):
    async def measure(self, sample: Sample) -> Outcome:
        asyncio.get_running_loop().stop()
        await asyncio.sleep(60)
        raise self.error


def test_nobody_waits_for_a_loop_that_has_ended() -> None:
    stopping = StopsTheLoop(ValueError())
    engine = Engine(lambda: cast("Measurer", stopping))
    told = asked(engine, samples(5))
    assert len(told) == 5
    assert all(isinstance(one, EngineStopped) for one in told)
    engine.stop()
    assert stopping.closed == 1


async def never(request: Request) -> Reply:
    await asyncio.sleep(3600)
    raise AssertionError


def test_stop_ends_who_waits_and_what_is_in_flight() -> None:
    provider = Fake(never)
    engine = Engine(lambda: measurer({"x": provider}))
    wanted = samples(100, Model("x", "fake", "x", concurrency=64))
    engine.select(wanted)
    told: list[EngineStopped] = []

    def wait() -> None:
        try:
            engine.gather(wanted)
        except EngineStopped as error:
            told.append(error)

    waiter = threading.Thread(target=wait, daemon=True)
    waiter.start()
    while provider.now < 64:
        time.sleep(0.005)
    begun = time.perf_counter()
    engine.stop()
    waiter.join(5)
    assert time.perf_counter() - begun < 2
    assert [str(error) for error in told] == [OVER]
    assert (provider.now, provider.closed, len(provider.requests)) == (0, 1, 64)
    assert threading.active_count() == len(threading.enumerate())


def test_after_the_end_only_what_is_known_is_told() -> None:
    engine = Engine(lambda: measurer(Fake()))
    known, unknown = samples(2)
    assert engine.outcome(known).hit
    engine.stop()
    assert engine.outcome(known).hit
    with pytest.raises(EngineStopped, match=OVER):
        engine.outcome(unknown)
    with pytest.raises(EngineStopped, match=OVER):
        engine.gather([known, unknown])
    assert "upskill-engine" not in [thread.name for thread in threading.enumerate()]


def test_an_engine_that_was_stopped_before_it_began_does_not_begin() -> None:
    engine = Engine(lambda: measurer(Fake()))
    engine.stop()
    with pytest.raises(EngineStopped, match=OVER):
        engine.outcome(samples(1)[0])
    assert "upskill-engine" not in [thread.name for thread in threading.enumerate()]


class Stubborn(Fake):
    """Will not be cancelled, and fails to close."""

    async def complete(self, request: Request, timeout: float) -> Reply:
        self.requests.append(request)
        for _ in range(10):
            try:
                await asyncio.sleep(0.2)
            except asyncio.CancelledError:
                continue
        return Reply("yes")

    async def close(self) -> None:
        raise RuntimeError("it is stuck")


def test_a_provider_that_will_not_end_does_not_keep_the_others_open() -> None:
    stubborn, good = Stubborn(), Fake()
    engine = Engine(lambda: measurer({"s": stubborn, "g": good}))
    (first,) = samples(1, Model("g", "fake", "g"))
    (second,) = samples(1, Model("s", "fake", "s"))
    engine.select([second])
    engine.outcome(first)
    while not stubborn.requests:
        time.sleep(0.005)
    begun = time.perf_counter()
    engine.stop()
    assert time.perf_counter() - begun < 6
    assert good.closed == 1


STRICT = """
import asyncio, sys, threading, warnings
from pathlib import Path
from pytest_upskill.calls.engine import Engine, EngineStopped
from pytest_upskill.calls.store import Store
from pytest_upskill.types import Model, Reply
from tests.calls.fakes import Fake, measurer, samples

store = Store(Path(sys.argv[1]))
seen = []

async def some(request):
    seen.append(request)
    if len(seen) > 20:
        await asyncio.sleep(3600)
    return Reply("yes")

class Careless(Fake):
    async def close(self):
        warnings.warn("closed in a careless way", ResourceWarning)
        await super().close()

provider = Careless(some)
engine = Engine(lambda: measurer({"x": provider}, store=store))
wanted = samples(200, Model("x", "fake", "x", concurrency=64))
engine.select(wanted)
engine.gather(wanted[:20])
while provider.now < 64:
    threading.Event().wait(0.01)
engine.stop()
print(len(engine.outcomes), provider.closed, provider.now, threading.active_count())
"""


def test_a_stop_with_calls_in_flight_leaves_nothing_open_under_strict_python(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", STRICT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stderr, done.stdout) == ("", "20 1 0 1\n")
