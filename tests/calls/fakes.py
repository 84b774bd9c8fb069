"""A skill with cases, and a provider and a measurer that do what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from pytest_upskill.calls.budget import Budget
from pytest_upskill.calls.claims import Claims
from pytest_upskill.calls.means import Means, Setting
from pytest_upskill.calls.measure import Measurer, PromptOf, Requests
from pytest_upskill.calls.retry import Policy
from pytest_upskill.calls.scoring import Scoring
from pytest_upskill.calls.store import Store
from pytest_upskill.protocols import Provider, Scorer
from pytest_upskill.suite.matrix import Gate, Sample, Suite, build
from pytest_upskill.suite.prompt import Prompt, skill_block
from pytest_upskill.suite.prompt import build as build_prompt
from pytest_upskill.types import (
    Arm,
    CacheMode,
    Case,
    CaseFile,
    Check,
    Model,
    Outcome,
    Reply,
    Request,
    Score,
    ScoringContext,
    ScoringRun,
    Skill,
    Usage,
)

CONCURRENCY = 4
MODEL = Model("m", "fake", "fake-1", concurrency=CONCURRENCY)
HASTY = Policy(base=0.001, cap=0.001)
Answer = Callable[[Request], Awaitable[Reply]]


def case(name: str, expected: str = "yes", *, skip: str | None = None, scorer: str = "has") -> Case:
    return Case(name, f"Question {name}?", (Check(scorer, expected),), skip=skip)


def suite(*cases: Case, name: str = "demo", body: str = "Always answer with a yes.") -> Suite:
    root = Path("/skills") / name
    return Suite(Skill(name, root, body), (CaseFile(root / "skill_meta.json", cases),))


def gate(of: Suite | None = None, model: Model = MODEL, runs: int = 1) -> Gate:
    (found,) = build(of or suite(case("a")), [model], {model.name: runs}).gates
    return found


def samples(count: int, model: Model = MODEL) -> list[Sample]:
    """Return samples of one arm, one for each case."""
    found = gate(suite(*(case(f"case-{n}") for n in range(count))), model).samples
    return [sample for sample in found if sample.arm == "with_skill"]


def prompt_of(of: Suite, case: Case, arm: Arm) -> Prompt:
    return build_prompt(case, arm, skill_block(of.skill))


class Has:
    """The one scorer of these tests: the reply holds a text."""

    isolated = False

    def validate(self, check: Check, context: ScoringContext) -> None: ...

    def score(self, reply: Reply, check: Check, context: ScoringContext) -> list[Score]:
        return [Score(str(check.value) in reply.text, reply.text, f"has {check.value}", "has")]


class NoChildren:
    """Stands where isolated scorers would run."""

    closed = False

    async def score(self, scorer: Scorer, reply: Reply, check: Check, context: ScoringContext) -> list[Score]:
        raise AssertionError("nothing is isolated here")

    async def close(self) -> None:
        self.closed = True


async def yes(request: Request) -> Reply:
    return Reply("yes", "fake-1", Usage(10, 1), "stop", 0.5)


class Fake:
    """A provider that answers with a coroutine function, and counts."""

    deterministic = False

    def __init__(self, answer: Answer = yes, version: str = "1") -> None:
        self.version = version
        self.answer = answer
        self.requests: list[Request] = []
        self.now = 0
        self.peak = 0
        self.opened = 0
        self.closed = 0

    async def open(self) -> None:
        self.opened += 1

    async def complete(self, request: Request, timeout: float) -> Reply:
        self.requests.append(request)
        self.now += 1
        self.peak = max(self.peak, self.now)
        try:
            return await self.answer(request)
        finally:
            self.now -= 1

    async def close(self) -> None:
        self.closed += 1


def scoring(scorers: Mapping[str, Scorer]) -> Scoring:
    return Scoring(scorers, NoChildren(), ScoringRun(Path(), b"seed"))


def measurer(
    provider: Provider | Mapping[str, Provider],
    *,
    store: Store | None = None,
    mode: CacheMode = "auto",
    scorers: Mapping[str, Scorer] | None = None,
    prompt: PromptOf = prompt_of,
    budget: Budget | None = None,
    policy: Policy = HASTY,
) -> Measurer:
    """Return a measurer of real parts around a fake provider; it hardly waits before it tries again."""
    providers = provider if isinstance(provider, Mapping) else {MODEL.name: provider}
    requests = Requests(prompt, providers)
    claims = Claims(store.path.parent) if store is not None else None
    means = Means(providers, Setting(mode, policy=policy), store, claims, budget=budget)
    return Measurer(requests, means, scoring(scorers or {"has": Has()}))


async def measured(measurer: Measurer, *wanted: Sample) -> list[Outcome]:
    """Measure samples one after the other and close everything."""
    try:
        return [await measurer.measure(sample) for sample in wanted]
    finally:
        await measurer.close()


def outcomes(measurer: Measurer, *wanted: Sample) -> list[Outcome]:
    """Do so on a loop of its own."""
    return asyncio.run(measured(measurer, *wanted))


def at_once(measurer: Measurer, *wanted: Sample) -> list[Outcome]:
    """Measure samples together and close everything; they may take ten seconds."""

    async def together() -> list[Outcome]:
        try:
            measuring = asyncio.gather(*(measurer.measure(sample) for sample in wanted))
            return await asyncio.wait_for(measuring, 10)
        finally:
            await measurer.close()

    return asyncio.run(together())


def outcome(measurer: Measurer, wanted: Sample) -> Outcome:
    (found,) = outcomes(measurer, wanted)
    return found
