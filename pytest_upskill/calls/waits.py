"""Waits that can be ended for all who wait, once there is nothing to wait for any more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

_Result = TypeVar("_Result")


class WaitEnded(Exception):
    """Somebody ended the wait."""


class Waits:
    """The tasks that wait, by the name of what they wait for; on the engine's loop."""

    def __init__(self) -> None:
        self._names: dict[asyncio.Task[Any], str] = {}
        self._ended: set[asyncio.Task[Any]] = set()

    async def on(self, name: str, awaited: Awaitable[_Result]) -> _Result:
        """Wait for something, in a task.

        Raises:
            WaitEnded: `end` was called meanwhile.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can wait")
        self._names[task] = name
        try:
            return await awaited
        except asyncio.CancelledError:
            # As `asyncio.timeout` does it: what others cancel stays cancelled.
            if task in self._ended and task.uncancel() == 0:
                raise WaitEnded from None
            raise
        finally:
            del self._names[task]
            self._ended.discard(task)

    def end(self, name: str | None = None) -> None:
        """End all waits for a name; for any when it is None."""
        for task, own in self._names.items():
            if name in (None, own) and task not in self._ended:
                self._ended.add(task)
                task.cancel()
