"""What plugins registered: dialects, providers, scorers, reporters. Each kind is asked for once, when needed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import pytest

from pytest_upskill import builtin
from pytest_upskill.suite import SKILL_FILE

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from pytest_upskill.protocols import Dialect, ProviderFactory, Scorer
    from pytest_upskill.types import JSON

T = TypeVar("T")


class _Register(Generic[T]):
    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.entries: dict[str, T] = {}

    def __call__(self, name: str, entry: T) -> None:
        if name in self.entries:
            raise pytest.UsageError(f"two plugins register a {self.kind} called '{name}': rename one")
        self.entries[name] = entry


def registry(config: pytest.Config) -> Registry:
    """Return the registry of this process."""
    found = config.stash.get(_REGISTRY, None)
    if found is None:
        found = config.stash[_REGISTRY] = Registry(config)
    return found


class Registry:
    """The registered entries by their names, ours first."""

    def __init__(self, config: pytest.Config) -> None:
        self._hook = config.hook
        if not config.pluginmanager.has_plugin("upskill-builtin"):
            config.pluginmanager.register(builtin, "upskill-builtin")

    @cached_property
    def file_names(self) -> frozenset[str]:
        """The names of files that may belong to a skill: all that is asked of a file in a suite without one."""
        return frozenset(
            {SKILL_FILE, *(dialect.file.rpartition("/")[2] for dialect in self.dialects.values())}
        )

    @cached_property
    def dialects(self) -> dict[str, Dialect]:
        register: _Register[Dialect] = _Register("dialect")
        self._hook.pytest_upskill_dialects(register=register)
        return register.entries

    @cached_property
    def providers(self) -> dict[str, ProviderFactory]:
        register: _Register[ProviderFactory] = _Register("provider")
        self._hook.pytest_upskill_providers(register=register)
        return register.entries

    @cached_property
    def scorers(self) -> dict[str, Scorer]:
        register: _Register[Scorer] = _Register("scorer")
        self._hook.pytest_upskill_scorers(register=register)
        return register.entries

    @cached_property
    def executors(self) -> dict[str, Callable[[], Executor | None]]:
        register: _Register[Callable[[], Executor | None]] = _Register("kernel executor")
        self._hook.pytest_upskill_kernel_executors(register=register)
        return register.entries

    @cached_property
    def reporters(self) -> dict[str, Callable[[dict[str, JSON], Path], None]]:
        register: _Register[Callable[[dict[str, JSON], Path], None]] = _Register("reporter")
        self._hook.pytest_upskill_reporters(register=register)
        return register.entries


_REGISTRY: pytest.StashKey[Registry] = pytest.StashKey()
