"""Commands that a person can paste: the run as it was asked for, with something more."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_upskill.calls.recordings import mend_command
from pytest_upskill.reports.redaction import public_url
from pytest_upskill.suite.matrix import Gate
from pytest_upskill.types import Model

if TYPE_CHECKING:
    import pytest

    from pytest_upskill.session.library import Library


class Commands:
    """Makes commands with the flags of this run that decide what is asked."""

    def __init__(self, config: pytest.Config, library: Library) -> None:
        self._config = config
        self._library = library

    def record(self, root: Path, model: Model) -> str:
        """Return the command that records a skill again."""
        flags = tuple(self._flags())
        if self._library.settings.cache == "replay" and self._config.getoption("upskill_cache") is None:
            flags = (*flags, "--upskill-cache=auto")  # the ini file would have it replay again
        return mend_command(root, self._library.settings.rootdir, self._given(model), flags)

    def look(self, gate: Gate) -> str:
        """Return the command that shows a gate's replies, whole, from the store."""
        path = gate.suite.first.path
        if path.is_relative_to(self._library.settings.rootdir):
            path = Path(os.path.relpath(path))
        words = [
            "pytest",
            "-v",
            f"--upskill-models={self._given(gate.model)}",
            *self._flags(),
            *self._of_gates(),
            "--upskill-cache=replay",
            f"{path.as_posix()}::{gate.id}",
        ]
        return " ".join(shlex.quote(word) for word in words)

    def _of_gates(self) -> Iterator[str]:
        settings = self._library.settings
        if self._config.getoption("upskill_gate") is not None:
            yield f"--upskill-gate={settings.gate}"
        if settings.strict_cases and self._config.getoption("upskill_strict_cases") is not None:
            yield "--upskill-strict-cases"

    def _given(self, model: Model) -> str:
        """Return a model as it was named, but for what in an address is secret."""
        library = self._library
        names = library.settings.models or library.file.default_models
        given = dict(zip((each.name for each in library.models), names, strict=True))[model.name]
        return given.replace(model.base_url, public_url(model.base_url) or "") if model.base_url else given

    def _flags(self) -> Iterator[str]:
        settings = self._library.settings
        if settings.runs is not None and self._config.getoption("upskill_runs") is not None:
            yield f"--upskill-runs={settings.runs}"
        if self._config.getoption("upskill_base_url") is not None:
            yield f"--upskill-base-url={public_url(settings.base_url)}"
        if settings.aa and self._config.getoption("upskill_aa") is not None:
            yield "--upskill-aa"
        if settings.base is not None and self._config.getoption("upskill_base") is not None:
            yield f"--upskill-base={settings.base}"
