"""The end of a run: stop the engine, write the reports, print the summary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_upskill.errors import SuiteError, one_line
from pytest_upskill.reports import junit, terminal
from pytest_upskill.reports.aa import aa_lines
from pytest_upskill.reports.words import wrapped
from pytest_upskill.session.choosing import choices
from pytest_upskill.suite import SKILL_FILE
from pytest_upskill.suite.findings import Finding, from_sentence
from pytest_upskill.suite.lint import lint_skill

if TYPE_CHECKING:
    from pytest_upskill.reports.table import Line
    from pytest_upskill.session.controller import Controller
    from pytest_upskill.verdicts.result import GateResult


def finish(controller: Controller) -> list[str]:
    """Stop the engine and write what stands in files; return a sentence for each file that was not written."""
    controller.stop()
    controller.tell_finished()
    results = controller.results()
    junit.add_suite_properties(controller.config, results)
    if not results:
        # Nothing was collected, perhaps because upskill.yaml cannot be read: pytest has said so.
        return []
    controller.recording.finish([result.gate for result in results], controller.outcomes)
    controller.baselines.finish(results, controller.outcomes)
    folder = controller.library.settings.report
    reports = [] if folder is None else list(_reports(controller, folder))
    failures = [*controller.recording.failures, *controller.baselines.failures]
    return [*failures, *(f"report: {sentence}" for sentence in reports)]


def _reports(controller: Controller, folder: Path) -> Iterator[str]:
    from pytest_upskill.reports.changed import selection_data
    from pytest_upskill.reports.results import document
    from pytest_upskill.session.left_out import selection_of

    data = document(controller.run_data())
    selection = selection_of(controller.config)
    if selection is not None and isinstance(data["run"], dict):
        data["run"]["changed"] = selection_data(selection)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        yield f"{folder}: cannot be written: {error.strerror or error}"
        return
    for name, write in controller.library.registry.reporters.items():
        try:
            write(data, folder)
        except Exception as error:  # noqa: BLE001 - one report must not cost the others and the summary
            words = (
                error.strerror or error if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
            )
            yield f"{folder}: the report '{name}' cannot be written: {words}"


def summarise(controller: Controller, reporter: pytest.TerminalReporter, unwritten: Sequence[str]) -> None:
    """Print the lift summary, what became of recordings and baselines, and why a file was not written."""
    results = controller.results()
    if not results:
        return
    config = controller.config
    look = terminal.Look(
        width=reporter._tw.fullwidth,  # noqa: SLF001 - no public way to it
        verbosity=config.get_verbosity(),
    )
    reporter.write_sep("=", "A/A: false alarms" if controller.library.settings.aa else "skill lift")
    for line in _summary(controller, results, look):
        reporter.write_line(line.text, **line.markup)
    for sentence in _bases(controller):
        for text in wrapped(sentence, look.width, "", "  "):
            reporter.write_line(one_line(text), yellow=True)
    for line in [*controller.recording.lines, *controller.baselines.lines]:
        for text in [line.text] if line.text.startswith(" ") else wrapped(line.text, look.width, "", "  "):
            reporter.write_line(one_line(text), **line.markup)
    seed = controller.scoring.used_seed(controller.outcomes.values())
    if seed is not None:
        reporter.write_line(f"kernels were drawn by --upskill-kernel-seed={seed}")
    tell_notices(controller, reporter)
    folder = controller.library.settings.report
    for sentence in unwritten:
        reporter.write_line(one_line(sentence), red=True)
    if folder is not None and not any(sentence.startswith("report: ") for sentence in unwritten):
        reporter.write_line(f"report: {folder}")


def _bases(controller: Controller) -> Iterator[str]:
    """Yield what is to be known of the base, unless the line of --upskill-changed has said so."""
    library = controller.library
    if library.settings.base is None or library.settings.changed:
        return
    if any(compared.direct for compared in library.revisions.compared):
        base = library.settings.base
        yield f"compared with {base} itself: this clone holds no common ancestor of it and HEAD"


def _summary(controller: Controller, results: Sequence[GateResult], look: terminal.Look) -> Iterable[Line]:
    if controller.library.settings.aa:
        return aa_lines(
            controller.decisions.against_itself.trials(), results, look.width, brief=look.verbosity < 0
        )
    chosen = choices(results, controller.outcomes, controller.library)
    return terminal.summary(results, controller.outcomes, controller.down, _lint(controller), look, chosen)


def tell_notices(controller: Controller, reporter: pytest.TerminalReporter) -> None:
    """Print what befell the store and the batches, also where nothing was measured."""
    width = reporter._tw.fullwidth  # noqa: SLF001 - no public way to it
    for notice in controller.calling.notices:
        for text in wrapped(one_line(notice), width, "", "  "):
            reporter.write_line(text, yellow=True)


def _lint(controller: Controller) -> list[Finding]:
    library = controller.library
    models = {*library.file.names, *(model.name for model in library.models)}
    found: list[Finding] = []
    for suite in controller.suites():
        try:
            found += lint_skill(suite.skill.root, suite, models)
        except SuiteError as error:  # the file has changed under the run
            found.append(from_sentence("error", str(error), suite.skill.root / SKILL_FILE))
    return found
