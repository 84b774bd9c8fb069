"""Ordinary tests and other plugins beside ours: nobody notices the engine."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.session.conftest import Project

Run = Callable[..., pytest.RunResult]


def _body(result: pytest.RunResult) -> list[str]:
    hidden = re.compile(r"^plugins: | in [0-9.]+s|^rootdir|^upskill|seconds")
    return [line for line in result.stdout.lines if not hidden.search(line)]


def test_a_suite_without_skills_prints_the_same_with_and_without_the_plugin(project: Project) -> None:
    project.pytester.makepyfile(
        test_b="import warnings\ndef test_two():\n    print('out')\n    warnings.warn('x', stacklevel=1)\n",
        test_a="def test_one(capfd): pass\ndef test_zero(): assert 0\n",
    )
    (project.path / "data.json").write_text("{}")
    (project.path / "README.md").write_text("# Project\n")
    project.pytester.makeconftest("")
    project.pytester.makeini("[pytest]\n")
    assert _body(project.run("-v", models=None)) == _body(project.run("-v", "-p", "no:upskill", models=None))


def test_what_an_sdk_logs_and_warns_stays_with_its_sample(project: Project, run: Run) -> None:
    project.skill(cases=3)
    project.pytester.makepyfile(
        """
        import logging
        def test_unit(caplog, capfd, recwarn):
            logging.getLogger("openai").warning("mine")
            assert [record.message for record in caplog.records] == ["mine"]
            assert capfd.readouterr().out == ""
            assert len(recwarn) == 0
        """
    )
    result = run("-W", "error", "-o", "log_cli=true", models="script:noisy")
    result.assert_outcomes(passed=8)
    assert "does not like" not in result.stdout.str()
    assert "a warning of the SDK" not in result.stdout.str()


def test_a_log_of_the_sdk_is_attached_to_the_sample_that_failed(project: Project, run: Run) -> None:
    text = (project.path / "conftest.py").read_text()
    log = 'logging.getLogger("openai").warning("server said so")'
    project.pytester.makeconftest(
        text.replace("        kind = self.model.model\n", f"        kind = self.model.model\n        {log}\n")
    )
    project.skill(cases=1)
    result = run(models="script:broken")
    result.stdout.fnmatch_lines(["*Captured upskill log*", "WARNING openai: server said so"])


def test_reruns_make_no_further_call(project: Project) -> None:
    project.skill(cases=10)
    result = project.pytester.runpytest_subprocess(
        "-p", "no:randomly", "-p", "no:anyio", "--reruns=2", "--upskill-models=script:never", timeout=60
    )
    assert result.ret == 1
    assert len(project.calls) == 20


def test_a_time_limit_on_items_leaves_the_run_in_order(project: Project, run: Run) -> None:
    project.skill(cases=2)
    (project.path / "upskill.yaml").write_text("models:\n  hang: {provider: script, model: hang}\n")
    keywords = ("-k", "hang-with_skill or gate[script-helps]")
    result = run("-p", "pytest_timeout", "--timeout=1", *keywords, models="hang,script:helps")
    # The two that hang are stopped; the answer that they left half read is not taken for the gate's.
    result.assert_outcomes(errors=2, passed=1)


def test_durations_and_junit_time_are_the_latency_of_the_call(project: Project, run: Run) -> None:
    from junitparser.xunit2 import JUnitXml

    project.skill(cases=1)
    run("--junit-xml=junit.xml")
    (suite,) = JUnitXml.fromfile(str(project.path / "junit.xml"))
    times = {case.name: case.time for case in suite}
    assert times["case-1[script-helps-with_skill-run1]"] == 0.25
    assert times["gate[script-helps]"] == 0


def test_a_crashed_worker_costs_no_call_and_no_verdict(project: Project) -> None:
    project.skill(cases=10)
    project.pytester.makepyfile(
        """
        import os, pytest
        def test_crash():
            os._exit(1)
        """
    )
    result = project.run("-n2", "--upskill-report=report")
    assert result.ret == 1
    row = project.results()["results"][0]
    assert (row["with_hits"], row["with_samples"], row["gate"]["word"]) == (10, 10, "passed")
    assert len(project.calls) == 20


def test_hooks_in_a_deeper_conftest_are_refused(project: Project, run: Run) -> None:
    project.skill(cases=1)
    deep = project.path / "skills" / "conftest.py"
    deep.write_text("def pytest_upskill_scorers(register): pass\n")
    result = run("skills")
    assert result.ret != 0
    text = " ".join((result.stdout.str() + result.stderr.str()).split())
    assert (
        f"{deep}: pytest_upskill_scorers: the hooks of pytest-upskill are called in the controlling process, which "
        f"does not read this file under pytest-xdist: move them to {project.path / 'conftest.py'} or into a plugin"
    ) in text
    assert project.calls == []
