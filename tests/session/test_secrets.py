"""A key goes to its server and nowhere else, whatever the server says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.answers import completion as good
from tests.answers import error, ok
from tests.loopback import Server
from tests.session.conftest import Project

CANARY = "sk-canary-0123456789abcdef"
CONFIG = """
models:
  remote: {{provider: openai, model: m, base_url: "{url}/v1", api_key_env: MY_SERVER, concurrency: 2}}
"""
Run = Callable[..., pytest.RunResult]


def leaking(project: Project, monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    monkeypatch.setenv("MY_SERVER", CANARY)
    (project.path / "upskill.yaml").write_text(CONFIG.format(url=server.url))
    project.skill(cases=6)


def files_with_the_canary(folder: Path) -> list[str]:
    found = [path for path in folder.rglob("*") if path.is_file() and b"canary" in path.read_bytes()]
    return [str(path.relative_to(folder)) for path in found]


def test_a_key_is_in_no_file_and_no_output_of_a_run_also_when_the_server_echoes_it(
    project: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = f"yes, and your key is {CANARY}, Bearer {CANARY}"
    script = [
        error(500, {"error": {"message": f"{CANARY} broke me"}}),
        error(429, {"error": {"message": f"{CANARY} is too fast"}}, retry_after="0"),
        ok(good(said, CANARY)),
        error(400, {"error": {"message": f"{CANARY} sent a bad request", "code": CANARY}}),
        ok({"error": {"message": f"{CANARY} is not welcome"}}),
    ]
    with Server(said, script=script) as server:
        leaking(project, monkeypatch, server)
        result = run(
            "--upskill-record",
            "--upskill-report=report",
            "--junitxml=junit.xml",
            "--log-file=run.log",
            "--log-file-level=DEBUG",
            "--log-level=DEBUG",
            "-rA",
            "-vv",
            "skills",
            models="remote",
        )
        assert len(server.requests) > len(script)
        assert all(one.headers["authorization"] == f"Bearer {CANARY}" for one in server.requests)
    assert "canary" not in "\n".join([*result.outlines, *result.errlines])
    assert files_with_the_canary(project.path) == []
    assert any((project.path / "skills" / "demo" / "recordings").iterdir())
    assert (project.path / ".upskill" / "store.sqlite3").is_file()


def test_a_key_that_is_refused_is_not_shown(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = [error(401, {"error": {"message": f"Incorrect API key provided: {CANARY}"}})] * 50
    with Server(script=refused) as server:
        leaking(project, monkeypatch, server)
        result = project.run("skills", "-vv", "--upskill-report=report", models="remote")
    assert "canary" not in "\n".join([*result.outlines, *result.errlines])
    assert files_with_the_canary(project.path) == []
