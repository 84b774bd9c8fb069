"""What plugins implement: providers, dialects, scorers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias, TypeGuard, runtime_checkable
from weakref import WeakKeyDictionary

from pytest_upskill.types import CaseFile, Check, Model, Reply, Request, Score, ScoringContext, ScoringRun


class Provider(Protocol):
    """One way to reach a model. Built without importing an SDK; `open` is the first to import it.

    `version` names the shape of the request that is sent and is part of the store key; `deterministic`
    says that the same request always gets the same reply (one run is then enough).
    """

    version: str
    deterministic: bool

    async def open(self) -> None:
        """Make the client, on the engine's loop. Raises `CallError` when it cannot be made."""

    async def complete(self, request: Request, timeout: float) -> Reply:
        """Make one attempt, `timeout` seconds at most; trying again is the engine's business. Raises `CallError`."""

    async def close(self) -> None:
        """Close the client, on the engine's loop."""


@dataclass(frozen=True, slots=True)
class BatchState:
    """How far a batch is: `done` of `total` requests; `ended` when its results can be read.

    `gone` tells that the server knows nothing of it any more.
    """

    done: int
    total: int
    ended: bool
    gone: bool = False


@runtime_checkable
class BatchProvider(Provider, Protocol):
    """A provider whose API also takes many requests at once, for later and for less. All raise `CallError`."""

    # The part of the list price that a request in a batch costs.
    batch_discount: float
    # How many requests one batch may hold.
    batch_limit: int

    async def submit(self, requests: Mapping[str, Request]) -> str:
        """Hand in a batch of requests by ids of 64 letters at most; return the batch's id."""

    async def state(self, batch: str) -> BatchState:
        """Ask how far a batch is."""

    def results(self, batch: str) -> AsyncIterator[tuple[str, Reply | Exception]]:
        """Yield what became of the requests of a batch that has ended, in any order: a reply or a `CallError`."""


ProviderFactory: TypeAlias = Callable[[Model], Provider]


class Dialect(Protocol):
    """One format of case files.

    `file` is where it lies in a skill's folder (`skill_meta.json`, `evals/evals.json`).
    """

    file: str

    def read(self, path: Path, scorers: Mapping[str, Scorer]) -> CaseFile:
        """Return the cases of a file. Raises `SuiteError` with file, line and key."""


class Scorer(Protocol):
    """One kind of check. `isolated` scorers run in a child process with a time limit.

    One whose checks name Python code may have a method `modules(check)` that returns the names of the modules.

    An isolated scorer's class must be importable and take no arguments.
    """

    isolated: bool

    def validate(self, check: Check, context: ScoringContext) -> None:
        """Raise `ValueError` with a sentence when the case asks for something that cannot be checked."""

    def score(self, reply: Reply, check: Check, context: ScoringContext) -> list[Score]:
        """Judge one reply. Raises `ScorerError` when it cannot be judged: an error, not a miss."""


@runtime_checkable
class AwaitedScorer(Scorer, Protocol):
    """A scorer that starts programs of its own and is waited for; `score` is then never called.

    It limits by itself how much it does at a time, and how long. All of it is called on the engine's loop.
    """

    async def open(self, run: ScoringRun) -> None:
        """Make ready for a test run; called once, before the first reply is judged. Raises `ScorerError`."""

    async def judge(self, reply: Reply, check: Check, context: ScoringContext) -> list[Score]:
        """Judge one reply. Raises `ScorerError`, or `NotApplicable` where it cannot be judged here."""

    async def close(self) -> None:
        """End what was started."""


@runtime_checkable
class DemandingScorer(Scorer, Protocol):
    """A scorer whose checks ask something of the form of the reply, or of the machine."""

    def brief(self, check: Check, context: ScoringContext) -> str:
        """Return what a reply has to keep to: it follows the case's input in every arm."""

    def marks(self, check: Check) -> tuple[str, ...]:
        """Return the pytest markers that the samples of such a case carry."""


# A protocol looks at every member of an object, each time, and a scorer is asked for each sample.
_AWAITED: WeakKeyDictionary[type, bool] = WeakKeyDictionary()
_DEMANDING: WeakKeyDictionary[type, bool] = WeakKeyDictionary()


def is_awaited(scorer: Scorer) -> TypeGuard[AwaitedScorer]:
    """Return whether a scorer is one that is waited for; of each class one is looked at."""
    kind = type(scorer)
    if kind not in _AWAITED:
        _AWAITED[kind] = isinstance(scorer, AwaitedScorer)
    return _AWAITED[kind]


def is_demanding(scorer: Scorer) -> TypeGuard[DemandingScorer]:
    """Return whether a scorer is one whose checks ask something; of each class one is looked at."""
    kind = type(scorer)
    if kind not in _DEMANDING:
        _DEMANDING[kind] = isinstance(scorer, DemandingScorer)
    return _DEMANDING[kind]
