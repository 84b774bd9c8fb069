"""Code of others that we run: providers, scorers, prompts. Whatever it raises becomes a sentence."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from pytest_upskill.errors import UpskillError, one_line

_SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD)S?$", re.IGNORECASE)
_SHORTEST_SECRET = 8


@contextmanager
def in_words(what: str, kind: type[UpskillError]) -> Iterator[None]:
    """Turn what is raised in the block into an error of ours that begins with `what`.

    Our own errors pass, as does the cancellation of the task. Everything else does not, for pytest's `fail`,
    `skip` and `exit` are no `Exception`s, and `SystemExit` would end the loop and with it every other call.
    """
    try:
        yield
    except (UpskillError, GeneratorExit):
        raise
    except asyncio.CancelledError as error:
        if _cancelled():
            raise
        raise kind(f"{what}: it was cancelled from within") from error
    except BaseException as error:
        raise kind(f"{what}: {type(error).__name__}: {error}") from error


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
