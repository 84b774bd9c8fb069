"""The hooks that live only in a run with skills: registered when the first skill is found."""

from __future__ import annotations

import textwrap
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

import pytest

from pytest_upskill.errors import UpskillError
from pytest_upskill.session.answers import Place
from pytest_upskill.session.collect import NOTICES, GateItem, Notice, SampleItem, SkillItem

if TYPE_CHECKING:
    from pytest_upskill.session.controller import Controller
    from pytest_upskill.session.worker import BrokerSource

NAME = "upskill-session"


def _places(items: Sequence[pytest.Item]) -> list[Place]:
    return [item.place for item in items if isinstance(item, SkillItem)]


class ItemHooks:
    """What concerns items, in whichever process runs them."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None, None, None]:
        """Keep ordinary tests first, in the order that others gave them; then samples, then gates."""
        yield
        samples: dict[Place, pytest.Item] = {}
        gates: dict[Place, pytest.Item] = {}
        others = []
        for item in items:
            # By its place and not its node id: one skill may be named twice, and two trees can have one id.
            if type(item) is SampleItem:
                samples.setdefault(item.place, item)
            elif type(item) is GateItem:
                gates.setdefault(item.place, item)
            else:
                others.append(item)
        items[:] = [*others, *samples.values(), *gates.values()]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if isinstance(item, SkillItem | Notice):
            self._dress(report, item, call)
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, object] | None:
        word = getattr(report, "upskill", None)
        if word is None or report.when != "call" or report.outcome != "passed":
            return None
        if word == "HIT":
            return "passed", "+", "HIT"
        if word == "MISS":
            # A category of its own would turn the bar yellow and leave the count of passed tests.
            return "passed", "-", ("MISS", {"yellow": True})
        if word in ("inconclusive", "not measured"):
            return "passed", "?", (word.upper(), {"yellow": True})
        return None

    def _dress(
        self, report: pytest.TestReport, item: SkillItem | Notice, call: pytest.CallInfo[None]
    ) -> None:
        if report.outcome == "skipped" and call.excinfo is not None:
            # The skip is raised here; where it belongs is the skill's file.
            report.longrepr = (str(item.path), 0, f"Skipped: {getattr(call.excinfo.value, 'msg', '')}")
        answer = item.answer if isinstance(item, SkillItem) else None
        if answer is None:
            return
        # The wait says how busy the run was; the call's own latency is what the sample took.
        report.duration = answer.seconds if report.when == "call" else 0.0
        if report.when == "call":
            report.__dict__["upskill"] = answer.word
        if answer.log and report.when == "setup":
            report.sections.append(("Captured upskill log", "\n".join(answer.log)))


class WorkerHooks(ItemHooks):
    """A worker under pytest-xdist: asks the controller."""

    def __init__(self, source: BrokerSource) -> None:
        self._source = source

    @pytest.hookimpl
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        places = _places(session.items)
        if places:
            self._source.collected(places)


class ControllerHooks(ItemHooks):
    """The process that makes the calls: the only one, or xdist's controller."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._plan: list[str] | None = None
        self._unwritten: list[str] = []
        self._refused = False
        self._notices: dict[str, None] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if not session.config.option.collectonly and not session.testsfailed:
            try:
                self._controller.select(_places(session.items))
                if not self._controller.library.settings.plan:
                    self._controller.refuse()
            except UpskillError as error:
                raise pytest.UsageError(str(error)) from None

    def pytest_report_collectionfinish(self) -> list[str]:
        return self._plan_lines()

    def pytest_runtest_logstart(self) -> None:
        """Print the plan before the first result where nobody was asked for it: in xdist's controller."""
        lines = self._plan_lines()
        reporter = self._controller.config.pluginmanager.get_plugin("terminalreporter")
        if lines and reporter is not None:
            reporter.ensure_newline()
            for line in lines:
                reporter.write_line(line)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        if isinstance(item, SkillItem):
            self._controller.engine.quiet.hush_warnings()
        return (yield)

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if isinstance(item, SkillItem):
            self._controller.engine.quiet.hush_logging()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and hasattr(report, "upskill"):
            self._controller.tell_finished()
        elif report.skipped and report.nodeid.endswith(NOTICES) and isinstance(report.longrepr, tuple):
            self._notices[report.longrepr[2].removeprefix("Skipped: ")] = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Stop the engine and write what is written at the end, before the JUnit file is."""
        from pytest_upskill.session.finish import finish

        self._refused = session.exitstatus == pytest.ExitCode.USAGE_ERROR
        if self._refused:
            return  # nothing was measured, and reports of another run stay as they are
        self._unwritten = finish(self._controller)
        if self._unwritten and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        from pytest_upskill.session.finish import summarise, tell_notices

        if self._refused:
            tell_notices(self._controller, terminalreporter)
            return
        summarise(self._controller, terminalreporter, self._unwritten)
        if self._controller.wanted() and self._controller.config.get_verbosity() >= 0:
            from pytest_upskill.reports.spending import spending

            budget, outcomes = self._controller.calling.budget, self._controller.outcomes.values()
            for said in spending(budget, outcomes, terminalreporter._tw.fullwidth):  # noqa: SLF001
                terminalreporter.write_line(said.text, **said.markup)
        if not set("saA") & set(self._controller.config.option.reportchars):
            # pytest shows the reason of a skip only where it is asked to.
            for notice in self._notices:
                for line in textwrap.wrap(f"upskill: {notice}", terminalreporter._tw.fullwidth):  # noqa: SLF001
                    terminalreporter.write_line(line, yellow=True)

    def pytest_unconfigure(self) -> None:
        self._controller.stop()

    def _plan_lines(self) -> list[str]:
        config = self._controller.config
        if self._plan is not None or config.get_verbosity() < 0 or config.option.collectonly:
            return []
        self._plan = []
        if self._controller.wanted():
            from pytest_upskill.reports.plan import plan_lines

            reporter = config.pluginmanager.get_plugin("terminalreporter")
            width = reporter._tw.fullwidth if reporter is not None else 80  # noqa: SLF001 - no public way to it
            try:
                self._plan = plan_lines(self._controller.plan(), width)
            except UpskillError as error:
                raise pytest.UsageError(str(error)) from None
        return self._plan
