"""Checks on what a reply cost: max_output_tokens and max_latency."""

from __future__ import annotations

import math

from pytest_upskill.errors import ScorerError
from pytest_upskill.scorers.evidence import scored
from pytest_upskill.scorers.subject import kind
from pytest_upskill.types import Check, Reply, Score, ScoringContext


class MaxOutputTokens:
    """Hit when the server counted at most that many output tokens."""

    isolated = False

    def validate(self, check: Check, context: ScoringContext) -> None:
        if not isinstance(check.value, int) or isinstance(check.value, bool) or check.value < 1:
            raise ValueError(f"max_output_tokens needs a whole number above 0, not {kind(check.value)}")

    def score(self, reply: Reply, check: Check, context: ScoringContext) -> list[Score]:
        used = reply.usage.output_tokens
        if used is None:
            raise ScorerError(
                "max_output_tokens: the server did not report how many output tokens it used; "
                "let it report usage, or remove this check"
            )
        limit = _number(check)
        return [
            scored(
                reply, check, used <= limit, f"{used} output tokens", f"at most {check.value} output tokens"
            )
        ]


class MaxLatency:
    """Hit when the reply took at most that many seconds."""

    isolated = False

    def validate(self, check: Check, context: ScoringContext) -> None:
        value = check.value
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
            raise ValueError(f"max_latency needs a number of seconds above 0, not {kind(value)}")

    def score(self, reply: Reply, check: Check, context: ScoringContext) -> list[Score]:
        limit = _number(check)
        return [
            scored(reply, check, reply.latency <= limit, f"{reply.latency:.2f} s", f"within {check.value} s")
        ]


def _number(check: Check) -> float:
    return check.value if isinstance(check.value, int | float) else math.nan
