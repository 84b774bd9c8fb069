"""Measuring one sample: its request, the store, the call, the scores."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from pytest_upskill.calls.quiet import notes
from pytest_upskill.calls.store import Store, StoreError, reply_key, request_digest
from pytest_upskill.errors import CallError, ScorerError
from pytest_upskill.suite.matrix import Sample, Suite
from pytest_upskill.suite.prompt import Prompt, leaked_line, telling_lines
from pytest_upskill.types import (
    WITHOUT,
    Arm,
    CacheMode,
    Case,
    Check,
    Message,
    Model,
    Outcome,
    Provider,
    Reply,
    Request,
    Score,
    Scorer,
    ScoringContext,
)

PromptOf = Callable[[Suite, Case, Arm], Prompt]


class Isolation(Protocol):
    """Runs isolated scorers elsewhere, with a time limit."""

    async def score(
        self, scorer: Scorer, reply: Reply, check: Check, context: ScoringContext
    ) -> list[Score]: ...

    async def close(self) -> None: ...


class Requests:
    """The requests of samples and the digests of their keys, each made once."""

    def __init__(self, prompt_of: PromptOf, providers: Mapping[str, Provider]) -> None:
        self._prompt_of = prompt_of
        self._providers = providers
        self._digests: dict[tuple[Case, str, Arm], bytes] = {}
        self._bodies: dict[Suite, frozenset[str]] = {}

    def prompt(self, sample: Sample) -> Prompt:
        return self._prompt_of(sample.suite, sample.case, sample.arm)

    def request(self, sample: Sample) -> Request:
        prompt = self.prompt(sample)
        messages = (Message("user", prompt.user),)
        return Request(sample.model.model, prompt.system, messages, sample.model.parameters)

    def key(self, sample: Sample) -> bytes:
        place = (sample.case, sample.model.name, sample.arm)
        digest = self._digests.get(place)
        if digest is None:
            provider = self._providers[sample.model.name]
            digest = self._digests[place] = request_digest(sample.model, provider, self.request(sample))
        return reply_key(digest, sample.run)

    def contamination(self, sample: Sample) -> str | None:
        """Return the line of the skill that a sample without it would send all the same, or None."""
        if sample.arm != WITHOUT:
            return None
        body = self._bodies.get(sample.suite)
        if body is None:
            body = self._bodies[sample.suite] = telling_lines(sample.suite.skill.body)
        return leaked_line(self.prompt(sample), body, sample.case)


class Measurer:
    """Measures samples on the engine's loop; identical requests of a run are made once."""

    def __init__(
        self,
        requests: Requests,
        providers: Mapping[str, Provider],
        scorers: Mapping[str, Scorer],
        isolation: Isolation,
        store: Store | None,
        mode: CacheMode,
    ) -> None:
        self._requests = requests
        self._providers = providers
        self._scorers = scorers
        self._store = store
        self._mode = mode
        self._isolation = isolation
        self._flights: dict[bytes, asyncio.Future[tuple[Reply, bool]]] = {}
        self._clients: dict[str, asyncio.Future[None]] = {}
        self._open: list[Provider] = []
        # The whole sentence of what keeps a model from being called, by its name.
        self.down: dict[str, CallError] = {}
        self.calls = 0

    async def measure(self, sample: Sample) -> Outcome:
        """Return what became of a sample; never raises but for cancellation."""
        if sample.case.skip:
            return Outcome(skip=sample.case.skip)
        with notes() as log:
            try:
                return await self._measured(sample, log)
            except (CallError, StoreError) as error:
                text = _said(sample.model, error) if isinstance(error, CallError) else str(error)
                return Outcome(error=text, log=tuple(log))
            except Exception as error:  # noqa: BLE001 - whatever a plugin raises, the item must not wait for ever
                where = f"{type(error).__name__}: {error}"
                return Outcome(error=f"{sample.model.name}: the provider failed: {where}", log=tuple(log))

    async def close(self) -> None:
        """Close what was opened, on the loop."""
        await self._isolation.close()
        for provider in self._open:
            await provider.close()
        if self._store is not None:
            await self._store.close()

    async def _measured(self, sample: Sample, log: list[str]) -> Outcome:
        leak = self._requests.contamination(sample)
        if leak is not None:
            return Outcome(error=f"contaminated: the prompt without the skill holds a line of it: {leak!r}")
        reply, cached = await self._reply(sample)
        try:
            scores = await self._scores(sample, reply)
        except ScorerError as error:
            return Outcome(reply=reply, error=str(error), cached=cached, log=tuple(log))
        return Outcome(reply=reply, scores=scores, cached=cached, log=tuple(log))

    async def _reply(self, sample: Sample) -> tuple[Reply, bool]:
        key = self._requests.key(sample)
        flight = self._flights.get(key)
        if flight is None:
            stored = self._stored(key)
            if stored is not None:
                return stored, True
            flight = self._flights[key] = asyncio.ensure_future(self._call(sample, key))
        return await asyncio.shield(flight)

    def _stored(self, key: bytes) -> Reply | None:
        if self._store is None or self._mode not in ("auto", "replay"):
            return None
        return self._store.get(key)

    async def _call(self, sample: Sample, key: bytes) -> tuple[Reply, bool]:
        model = sample.model
        if self._mode == "replay":
            raise CallError(f"{model.name}: no stored reply, and --upskill-cache=replay makes no call")
        await self._client(model)
        self._refuse_if_down(model)
        self.calls += 1
        try:
            reply = await self._providers[model.name].complete(self._requests.request(sample), model.timeout)
        except CallError as error:
            if error.fatal:
                self.down.setdefault(model.name, error)
            raise
        if self._store is not None:
            await self._store.put(key, reply)
        return reply, False

    def _refuse_if_down(self, model: Model) -> None:
        error = self.down.get(model.name)
        if error is not None:
            raise error

    async def _client(self, model: Model) -> None:
        ready = self._clients.get(model.name)
        if ready is None:
            ready = self._clients[model.name] = asyncio.ensure_future(self._open_client(model))
        await asyncio.shield(ready)

    async def _open_client(self, model: Model) -> None:
        provider = self._providers[model.name]
        try:
            await provider.open()
        except CallError as error:
            self.down[model.name] = error
            raise
        self._open.append(provider)

    async def _scores(self, sample: Sample, reply: Reply) -> tuple[Score, ...]:
        context = ScoringContext(sample.suite.skill.root, sample.case)
        found: list[Score] = []
        for check in sample.case.checks:
            found += await self._score(check, reply, context)
        return tuple(found)

    async def _score(self, check: Check, reply: Reply, context: ScoringContext) -> list[Score]:
        scorer = self._scorers[check.scorer]
        if scorer.isolated:
            return await self._isolation.score(scorer, reply, check, context)
        try:
            return scorer.score(reply, check, context)
        except ScorerError:
            raise
        except Exception as error:
            raise ScorerError(
                f"{check.scorer}: the scorer failed: {type(error).__name__}: {error}"
            ) from error


def _said(model: Model, error: CallError) -> str:
    # What stops a whole model is said whole once, by the gate and the summary, and not by each sample.
    text = error.short if error.fatal else str(error)
    return text if text.startswith(model.name) else f"{model.name}: {text}"
