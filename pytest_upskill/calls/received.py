"""What providers hand over, made such that nothing further on stumbles over it: they may be anybody's code."""

from __future__ import annotations

import math
from collections.abc import Callable

from pytest_upskill.errors import CallError
from pytest_upskill.types import RateLimits, Reply, Usage, Window


def cleaned(reply: Reply, mask: Callable[[str], str]) -> Reply:
    """Return a reply that any file, terminal, worker or sum takes, and that holds no key."""
    usage: object = reply.usage
    # JSON can carry lone surrogates.
    return Reply(
        text=mask(_encodable(reply.text)),
        model=mask(_encodable(reply.model)) if isinstance(reply.model, str) else None,
        usage=_usage(usage) if isinstance(usage, Usage) else Usage(),
        stop_reason=mask(_encodable(reply.stop_reason)) if isinstance(reply.stop_reason, str) else None,
        latency=_amount(reply.latency) or 0.0,
        limits=_limits(reply.limits),
    )


def straighten(error: CallError) -> None:
    """Take from an error what is no time to wait, and what are no limits."""
    error.retry_after = _amount(error.retry_after)
    error.limits = _limits(error.limits)


def _encodable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _usage(usage: Usage) -> Usage:
    if _is_count(usage.input_tokens) and _is_count(usage.output_tokens):
        return usage
    counts = (usage.input_tokens, usage.output_tokens)
    return Usage(*(count if _is_count(count) else None for count in counts))


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _amount(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < math.inf else None


def _limits(limits: object) -> RateLimits | None:
    if not isinstance(limits, RateLimits):
        return None
    return RateLimits(_window(limits.requests), _window(limits.tokens))


def _window(window: object) -> Window | None:
    if not isinstance(window, Window):
        return None
    return Window(_amount(window.limit), _amount(window.remaining), _amount(window.reset))
