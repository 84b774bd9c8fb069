"""What the package itself registers, through the hooks that others use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_upskill.suite.dialects.native import Native

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from pytest_upskill.protocols import Dialect, Provider, ProviderFactory, Scorer
    from pytest_upskill.providers.shared import SharedClients
    from pytest_upskill.types import JSON, Model


@pytest.hookimpl(tryfirst=True)
def pytest_upskill_dialects(register: Callable[[str, Dialect], None]) -> None:
    register("native", Native())


@pytest.hookimpl(tryfirst=True)
def pytest_upskill_providers(register: Callable[[str, ProviderFactory], None]) -> None:
    from pytest_upskill.providers.shared import SharedClients

    clients = SharedClients()
    register("reader", _reader)
    register("openai", lambda model: _openai(model, clients))
    register("anthropic", lambda model: _anthropic(model, clients))


@pytest.hookimpl(tryfirst=True)
def pytest_upskill_scorers(register: Callable[[str, Scorer], None]) -> None:
    from pytest_upskill.shipped import shipped_scorers

    for name, scorer in shipped_scorers().items():
        register(name, scorer)


@pytest.hookimpl(tryfirst=True)
def pytest_upskill_kernel_executors(register: Callable[[str, Callable[[], Executor | None]], None]) -> None:
    # This machine: the scorer executes jobs itself, one at a time for each device.
    register("local", _this_machine)


@pytest.hookimpl(tryfirst=True)
def pytest_upskill_reporters(
    register: Callable[[str, Callable[[dict[str, JSON], Path], None]], None],
) -> None:
    from pytest_upskill.reports.results import write

    register("results.json", write)


def _this_machine() -> None:
    return None


def _reader(model: Model) -> Provider:
    from pytest_upskill.providers.reader import Reader

    return Reader(model)


def _openai(model: Model, clients: SharedClients) -> Provider:
    from pytest_upskill.providers.openai import OpenAI

    return OpenAI(model, clients)


def _anthropic(model: Model, clients: SharedClients) -> Provider:
    from pytest_upskill.providers.anthropic import Anthropic

    return Anthropic(model, clients)
