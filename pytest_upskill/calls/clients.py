"""The clients of a run: each provider opened once, what keeps a model from being called, and what must be masked."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from pytest_upskill.calls.strangers import in_words, presentable
from pytest_upskill.errors import CallError, UpskillError
from pytest_upskill.protocols import Provider
from pytest_upskill.types import Model

_LONGEST_CLOSE = 3.0  # seconds, for each kind of what is open
_SHORTEST_SECRET = 8
_SDK_KEYS = ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
_Error = TypeVar("_Error", bound=UpskillError)


class Clients:
    """Opens providers when they are first needed, on the engine's loop."""

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self._providers = providers
        self._ready: dict[str, asyncio.Task[None]] = {}
        self._open: list[Provider] = []
        self._secrets: dict[str, tuple[str, ...]] = {}
        # The whole sentence of what keeps a model from being called, by its name.
        self.down: dict[str, CallError] = {}

    def provider(self, model: Model) -> Provider:
        return self._providers[model.name]

    async def ready(self, model: Model) -> None:
        """Wait until a model's client is open.

        Raises:
            CallError: it cannot be opened, or the model was given up.
        """
        task = self._ready.get(model.name)
        if task is None:
            task = self._ready[model.name] = asyncio.ensure_future(self._open_client(model))
        if not task.done():
            await asyncio.shield(task)
        self.refuse_vain_calls(model)

    def refuse_vain_calls(self, model: Model) -> None:
        """Raise the error of a model that was given up."""
        error = self.down.get(model.name)
        if error is not None:
            raise anew(error)

    def give_up(self, model: Model, error: CallError) -> None:
        """Let no further call to a model be tried."""
        self.down.setdefault(model.name, error)

    def mask(self, model: Model, text: str) -> str:
        """Return a reply's text without the keys that could have gone to its server."""
        for secret in self._secrets.get(model.name, ()):
            if secret in text:
                text = text.replace(secret, "***")
        return text

    def presentable(self, model: Model, error: CallError) -> CallError:
        """Return the error with its texts on one line and without keys."""
        # Masked before it is cut: half a key would no longer be recognised.
        texts = (self.mask(model, text) for text in (str(error), error.short))
        sentence, short = (presentable(text, model.api_key_env) for text in texts)
        return CallError(
            sentence,
            short=short,
            fatal=error.fatal,
            fault=error.fault,
            retry_after=error.retry_after,
            limits=error.limits,
        )

    async def close(self) -> None:
        """Close what is open."""
        opening = list(self._ready.values())
        for task in opening:
            task.cancel()
        await finished(opening)
        await finished([asyncio.ensure_future(closed(provider)) for provider in self._open])

    async def _open_client(self, model: Model) -> None:
        provider = self._providers[model.name]
        self._open.append(provider)
        try:
            with in_words(f"{model.name}: the provider could not be opened", CallError):
                await provider.open()
        except CallError as caught:
            error = self.presentable(model, caught)
            error.fatal = True
            self.give_up(model, error)
            raise error from caught
        self._secrets[model.name] = _secrets(model, provider)


def _secrets(model: Model, provider: Provider) -> tuple[str, ...]:
    names = [*_SDK_KEYS, *([model.api_key_env] if model.api_key_env else [])]
    own: Sequence[str] = getattr(provider, "secrets", ())
    found = {*own, *(os.environ.get(name, "").strip() for name in names)}
    return tuple(sorted((key for key in found if len(key) >= _SHORTEST_SECRET), key=len, reverse=True))


def anew(error: _Error) -> _Error:
    """Return an error like it: the traceback of one that is raised again and again grows each time."""
    again = type(error).__new__(type(error), *error.args)
    again.__dict__.update(error.__dict__)
    return again


class _Closable(Protocol):
    async def close(self) -> None: ...


async def closed(what: _Closable) -> None:
    """Close something; what it raises must not keep the others open, and nobody is left to be told."""
    with contextlib.suppress(CallError), in_words("closing failed", CallError):
        await what.close()


async def finished(tasks: Sequence[asyncio.Future[Any]]) -> None:
    """Wait for tasks, not for ever, and take no notice of what they raised."""
    if not tasks:
        return
    done, late = await asyncio.wait(tasks, timeout=_LONGEST_CLOSE)
    for task in late:
        task.cancel()
    for task in done:
        if not task.cancelled():
            task.exception()  # a failure that nobody waits for any more is no news
