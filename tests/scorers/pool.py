from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

import pytest

from pytest_upskill.errors import ScorerError
from pytest_upskill.scorers.isolate import Judges
from pytest_upskill.types import JSON, Score, ScoringContext

Scoring = Callable[[Judges, str, JSON, str], Awaitable[list[Score]]]
EVIL = "a" * 40 + "!"


def run(work: Callable[[Judges], Awaitable[object]], *, size: int = 1, limit: float = 10.0) -> list[int]:
    """Run the work with a pool and close it; return the ids of the processes that it had at the end."""

    async def main() -> list[int]:
        judges = Judges(size, limit)
        try:
            await work(judges)
            return [process.pid for process in judges._processes]
        finally:
            await judges.close()

    return asyncio.run(main())


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def write_checks(context: ScoringContext, text: str) -> None:
    (context.root / "checks.py").write_text(text)


async def error_of(work: Awaitable[object]) -> str:
    with pytest.raises(ScorerError) as caught:
        await work
    return str(caught.value)
