"""What keeps a call from succeeding is said in one sentence: the real SDKs against a loopback server."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.answers import HTML, completion, error, ok
from tests.loopback import Server
from tests.session.conftest import Project

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def server() -> Iterator[Server]:
    with Server("yes") as server:
        yield server


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "OPENAI_API_KEY",
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "OPENAI_BASE_URL",
        "ANTHROPIC_BASE_URL",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/nonexistent")


def whole(result: pytest.RunResult) -> str:
    text = result.stdout.str() + result.stderr.str()
    assert "Traceback" not in text
    return " ".join(text.split())


def test_a_good_server_is_called_once_for_each_sample(project: Project, run: Run, server: Server) -> None:
    project.skill(cases=3)
    result = run("--upskill-base-url", f"{server.url}/v1", models="openai:any-model")
    result.assert_outcomes(passed=7)
    assert len(server.requests) == 6
    assert len({request.prompt for request in server.requests}) == 6
    assert all(
        "authorization" not in request.headers or "no-key" in request.headers["authorization"]
        for request in server.requests
    )


def test_no_key(project: Project, run: Run) -> None:
    project.skill(cases=2)
    result = run(models="haiku")
    result.assert_outcomes(errors=4, failed=1)
    text = whole(result)
    assert text.count("haiku: no Anthropic credentials: set ANTHROPIC_API_KEY") == 2
    assert "no Anthropic credentials (4 of them)" in text or "no Anthropic credentials." in text


def test_a_key_that_is_refused(project: Project, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-very-secret-value")
    project.skill(cases=10)
    with Server(script=[error(401, "Incorrect API key provided: sk-very-secret-value")] * 100) as server:
        (project.path / "upskill.yaml").write_text(
            f"models:\n  m: {{provider: openai, model: any, base_url: '{server.url}/v1', "
            "api_key_env: SOME_KEY, concurrency: 2}\n"
        )
        result = run("--upskill-report=report", "--junit-xml=junit.xml", models="m")
    result.assert_outcomes(errors=20, failed=1)
    text = whole(result)
    assert "refused the key in SOME_KEY" in text
    assert "sk-very-secret-value" not in text
    for name in ("report/results.json", "junit.xml"):
        assert "sk-very-secret-value" not in (project.path / name).read_text()
    assert len(server.requests) <= 4


def test_nobody_listens(project: Project, run: Run) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    project.skill(cases=2)
    result = run("--upskill-base-url", f"http://127.0.0.1:{port}/v1", models="openai:any")
    result.assert_outcomes(errors=4, failed=1)
    assert (
        f"nobody answers at http://127.0.0.1:{port}/v1 (connection refused): is the server running?"
        in whole(result)
    )


def test_a_reply_that_is_not_json(project: Project, run: Run) -> None:
    project.skill(cases=1)
    with Server(script=[HTML] * 10) as server:
        result = run("--upskill-base-url", f"{server.url}/v1", models="openai:any")
    result.assert_outcomes(errors=2, failed=1)
    assert "answered with what is not JSON" in whole(result)


def test_an_unknown_model_at_the_server(project: Project, run: Run) -> None:
    project.skill(cases=1)
    with Server(script=[error(404, "The model `nope` does not exist")] * 10) as server:
        result = run("--upskill-base-url", f"{server.url}/v1", models="openai:nope")
    result.assert_outcomes(errors=2, failed=1)
    assert "The model `nope` does not exist" in whole(result)


def test_an_sdk_that_is_not_installed(project: Project) -> None:
    project.skill(cases=1)
    # A module of that name that cannot be imported stands in for the missing package.
    (project.path / "openai.py").write_text("raise ImportError('No module named openai')\n")
    result = project.pytester.run(
        sys.executable, "-m", "pytest", "-p", "no:randomly", "-p", "no:anyio", "--upskill-models=openai:any"
    )
    text = whole(result)
    assert "pip install 'pytest-upskill[openai]'" in text


def test_truncated_replies_are_marked(project: Project, run: Run) -> None:
    project.skill(cases=1)
    cut_off = {**completion("yes")}
    cut_off["choices"][0]["finish_reason"] = "length"
    with Server(script=[ok(cut_off)] * 2) as server:
        result = run("--upskill-base-url", f"{server.url}/v1", "--junit-xml=junit.xml", models="openai:any")
    result.assert_outcomes(passed=3)
    assert "2 replies cut off at max_tokens" in whole(result)
    assert 'name="upskill.truncated" value="true"' in (project.path / "junit.xml").read_text()


def test_a_scorer_of_the_user_never_sees_the_key(
    project: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_WORD", "open-sesame")
    root = project.skill(cases=1)
    (root / "checks.py").write_text(
        "import os\n\n\ndef blind(reply):\n    assert 'open-sesame' not in str(dict(os.environ))\n    return True\n"
    )
    (root / "skill_meta.json").write_text('[{"input": "Say it.", "expected": {"python": "checks:blind"}}]')
    with Server("yes") as server:
        (project.path / "upskill.yaml").write_text(
            f"models: {{m: {{provider: openai, base_url: '{server.url}/v1', api_key_env: MY_WORD}}}}\n"
        )
        run("-v", models="m").stdout.fnmatch_lines(["*HIT*"])
        assert server.requests[0].headers["authorization"] == "Bearer open-sesame"
