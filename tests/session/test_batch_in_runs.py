"""`--upskill-batch`: one batch a model, resumed by a later run, beside calls for what it failed on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.answers import error
from tests.batch_server import BatchServer
from tests.loopback import Server
from tests.session.conftest import QUIET, Project

KEY = "sk-canary-0123456789abcdef"
Run = Callable[..., pytest.RunResult]


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


def at(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """Let both SDKs call this server."""
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)


def sources(project: Project) -> list[str]:
    return sorted(sample["reply"]["source"] for sample in project.results()["samples"])


def yes(body: dict[str, Any]) -> str:
    return f"yes to {str(body['messages'])[:60]} of {len(str(body))}"


@contextmanager
def started(project: Project, *arguments: str, model: str = "openai:m-1") -> Iterator[subprocess.Popen[str]]:
    """Start a run, as `Project.run` does, without waiting for its end."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        *QUIET,
        f"--upskill-models={model}",
        "--upskill-batch",
        *arguments,
    ]
    process = subprocess.Popen(
        command, cwd=project.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(server: BatchServer, step: str) -> None:
    until = time.monotonic() + 30
    while step not in server.steps:
        assert time.monotonic() < until, f"no '{step}' among {server.steps}"
        time.sleep(0.01)


def test_a_batch_of_each_model_brings_all_replies(
    run: Run, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.skill(cases=4)
    with BatchServer(yes) as server:
        at(monkeypatch, server)
        arguments = ("--upskill-batch", "--upskill-report=report")
        models = "openai:m-1,anthropic:m-2"
        first = run(*arguments, models=models)
        first.assert_outcomes(passed=18)
        assert sources(project) == ["batch"] * 16
        assert sorted(len(batch.requests) for batch in server.batches.values()) == [8, 8]
        assert server.requests == []
        steps = list(server.steps)
        run(*arguments, models=models).assert_outcomes(passed=18)
        assert sources(project) == ["store"] * 16
        assert server.steps == steps
    assert KEY not in first.stdout.str()
    assert not any(KEY.encode() in path.read_bytes() for path in project.path.rglob("*") if path.is_file())


@pytest.mark.parametrize("model", ["openai:m-1", "anthropic:m-2"])
def test_a_run_that_is_killed_is_resumed_by_the_same_command(
    project: Project, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    project.skill(cases=4)
    with BatchServer(yes, polls=10**6) as server:
        at(monkeypatch, server)
        with started(project, model=model) as process:
            wait_for(server, "state")
            process.kill()
        server.polls = 1
        # What was handed in is paid for: no limit holds it back.
        limited = ("--upskill-batch", "--upskill-max-calls=0")
        plan = project.run(*limited, "--upskill-plan", models=model)
        assert "0 in the store, 8 in open batches, 0 calls" in " ".join(plan.stdout.str().split())
        again = project.run(*limited, "--upskill-report=report", models=model)
    again.assert_outcomes(passed=9)
    assert server.steps.count("create") == 1
    assert server.requests == []
    assert sources(project) == ["batch"] * 8


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT can be sent there")
def test_a_run_that_is_interrupted_says_how_its_batch_is_resumed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.skill(cases=2)
    with BatchServer(yes, polls=10**6) as server:
        at(monkeypatch, server)
        with started(project) as process:
            wait_for(server, "state")
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=30)
    told = " ".join(said.split())
    assert (
        "openai-m-1: the batch batch_0 goes on at the provider and is paid for: run the same command again to read "
        "its replies" in told
    )


def test_two_runs_at_once_share_one_batch(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.skill(cases=4)
    with BatchServer(yes, polls=4) as server:
        at(monkeypatch, server)
        with started(project) as first, started(project) as second:
            ends = [process.communicate(timeout=60)[0] for process in (first, second)]
    assert all("9 passed" in said for said in ends), ends
    assert server.steps.count("create") == 1
    assert server.requests == []


def test_what_a_batch_failed_on_is_called_and_said(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def fate(body: dict[str, Any]) -> Any:
        return (500, f"out of order, {KEY}") if "case-2" in str(body) else "ok"

    project.skill(cases=3)
    with BatchServer(yes, fate=fate) as server:
        at(monkeypatch, server)
        done = project.run("--upskill-batch", "--upskill-report=report", models="openai:m-1")
    done.assert_outcomes(passed=7)
    assert sources(project) == ["batch"] * 4 + ["call"] * 2
    assert len(server.requests) == 2
    told = " ".join(done.stdout.str().split())
    assert (
        f"openai-m-1: the batch batch_0 has no reply to 2 of 6 requests (such as: openai-m-1: {server.url}/v1 answered "
        "500 (Internal Server Error): out of order, ***): 2 requests are called one by one" in told
    )
    assert not any(KEY.encode() in path.read_bytes() for path in project.path.rglob("*") if path.is_file())


def test_a_server_without_batches_is_called_after_one_notice(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.skill(cases=2)
    with Server(yes) as server:
        at(monkeypatch, server)
        done = project.run("--upskill-batch", "--upskill-report=report", models="anthropic:m-2")
    done.assert_outcomes(passed=5)
    assert sources(project) == ["call"] * 4
    told = " ".join(done.stdout.str().split())
    notice = (
        f"anthropic-m-2: {server.url} takes no batches (404): no such path: /v1/messages/batches: 4 requests are "
        "called one by one"
    )
    assert told.count(notice) == 1


def test_a_batch_that_cannot_be_asked_after_is_an_error_that_keeps_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.skill(cases=2)
    with BatchServer(yes) as server:
        at(monkeypatch, server)
        server.faults["state"] = [error(401, {"error": {"message": f"Incorrect API key: {KEY}"}})]
        done = project.run("--upskill-batch", models="openai:m-1")
        done.assert_outcomes(errors=4, failed=1)
        told = " ".join(done.stdout.str().split())
        assert (
            "the batch batch_0 is kept in the store: run the same command again to read its replies" in told
        )
        assert KEY not in told
        project.run("--upskill-batch", models="openai:m-1").assert_outcomes(passed=5)
    assert server.steps.count("create") == 1
