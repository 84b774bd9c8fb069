"""What the tests of the HTTP providers share."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import pytest

from pytest_upskill.errors import CallError
from pytest_upskill.providers.anthropic import Anthropic
from pytest_upskill.providers.http import HTTPProvider
from pytest_upskill.providers.openai import OpenAI
from pytest_upskill.types import JSON, Fault, Message, Model, Reply, Request

Kind = type[OpenAI] | type[Anthropic]
BOTH: tuple[Kind, ...] = (OpenAI, Anthropic)
since_1 = pytest.mark.skipif(
    int(version("anthropic").partition(".")[0]) < 1, reason="this anthropic package has no such credentials"
)
both = pytest.mark.parametrize("kind", BOTH, ids=[kind.sdk for kind in BOTH])


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take away every credential, profile and proxy of whoever runs the tests."""
    for name in list(os.environ):
        if name.startswith(("OPENAI_", "ANTHROPIC_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


def base(kind: Kind, root: str) -> str:
    """Return the base_url under which this API lies on a loopback server."""
    return f"{root}/v1" if kind is OpenAI else root


def model(kind: Kind, root: str | None, *, api_key_env: str | None = None, concurrency: int = 16) -> Model:
    """Return the model `glm` behind this provider."""
    url = None if root is None else base(kind, root)
    return Model("glm", kind.sdk, "m-1", base_url=url, api_key_env=api_key_env, concurrency=concurrency)


def request(text: str = "ping", system: str = "", parameters: Mapping[str, JSON] | None = None) -> Request:
    """Return a request with one message."""
    return Request("m-1", system, (Message("user", text),), parameters or {})


def ask(
    kind: Kind, target: str | Model | None, asked: Request | None = None, *, timeout: float = 5.0
) -> Reply:
    """Open, make one call and close, in a loop of its own."""

    async def go() -> Reply:
        provider: HTTPProvider = kind(target if isinstance(target, Model) else model(kind, target))
        try:
            await provider.open()
            return await provider.complete(asked or request(), timeout)
        finally:
            await provider.close()

    return asyncio.run(go())


def caught(kind: Kind, target: str | Model | None, *, timeout: float = 5.0) -> CallError:
    """Return the error that a call ends in."""
    with pytest.raises(CallError) as found:
        ask(kind, target, timeout=timeout)
    return found.value


def failure(
    kind: Kind, target: str | Model | None, *, timeout: float = 5.0, fault: Fault = "final"
) -> tuple[str, str, bool]:
    """Return message, short form and fatality of the error that a call ends in, which has this fault."""
    error = caught(kind, target, timeout=timeout)
    assert error.fault == fault
    return str(error), error.short, error.fatal


def dead_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port
