"""A run of which only the plan is wanted (--upskill-plan): it is printed, and no test of any kind runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_upskill.errors import UpskillError
from pytest_upskill.session.hooks import ControllerHooks
from pytest_upskill.session.library import CHOOSE
from pytest_upskill.session.start import CONTROLLER, library

if TYPE_CHECKING:
    from pytest_upskill.reports.table import Line
    from pytest_upskill.session.controller import Controller


def turn_on(config: pytest.Config) -> None:
    """Print the plan instead of running tests, where the settings say so; before pytest-xdist is configured.

    Raises:
        pytest.UsageError: a setting is wrong.
    """
    if not library(config).settings.plan:
        return
    if hasattr(config.option, "dist"):
        config.option.dist = "no"  # workers would collect, and then run
    config.pluginmanager.register(_InsteadOfTests(), "upskill-plan")


class PlanHooks(ControllerHooks):
    """What is left of the hooks of a run: what was selected, the plan line, and what befell the store."""

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Nothing: there are no results."""

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print what befell the store: there are no results."""
        from pytest_upskill.session.finish import tell_notices

        tell_notices(self._controller, terminalreporter)


class _InsteadOfTests:
    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        if session.config.option.collectonly:
            return None  # nothing was selected, and pytest runs nothing
        if session.testsfailed:
            errors = "errors" if session.testsfailed != 1 else "error"
            raise session.Interrupted(f"{session.testsfailed} {errors} during collection")
        controller = session.config.stash.get(CONTROLLER, None)
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        try:
            width = reporter._tw.fullwidth if reporter is not None else 80  # noqa: SLF001 - no public way to it
            lines = _lines(controller, width)
            if reporter is not None:
                reporter.ensure_newline()
                for line in lines:
                    reporter.write_line(line.text, **line.markup)
            if controller is not None:
                controller.refuse()
        except UpskillError as error:
            raise pytest.UsageError(str(error)) from None
        return True


def _lines(controller: Controller | None, width: int) -> list[Line]:
    # Imported where they are needed: this module is there before any skill is found.
    from pytest_upskill.reports.plan_table import plan_table
    from pytest_upskill.reports.table import Line
    from pytest_upskill.reports.words import wrapped

    if controller is not None and controller.wanted():
        return list(plan_table(controller.plan(), width))
    chosen = controller is None or controller.library.models
    reason = "no sample was selected" if chosen else CHOOSE
    return [Line(text) for text in wrapped(f"upskill: nothing to plan: {reason}", width)]
