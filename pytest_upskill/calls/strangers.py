"""Code of others that we run: providers, scorers, prompts. Whatever it raises becomes a sentence."""

from __future__ import annotations

import asyncio
import os
import re
from types import TracebackType

from pytest_upskill.errors import UpskillError, one_line

_SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD)S?$", re.IGNORECASE)
_SHORTEST_SECRET = 8


class in_words:  # noqa: N801 - reads as a word where it is used, as contextlib's own classes do
    """Turn what is raised in the block into an error of ours that begins with `what`.

    Our own errors pass, as does the cancellation of the task. Everything else does not, for pytest's `fail`,
    `skip` and `exit` are no `Exception`s, and `SystemExit` would end the loop and with it every other call.

    A class and not a generator: each sample enters half a dozen.
    """

    __slots__ = ("_kind", "_what")

    def __init__(self, what: str, kind: type[UpskillError]) -> None:
        self._what = what
        self._kind = kind

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, UpskillError | GeneratorExit):
            return
        if isinstance(error, asyncio.CancelledError):
            if _cancelled():
                return
            raise self._kind(f"{self._what}: it was cancelled from within") from error
        raise self._kind(f"{self._what}: {type(error).__name__}: {error}") from error


def _cancelled() -> bool:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return False
    return task is not None and task.cancelling() > 0


def presentable(text: str, *variables: str | None) -> str:
    """Return one printable line in which the values of secret environment variables are masked.

    Args:
        text: what somebody else's code said.
        variables: names of variables that hold a secret, beside those whose names say so.
    """
    secrets = {
        value.strip()
        for name, value in os.environ.items()
        if (name in variables or _SECRET_NAME.search(name)) and len(value.strip()) >= _SHORTEST_SECRET
    }
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return one_line(text)
