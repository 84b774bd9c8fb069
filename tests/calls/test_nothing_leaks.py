"""Whatever happens to calls: each sample ends once, and every place, reservation and claim is given back."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.calls.budget import Budget
from pytest_upskill.calls.claims import Claims
from pytest_upskill.calls.means import Means, Setting
from pytest_upskill.calls.measure import Measurer, Requests
from pytest_upskill.calls.retry import Policy
from pytest_upskill.calls.store import Store
from pytest_upskill.errors import CallError
from pytest_upskill.suite.matrix import Sample
from pytest_upskill.types import Price, Reply, Request, Usage
from tests.calls.fakes import MODEL, Fake, Has, prompt_of, samples, scoring

# No pause of a limit is drawn here, so that no example takes long.
EVENTS = (
    "served",
    "slow",
    "odd",
    "limited",
    "failed",
    "lost",
    "unreachable",
    "final",
    "fatal",
    "rubbish",
    "raises",
)
PRICED = replace(MODEL, price=Price(1000.0, 1000.0))


class Scripted(Fake):
    """Does with each call what comes next."""

    def __init__(self, events: list[str]) -> None:
        super().__init__(self._next)
        self.events = events

    async def _next(self, request: Request) -> Reply:
        event = self.events.pop() if self.events else "served"
        await asyncio.sleep(0)
        if event == "rubbish":
            return None  # type: ignore[return-value]
        if event == "raises":
            raise KeyError("choices")
        if event == "slow":
            await asyncio.sleep(0.005)
        if event == "odd":
            return Reply("yes", usage=None, latency="long", limits=3)  # type: ignore[arg-type]
        if event not in ("served", "slow"):
            fault: Any = "final" if event == "fatal" else event
            raise CallError(f"m: {event}", fault=fault, fatal=event == "fatal", retry_after=0.001)
        return Reply("yes", usage=Usage(10, 10))


def made(provider: Fake, folder: Path, budget: Budget) -> tuple[Measurer, Means]:
    providers = {"m": provider}
    policy = Policy(attempts=3, base=0.001, cap=0.001)
    means = Means(providers, Setting(policy=policy), Store(folder), Claims(folder), budget=budget)
    return Measurer(Requests(prompt_of, providers), means, scoring({"has": Has()})), means


async def measured(measurer: Measurer, wanted: list[Sample], cancelled: set[int]) -> int:
    """Measure, cancel some on their way, and return how many have ended."""
    tasks = [asyncio.ensure_future(measurer.measure(sample)) for sample in wanted]
    await asyncio.sleep(0.002)
    for number in cancelled:
        tasks[number].cancel()
    done, _ = await asyncio.wait(tasks, timeout=10)
    return len(done)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from(EVENTS), max_size=80),
    st.sets(st.integers(0, 29), max_size=5),
    st.sampled_from([None, 3, 40]),
)
def test_each_sample_ends_and_all_is_given_back(
    events: list[str], cancelled: set[int], calls: int | None
) -> None:
    async def go(folder: Path) -> None:
        budget = Budget(1.0, calls)
        measurer, means = made(Scripted(list(events)), folder, budget)
        assert await measured(measurer, samples(30, PRICED), cancelled) == 30
        # What nobody waits for any more goes on, for who asks later.
        flights = [flight.call for flight in means.caller._flights.values()]
        if flights:
            await asyncio.wait(flights, timeout=10)
        limiter = means.limits.of(PRICED)
        assert (limiter._in_flight, means.attempts.traffic.in_flight, len(budget._held)) == (0, 0, 0)
        assert means.caller._claims is not None
        assert means.caller._claims._mine == set()
        await measurer.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(go(Path(folder)))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from(EVENTS), max_size=80), st.integers(0, 30))
def test_a_run_that_is_closed_on_its_way_gives_all_back(events: list[str], turns: int) -> None:
    async def go(folder: Path) -> None:
        budget = Budget(1.0)
        measurer, means = made(Scripted(list(events)), folder, budget)
        tasks = [asyncio.ensure_future(measurer.measure(sample)) for sample in samples(30, PRICED)]
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=10)
        await measurer.close()
        limiter = means.limits.of(PRICED)
        assert (limiter._in_flight, means.attempts.traffic.in_flight, len(budget._held)) == (0, 0, 0)
        assert means.caller._claims is not None
        assert means.caller._claims._mine == set()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(go(Path(folder)))
