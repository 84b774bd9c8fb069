"""The hooks of a run with --upskill-changed: what was left out is said, and is no reason to fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_upskill.reports.changed import Selection, selection_lines
from pytest_upskill.session.changed import Changed
from pytest_upskill.session.collect import SkillItem

if TYPE_CHECKING:
    from pytest_upskill.session.library import Library

NAME = "upskill-changed"
_OUTPUT = "pytest_upskill_changed"


def take_part(config: pytest.Config, library: Library) -> Changed:
    """Start our part of the run in this process."""
    changed = Changed(config, library)
    config.pluginmanager.register(LeftOutHooks(config, changed), NAME)
    return changed


def selection_of(config: pytest.Config) -> Selection | None:
    """Return what was selected, once it is known; None in a run without --upskill-changed."""
    hooks = config.pluginmanager.get_plugin(NAME)
    return hooks.selection if isinstance(hooks, LeftOutHooks) else None


class LeftOutHooks:
    """In the process that collects, and in xdist's controller, which hears of it from a worker at the end."""

    def __init__(self, config: pytest.Config, changed: Changed) -> None:
        self._config = config
        self._changed = changed
        self._failure: str | None = None
        self._from_worker = self._nothing_ran = self._told = False
        # Items that somebody else deselected: with them, a run without tests is nothing that we have made.
        self._deselected = 0
        self.selection: Selection | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Drop what was collected only because an id on the command line names it."""
        ours = [item for item in items if self._left_out(item)]
        if ours:
            items[:] = [item for item in items if not self._left_out(item)]
            config.hook.pytest_deselected(items=ours)

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        self._deselected += sum(not self._left_out(item) for item in items)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._failure = self._changed.failure
        if self._failure is None:
            found = self._changed.selection()
            # With errors alone, there is nothing to say of skills.
            self.selection = found if found.skills or not session.testsfailed else None
        elif not self._worker:
            raise pytest.UsageError(self._failure)

    def pytest_report_collectionfinish(self) -> list[str]:
        return self._lines() if self._config.get_verbosity() >= 0 else []

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:  # noqa: ANN401 - xdist's WorkerController
        told = getattr(node, "workeroutput", {}).get(_OUTPUT)
        if told and self.selection is None:
            self._from_worker = True
            self._failure, self._deselected = told["failure"], told["deselected"]
            self.selection = told["selection"] and Selection(**told["selection"])

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._worker:
            self._config.workeroutput[_OUTPUT] = {  # type: ignore[attr-defined] # xdist's
                "selection": self.selection and asdict(self.selection),
                "deselected": self._deselected,
                "failure": self._failure,
            }
        elif self._failure is not None:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        elif session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and self._nothing_else:
            self._nothing_ran = True
            session.exitstatus = pytest.ExitCode.OK

    @pytest.hookimpl(tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what was not said before: what a worker told, and with -q why nothing ran."""
        if self._failure is not None and self._from_worker:
            terminalreporter.write_line(f"ERROR: {self._failure}", red=True)
        elif self._config.get_verbosity() >= 0 or self._nothing_ran:
            for line in self._lines():
                terminalreporter.write_line(line)

    def _lines(self) -> list[str]:
        if self._told or self.selection is None:
            return []
        self._told = True
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        width = reporter._tw.fullwidth if reporter is not None else 80  # noqa: SLF001 - no public way to it
        return selection_lines(self.selection, width)

    @property
    def _worker(self) -> bool:
        return hasattr(self._config, "workerinput")

    @property
    def _nothing_else(self) -> bool:
        found = self.selection
        return found is not None and bool(found.left_out or found.deleted) and not self._deselected

    def _left_out(self, item: pytest.Item) -> bool:
        return isinstance(item, SkillItem) and self._changed.leaves_out(Path(item.place[0]))
