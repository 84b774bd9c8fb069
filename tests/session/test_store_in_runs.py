"""The store between runs: what was paid for is never paid for twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from tests.session.conftest import QUIET, Project

Run = Callable[..., pytest.RunResult]


def test_a_second_run_makes_no_call_and_says_the_same(project: Project, run: Run) -> None:
    project.skill(cases=5)
    first = run()
    assert len(project.calls) == 10
    second = run()
    assert len(project.calls) == 10
    table = [line for line in first.stdout.lines if line.startswith("demo ")]
    assert table == [line for line in second.stdout.lines if line.startswith("demo ")]
    assert "10 in the store, 0 calls" in " ".join(second.stdout.str().split())


def test_the_store_ignores_itself(project: Project) -> None:
    project.skill(cases=1)
    project.run()
    assert (project.path / ".upskill" / ".gitignore").read_text() == "*\n"


def test_only_what_changed_is_called_again(project: Project) -> None:
    root = project.skill(cases=5)
    project.run()
    project.forget_calls()
    text = (root / "SKILL.md").read_text()
    (root / "SKILL.md").write_text(text + "\nAnd never no.\n")
    project.run()
    assert len(project.calls) == 5
    assert all(" with " in line for line in project.calls)


def test_replay_calls_nothing_and_says_what_is_missing(project: Project, run: Run) -> None:
    root = project.skill(cases=2)
    run()
    project.forget_calls()
    run("--upskill-cache=replay").assert_outcomes(passed=5)
    (root / "SKILL.md").write_text((root / "SKILL.md").read_text() + "\nChanged.\n")
    result = run("--upskill-cache=replay")
    result.assert_outcomes(passed=2, errors=2, failed=1)
    assert "2 in the store, 2 missing" in " ".join(result.stdout.str().split())
    result.stdout.fnmatch_lines(
        ["*script-helps: no stored reply, and --upskill-cache=replay makes no call; record it: pytest *"]
    )
    assert project.calls == []


def test_refresh_asks_again_and_off_leaves_no_file(project: Project, run: Run) -> None:
    project.skill(cases=2)
    run("--upskill-cache=off")
    assert not (project.path / ".upskill").exists()
    run()
    run("--upskill-cache=refresh")
    assert len(project.calls) == 12


def test_a_run_that_is_killed_resumes_without_repeating_what_it_had(project: Project) -> None:
    project.skill(cases=20)
    (project.path / "upskill.yaml").write_text(
        "models:\n  slow: {provider: script, model: slow, concurrency: 4}\n"
    )
    command = [sys.executable, "-m", "pytest", *QUIET, "--upskill-models=slow"]
    process = subprocess.Popen(command, cwd=project.path, stdout=subprocess.DEVNULL)
    while len(project.calls) < 14:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    project.run(models="slow").assert_outcomes(passed=41)
    assert len(project.calls) <= 40 + 4
    assert len(set(project.calls)) == 40


def test_an_interrupt_ends_the_run_with_calls_in_flight(project: Project) -> None:
    project.skill(cases=40)
    (project.path / "upskill.yaml").write_text(
        "models:\n  hang: {provider: script, model: hang, concurrency: 64}\n"
    )
    command = [sys.executable, "-W", "error", "-m", "pytest", *QUIET, "--upskill-models=hang"]
    process = subprocess.Popen(
        command,
        cwd=project.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    while len(project.calls) < 64:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 2, output
    assert "Warning" not in output
    assert "was never" not in output
    assert len(project.calls) == 64


def test_a_store_of_another_version_is_refused_in_words(project: Project, run: Run) -> None:
    import sqlite3

    project.skill(cases=1)
    run()
    path = project.path / ".upskill" / "store.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    result = run()
    assert result.ret == 4
    text = " ".join((result.stdout.str() + result.stderr.str()).split())
    assert (
        f"{path}: written by another version of pytest-upskill (schema 99, this one reads 2): move it away, or "
        "name another folder with --upskill-cache-dir" in text
    )
    assert "Traceback" not in text


@pytest.mark.parametrize("flag", ["--upskill-plan", "--upskill-max-calls=0"])
def test_a_store_that_was_moved_aside_is_said_so_where_nothing_runs(project: Project, flag: str) -> None:
    project.skill(cases=1)
    (project.path / ".upskill").mkdir()
    (project.path / ".upskill" / "store.sqlite3").write_bytes(b"this is no database" * 100)
    result = project.run(flag)
    text = " ".join(result.stdout.str().split())
    assert "store.sqlite3: damaged (file is not a database), and moved to store.sqlite3.corrupt-" in text
    assert project.calls == []


def test_a_damaged_store_is_moved_aside_and_said_and_the_run_goes_on(project: Project, run: Run) -> None:
    project.skill(cases=1)
    (project.path / ".upskill").mkdir()
    path = project.path / ".upskill" / "store.sqlite3"
    path.write_bytes(b"this is no database" * 100)
    result = run()
    result.assert_outcomes(passed=3)
    text = " ".join(result.stdout.str().split())
    assert f"{path}: damaged (file is not a database), and moved to store.sqlite3.corrupt-" in text
    aside = next(path.parent.glob("store.sqlite3.corrupt-*"))
    assert aside.read_bytes() == b"this is no database" * 100
    run("--upskill-cache=replay").assert_outcomes(passed=3)
