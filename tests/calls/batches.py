"""A provider of batches that does what a test says, and a batcher of real parts around it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_upskill.calls.batch import Batcher, Poll, Wanted
from pytest_upskill.calls.budget import Budget
from pytest_upskill.calls.claims import Claims
from pytest_upskill.calls.clients import Clients
from pytest_upskill.calls.store import Store, endpoint_of
from pytest_upskill.errors import CallError
from pytest_upskill.protocols import BatchState
from pytest_upskill.types import Fault, Message, Model, Reply, Request, Usage
from tests.calls.fakes import Fake

MODEL = Model("m", "fake", "fake-1")
ENDPOINT = endpoint_of(MODEL)
Fate = Callable[[str], Reply | Exception | None]


def key(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


def request(number: int) -> Request:
    return Request("fake-1", "", (Message("user", f"question {number}"),))


def wanted(*numbers: int) -> list[Wanted]:
    return [Wanted(key(number), lambda number=number: request(number)) for number in numbers]  # type: ignore[misc]


def failed(fault: Fault = "failed", says: str = "no", *, fatal: bool = False) -> CallError:
    return CallError(f"m: {says}", short=says, fault=fault, fatal=fatal)


def reply(text: str) -> Reply:
    return Reply(f"answer to {text}", "fake-1", Usage(10, 1), "stop", 0.0)


class Batches(Fake):
    """Takes batches. What stands in `submits`, `states` and `readings` comes first, in order of the questions.

    An exception in `submits` or `states` is raised; a number in `readings` is after how many results they break off.
    `kept` are the batches by their ids: what they hold is answered by `fate`, None for no answer.
    """

    batch_discount = 0.5
    batch_limit = 1000

    def __init__(self, fate: Fate = reply) -> None:
        super().__init__()
        self.fate = fate
        self.kept: dict[str, Mapping[str, Request]] = {}
        self.submits: list[Exception | None] = []
        self.states: list[BatchState | Exception] = []
        self.readings: list[int] = []
        self.asked: list[str] = []
        self.after = failed("lost", "cut off")
        self.gate: asyncio.Event | None = None

    async def submit(self, requests: Mapping[str, Request]) -> str:
        self.asked.append("submit")
        if self.gate is not None:
            await self.gate.wait()
        fault = self.submits.pop(0) if self.submits else None
        # What was lost on its way back was handed in all the same.
        if fault is None or (isinstance(fault, CallError) and fault.fault == "lost"):
            self.kept[f"batch-{len(self.kept)}"] = dict(requests)
        if fault is not None:
            raise fault
        return list(self.kept)[-1]

    async def state(self, batch: str) -> BatchState:
        self.asked.append("state")
        answer = self.states.pop(0) if self.states else None
        if isinstance(answer, Exception):
            raise answer
        total = len(self.kept.get(batch, ()))
        return answer or BatchState(total, total, ended=True, gone=batch not in self.kept)

    async def results(self, batch: str) -> AsyncIterator[tuple[str, Reply | Exception]]:
        self.asked.append("results")
        most = self.readings.pop(0) if self.readings else None
        for number, (name, request) in enumerate(self.kept[batch].items()):
            if number == most:
                raise self.after
            what = self.fate(request.messages[0].content)
            if what is not None:
                yield name, what


class Findable(Batches):
    """Can also look for a batch by the ids of its requests."""

    finds: Sequence[Exception] = ()

    async def find(self, ids: Collection[str], since: float) -> str | None:
        self.asked.append("find")
        if self.finds:
            fault, *self.finds = self.finds
            raise fault
        return next((name for name, requests in self.kept.items() if set(requests) == set(ids)), None)


@dataclass
class Run:
    """One run: a batcher and what it said and waited for. `sleep` turns the loop and nothing more."""

    provider: Batches
    wanted: Sequence[Wanted]
    store: Store | None = None
    budget: Budget = field(default_factory=Budget)
    cost: float | None = None
    paid: float | None = None
    patience: float = 1800.0
    notices: list[str] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.claims = Claims(self.store.path.parent) if self.store is not None else None
        self.batcher = Batcher(
            self.store,
            self.claims,
            lambda _: [each for each in self.wanted if not self._stored(each.key)],
            self.budget,
            lambda model, request: self.cost,
            self.notices.append,
            clients=Clients({"m": self.provider}),
            paid=lambda model, usage: self.paid,
            poll=Poll(patience=self.patience, sleep=self._sleep),
        )

    def _stored(self, key: bytes) -> bool:
        return self.store is not None and self.store.get(key) is not None

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)

    async def ask(self, *numbers: int) -> list[Reply | None]:
        """Return the replies to requests that are asked for at the same time."""
        asked = (self.batcher.reply(MODEL, self.provider, key(number)) for number in numbers)
        return list(await asyncio.gather(*asked))

    async def close(self) -> None:
        await self.batcher.close()
        if self.store is not None:
            await self.store.close()
        if self.claims is not None:
            self.claims.close()


def run(
    provider: Batches, numbers: Sequence[int], folder: Path | None = None, budget: Budget | None = None
) -> tuple[Run, list[Reply | None]]:
    """Ask for requests in a loop of its own, and end."""

    async def go() -> tuple[Run, list[Reply | None]]:
        made = Run(provider, wanted(*numbers), Store(folder) if folder else None, budget or Budget())
        try:
            return made, await made.ask(*numbers)
        finally:
            await made.close()

    return asyncio.run(go())


def open_batches(folder: Path) -> list[str]:
    """Return the ids of the batches that a store still holds."""
    return [batch.id for batch in Store(folder).open_batches(ENDPOINT)]
