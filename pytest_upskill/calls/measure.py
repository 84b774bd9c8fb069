"""Measuring one sample: its request, the store, the call, the scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from pytest_upskill.calls.attempts import Traffic
from pytest_upskill.calls.caller import Got
from pytest_upskill.calls.means import Means
from pytest_upskill.calls.quiet import notes
from pytest_upskill.calls.scoring import Scoring, stages_of
from pytest_upskill.calls.store import reply_key, request_digest
from pytest_upskill.calls.strangers import in_words, presentable
from pytest_upskill.errors import CallError, NotApplicable, ScorerError, UpskillError
from pytest_upskill.protocols import Provider
from pytest_upskill.suite.matrix import Sample, Suite
from pytest_upskill.suite.prompt import Prompt, leaked_line, skill_block, telling_lines
from pytest_upskill.types import (
    WITHOUT,
    Arm,
    Case,
    Message,
    Model,
    Outcome,
    Request,
)

PromptOf = Callable[[Suite, Case, Arm], Prompt]


class Requests:
    """The requests of samples and the digests of their keys, each made once."""

    def __init__(self, prompt_of: PromptOf, providers: Mapping[str, Provider]) -> None:
        self._prompt_of = prompt_of
        self._providers = providers
        self._digests: dict[tuple[Case, str, Arm], bytes] = {}
        # The last one, with whom it is for: a sample asks for its prompt more than once.
        self._made: tuple[tuple[Suite, Case, Arm], Prompt] | None = None
        self._bodies: dict[Suite, frozenset[str]] = {}
        self._leaks: dict[Case, str | None] = {}

    def prompt(self, sample: Sample) -> Prompt:
        """Return what a sample sends. Raises an error in words, whatever a plugin's prompt raises."""
        place, made = (sample.suite, sample.case, sample.arm), self._made
        if made is None or made[0] != place:
            with in_words(f"the prompt of {sample.case.id} could not be made", CallError):
                made = place, self._prompt_of(*place)
            self._made = made
        return made[1]

    def request(self, sample: Sample) -> Request:
        prompt = self.prompt(sample)
        messages = (Message("user", prompt.user),)
        return Request(sample.model.model, prompt.system, messages, sample.model.parameters)

    def key(self, sample: Sample) -> bytes:
        return self.keyed(sample)[0]

    def keyed(self, sample: Sample) -> tuple[bytes, Request | None]:
        """Return the key, and the request where it had to be made for that."""
        place = (sample.case, sample.model.name, sample.arm)
        digest, request = self._digests.get(place), None
        if digest is None:
            request = self.request(sample)
            provider = self._providers[sample.model.name]
            digest = self._digests[place] = request_digest(sample.model, provider, request)
        return reply_key(digest, sample.run), request

    def contamination(self, sample: Sample) -> str | None:
        """Return the line of the skill that a sample without it would send all the same, or None."""
        if sample.arm != WITHOUT:
            return None
        if sample.case not in self._leaks:
            body = self._bodies.get(sample.suite)
            if body is None:
                block = skill_block(sample.suite.skill, sample.suite.first.inject)
                body = self._bodies[sample.suite] = telling_lines(block)
            self._leaks[sample.case] = leaked_line(self.prompt(sample), body, sample.case)
        return self._leaks[sample.case]


class Measurer:
    """Measures samples on the engine's loop; identical requests of a run are made once."""

    def __init__(self, requests: Requests, means: Means, scoring: Scoring) -> None:
        self._requests = requests
        self.means = means
        self._caller = means.caller
        self._scoring = scoring
        self._said: set[tuple[str, str]] = set()
        self.stored = 0

    @property
    def down(self) -> Mapping[str, CallError]:
        """What keeps a model from being called, by its name."""
        return dict(self.means.clients.down)

    @property
    def traffic(self) -> Traffic:
        """What went to the servers so far."""
        return self.means.attempts.traffic

    async def measure(self, sample: Sample) -> Outcome:
        """Return what became of a sample; never raises but for cancellation."""
        if sample.case.skip:
            return Outcome(skip=sample.case.skip)
        variable = sample.model.api_key_env
        with notes() as log:
            try:
                with in_words(f"{sample.model.name}: {sample.id} could not be measured", CallError):
                    outcome = await self._measured(sample)
            except UpskillError as error:
                words, short = self._words(error, sample.model)
                outcome = Outcome(error=presentable(words, variable), short=presentable(short, variable))
        masked = (self.means.clients.mask(sample.model, line) for line in log)
        return replace(outcome, log=tuple(presentable(line, variable) for line in masked)) if log else outcome

    async def close(self) -> None:
        """End what is under way and close what was opened, on the loop."""
        await self._scoring.close()
        await self._caller.close()

    def _words(self, error: UpskillError, model: Model) -> tuple[str, str]:
        """Return what is said of an error at its sample, and its cause in a few words."""
        if not isinstance(error, CallError):
            return str(error), str(error)
        # What holds for all samples of a model is said at the end, once for all of them.
        if error.fatal:
            return error.short, error.short
        told = (model.name, str(error))
        words = error.short if told in self._said else str(error)
        self._said.add(told)
        return words, error.short

    async def _measured(self, sample: Sample) -> Outcome:
        leak = self._requests.contamination(sample)
        if leak is not None:
            raise CallError(f"contaminated: the prompt without the skill holds a line of it: {leak!r}")
        # Nothing is paid for what then cannot be judged.
        try:
            await self._scoring.ready(sample)
        except NotApplicable as reason:
            return Outcome(skip=presentable(str(reason)))
        got = await self._got(sample)
        self.stored += got.source in ("store", "recording")
        cost = self.means.prices.cost(sample.model, got.reply.usage)
        try:
            scores = await self._scoring.scores(sample, got.reply)
        except ScorerError as error:
            words, there = presentable(str(error)), isinstance(error, NotApplicable)
            skip, fault = (words, None) if there else (None, words)
            return Outcome(got.reply, (), fault, skip, got.source, cost, stages=error.stages)
        return Outcome(got.reply, scores, source=got.source, cost=cost, stages=stages_of(scores))

    async def _got(self, sample: Sample) -> Got:
        means = self.means
        key, request = self._requests.keyed(sample)
        if means.mode in ("auto", "replay"):
            recorded = means.recordings.get(sample.suite.skill.root, sample.model.name, key)
            if recorded is not None:
                return Got(recorded, "recording")
        if means.mode != "replay":
            return await self._caller.reply(
                sample.model, key, lambda: request or self._requests.request(sample)
            )
        stored = self._caller.stored(key)
        if stored is None:
            raise means.unrecorded(sample)
        return Got(stored, "store")
