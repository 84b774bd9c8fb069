"""What calls cost at the list price: from upskill.yaml, else from genai-prices, without a network."""

from __future__ import annotations

import os
from bisect import bisect_left
from dataclasses import dataclass
from math import floor, log10
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pytest_upskill.types import Model, Price, Usage

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from genai_prices.types import ModelPrice

_PACKAGE = "genai_prices"
_FREE = ("reader",)
# Where an SDK goes that is given no `base_url`.
_SERVERS = {"openai": "OPENAI_BASE_URL", "anthropic": "ANTHROPIC_BASE_URL"}
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class _Rates:
    """Prices by the number of input tokens: those of `tiers[n]` hold for a call with more than n of the `starts`.

    `call` is in US dollars and comes on top of every call.
    """

    tiers: tuple[Price, ...]
    starts: tuple[int, ...] = ()
    call: float = 0.0

    def cost(self, inputs: int, outputs: int) -> float:
        price = self.tiers[bisect_left(self.starts, inputs)] if self.starts else self.tiers[0]
        return self.call + (inputs * price.input + outputs * price.output) / _MILLION


def in_dollars(amount: float) -> str:
    """Return `$2.50`, `$0.031`: two decimals, or as many as two digits need; never 0 for what is not."""
    if amount >= 0.1 or amount == 0:
        return f"${amount:,.2f}"
    if amount < 0.0001:
        return "<$0.0001"
    return f"${amount:.{1 - floor(log10(amount))}f}"


class Prices:
    """List prices of models. What is not known stays unknown and is never 0."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str | None, Price | None], _Rates | None] = {}

    def of(self, model: Model) -> Price | None:
        """Return the price of a model; where it rises with the prompt, that of short prompts. None if unknown."""
        rates = self._rates(model)
        return None if rates is None else rates.tiers[0]

    def cost(self, model: Model, usage: Usage) -> float | None:
        """Return what a call costs, in US dollars; None where the price or the usage is unknown."""
        if usage.input_tokens is None or usage.output_tokens is None:
            return None
        rates = self._rates(model)
        return None if rates is None else rates.cost(usage.input_tokens, usage.output_tokens)

    def mend(self, *models: Model) -> str:
        """Return what to do about models whose price is unknown."""
        from importlib.util import find_spec

        mend = f"give {'it a price' if len(models) == 1 else 'them prices'} in upskill.yaml"
        listed = any(model.provider in _SERVERS and _server(model) is None for model in models)
        return f"{mend}, or pip install genai-prices" if listed and find_spec(_PACKAGE) is None else mend

    def _rates(self, model: Model) -> _Rates | None:
        key = (model.provider, model.model, model.base_url, model.price)
        try:
            return self._known[key]
        except KeyError:
            found = self._known[key] = _found(model)
            return found


def _found(model: Model) -> _Rates | None:
    if model.price is not None:
        return _Rates((model.price,))
    if model.provider in _FREE:
        return _Rates((Price(0, 0),))
    if model.provider not in _SERVERS:
        return None
    try:
        return None if _local(_server(model)) else _listed(model)
    except Exception:  # noqa: BLE001 - not installed, not known there, or broken: unknown, and no reason to end a run
        return None


def _server(model: Model) -> str | None:
    return model.base_url or os.environ.get(_SERVERS[model.provider]) or None


def _local(server: str | None) -> bool:
    """Tell whether an address is nobody's who publishes prices: to look those up takes a quarter of a second."""
    host = "" if server is None else urlsplit(server).hostname or ""
    return bool(host) and ("." not in host or host.replace(".", "").isdecimal())


def _listed(model: Model) -> _Rates | None:
    from datetime import UTC, datetime

    from genai_prices.data_snapshot import get_snapshot

    server = _server(model)
    provider = None if server else model.provider
    owner, info = get_snapshot().find_provider_model(model.model, None, provider, server)
    now = datetime.now(UTC)
    listed = info.get_prices(now)
    # A model that is listed without prices is not free.
    if listed.input_mtok is None or listed.output_mtok is None:
        return None

    def total(inputs: int, outputs: int) -> Decimal:
        from genai_prices import Usage as Tokens

        tokens = Tokens(input_tokens=inputs, output_tokens=outputs)
        return info.calc_price(tokens, owner, genai_request_timestamp=now).total_price

    return _rates_of(total, _starts(listed))


def _starts(listed: ModelPrice) -> tuple[int, ...]:
    tiered = (getattr(price, "tiers", ()) for price in (listed.input_mtok, listed.output_mtok))
    return tuple(sorted({tier.start for tiers in tiered for tier in tiers}))


def _rates_of(total: Callable[[int, int], Decimal], starts: tuple[int, ...]) -> _Rates:
    """Ask once for each tier: genai-prices takes 100 us for a call, and a sum is asked for every sample."""
    call = total(0, 0)
    tiers = []
    for inputs in (1, *(start + 1 for start in starts)):
        prompt = total(inputs, 0)
        input_, output = (prompt - call) / inputs, total(inputs, 1) - prompt
        tiers.append(Price(float(input_ * _MILLION), float(output * _MILLION)))
    return _Rates(tuple(tiers), starts, float(call))
