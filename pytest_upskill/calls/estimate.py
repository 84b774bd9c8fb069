"""What calls will take, before they are made: from the lengths of prompts, and from what the store has seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, fsum
from typing import TYPE_CHECKING

from pytest_upskill.calls.prices import Prices
from pytest_upskill.types import DEFAULT_CONCURRENCY, Account, Model, Request, Usage

if TYPE_CHECKING:
    from pytest_upskill.calls.store import History

# Of English text and of code; a tokeniser would have to be fetched for each model.
LETTERS_A_TOKEN = 4
# Tokens of a reply of which nothing is known; fewer where `max_tokens` is smaller.
UNSEEN_REPLY = 500
_LIMITS = ("max_tokens", "max_completion_tokens")


@dataclass(frozen=True, slots=True)
class Expected:
    """What a call is expected to take: tokens in and out, and US dollars; None where the price is unknown."""

    tokens: int
    cost: float | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What several calls to one model are expected to take.

    `cost` is in US dollars, None where the price is unknown, and already reduced where the calls are `batched`;
    `seconds` is None where nothing is known of the time.
    """

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = 0.0
    seconds: float | None = 0.0
    batched: bool = False


class Estimator:
    """Estimates calls. Any thread.

    Args:
        prices: of the models.
        history: what the store has seen of a model; asked once for each.
        accounts: limits that models share, by their names.
    """

    def __init__(
        self,
        prices: Prices,
        history: Callable[[Model], History | None],
        accounts: Mapping[str, Account] | None = None,
    ) -> None:
        self._prices = prices
        self._history = history
        self._accounts = accounts or {}
        self._seen: dict[str, History | None] = {}

    def call(self, model: Model, request: Request) -> Expected:
        """Return what one call will take."""
        letters = len(request.system) + sum(len(message.content) for message in request.messages)
        usage = self._usage(model, letters)
        return Expected(sum(_tokens(usage)), self._prices.cost(model, usage))

    def calls(self, model: Model, letters: Iterable[int], discount: float | None = None) -> Estimate:
        """Return what calls will take.

        Args:
            model: whom they go to.
            letters: the length of each prompt, in characters.
            discount: the part of the price that a call in a batch costs; None where there is no batch.
        """
        usages = [self._usage(model, number) for number in letters]
        if not usages:
            return Estimate()
        costs = [cost for cost in (self._prices.cost(model, usage) for usage in usages) if cost is not None]
        input_tokens, output_tokens = map(sum, zip(*map(_tokens, usages), strict=True))
        return Estimate(
            calls=len(usages),
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cost=fsum(costs) * (1.0 if discount is None else discount) if costs else None,
            seconds=self.seconds(model, len(usages), input_tokens + output_tokens)
            if discount is None
            else None,
            batched=discount is not None,
        )

    def _usage(self, model: Model, letters: int) -> Usage:
        history = self._of(model)
        output = None if history is None else history.output_tokens
        if output is None:
            output = min([UNSEEN_REPLY, *_most_tokens(model)])
        return Usage(ceil(letters / LETTERS_A_TOKEN), ceil(output))

    def seconds(self, model: Model, calls: int, tokens: int) -> float | None:
        """Return how long calls to one model will take; None where nothing is known of it."""
        history = self._of(model)
        if history is None or history.latency is None:
            return None
        rounds = max(calls / (model.concurrency or DEFAULT_CONCURRENCY), 1)
        alone = max(rounds * history.latency, _paced(model, calls, tokens))
        return max(alone, self.shared([(model, calls, tokens)]))

    def shared(self, amounts: Sequence[tuple[Model, int, int]]) -> float:
        """Return how many seconds the accounts need at least for so many calls and tokens of their models."""
        times = [0.0]
        for name, account in self._accounts.items():
            own = [(model, calls, tokens) for model, calls, tokens in amounts if model.account == name]
            times.append(_paced(account, sum(row[1] for row in own), sum(row[2] for row in own)))
            if account.concurrency:
                work = sum(calls * self._latency(model) for model, calls, _ in own)
                times.append(work / account.concurrency)
        return max(times)

    def _latency(self, model: Model) -> float:
        history = self._of(model)
        return (history.latency or 0.0) if history is not None else 0.0

    def _of(self, model: Model) -> History | None:
        if model.name not in self._seen:
            self._seen[model.name] = self._history(model)
        return self._seen[model.name]


def _paced(limits: Model | Account, calls: int, tokens: int) -> float:
    rates = ((calls, limits.requests_per_minute), (tokens, limits.tokens_per_minute))
    return max([0.0, *(60 * amount / rate for amount, rate in rates if rate)])


def _tokens(usage: Usage) -> tuple[int, int]:
    return usage.input_tokens or 0, usage.output_tokens or 0


def _most_tokens(model: Model) -> list[int]:
    given = (model.parameters.get(name) for name in _LIMITS)
    return [limit for limit in given if isinstance(limit, int) and limit > 0]
