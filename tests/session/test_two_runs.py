"""Two runs at the same time that share a store, and a run that goes on where another was killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.loopback import Server
from tests.session.conftest import QUIET, Project

CASES = 250
CONFIG = """
models:
  remote: {{provider: openai, model: m, base_url: "{url}/v1", concurrency: 32}}
"""


def start(project: Project, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pytest", *QUIET, "--upskill-models=remote", "skills", *more]
    return subprocess.Popen(
        command, cwd=project.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def written(project: Project, server: Server) -> Path:
    (project.path / "upskill.yaml").write_text(CONFIG.format(url=server.url))
    return project.skill(cases=CASES)


def until_asked(server: Server, requests: int, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 30
    while len(server.requests) < requests and process.poll() is None:
        if time.monotonic() > until:
            raise TimeoutError("the run asked for nothing")
        time.sleep(0.005)


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["", "-n2"])
def test_two_runs_at_the_same_time_make_each_call_once(project: Project, workers: list[str]) -> None:
    with Server("yes", latency=0.05) as server:
        written(project, server)
        runs = [start(project, *workers) for _ in range(2)]
        outputs = [process.communicate(timeout=60)[0] for process in runs]
        assert server.counts["requests"] == 2 * CASES
    for process, output in zip(runs, outputs, strict=True):
        assert process.returncode == 0, output
        assert f"{2 * CASES + 1} passed" in output


@pytest.mark.parametrize("asked", [3, 170, 420])
def test_a_run_that_was_killed_goes_on_and_asks_again_only_what_was_in_flight(
    project: Project, asked: int
) -> None:
    with Server("yes", latency=0.05) as server:
        written(project, server)
        first = start(project)
        until_asked(server, asked, first)
        first.send_signal(signal.SIGKILL)
        first.communicate(timeout=30)
        second = start(project)
        output = second.communicate(timeout=60)[0]
        assert second.returncode == 0, output
        assert 2 * CASES <= server.counts["requests"] <= 2 * CASES + 32
        assert server.counts["delivered"] == 2 * CASES
