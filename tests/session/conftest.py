"""A project for session tests: skills whose provider is scripted, and which counts its calls."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

# Peers that are installed to be tested against; each test that wants one turns it on by itself.
QUIET = (
    "-p",
    "no:randomly",
    "-p",
    "no:rerunfailures",
    "-p",
    "no:timeout",
    "-p",
    "no:order",
    "-p",
    "no:anyio",
)

CONFTEST = '''
import asyncio, itertools, logging, os, warnings
from pytest_upskill import CallError, Reply, Usage

COUNT = itertools.count(1)


class Script:
    """The model id says what it does; every call adds a line to calls.log."""

    version = "1"

    def __init__(self, model):
        self.model = model
        self.deterministic = model.model == "exact"

    async def open(self):
        if self.model.model == "no-key":
            raise CallError(f"{self.model.name}: no credentials: set SCRIPT_KEY", short="no credentials", fatal=True)

    async def complete(self, request, timeout):
        arm = "with" if "<skill" in request.system else "without"
        task = request.messages[0].content
        with open(os.environ["CALLS_LOG"], "a") as log:
            log.write(f"{self.model.model} {arm} {task}\\n")
        kind = self.model.model
        if kind == "slow":
            await asyncio.sleep(0.3)
        if kind == "hang":
            await asyncio.sleep(3600)
        if kind == "noisy":
            warnings.warn("the SDK does not like this model", DeprecationWarning)
            logging.getLogger("openai").warning("a warning of the SDK")
        if kind == "broken" and "case-1" in task:
            raise CallError(f"{self.model.name}: the server answered 500: out of order")
        hit = {"helps": arm == "with", "hurts": arm == "without", "never": False}.get(kind, arm == "with")
        text = f"{'yes' if hit else 'no'}, this is reply {'' if self.deterministic else next(COUNT)}"
        return Reply(text, model=f"{kind}-1", usage=Usage(len(request.system), 5), stop_reason="stop", latency=0.25)

    async def close(self): ...


def pytest_upskill_providers(register):
    register("script", Script)
'''


class Project:
    """A folder under test and the calls that its scripted models got."""

    def __init__(self, pytester: pytest.Pytester, log: Path) -> None:
        self.pytester = pytester
        self.path = pytester.path
        self._log = log

    def skill(self, name: str = "demo", cases: int = 3, folder: str = "skills", **meta: Any) -> Path:
        """Write a skill; its cases expect `yes`."""
        root = self.path / folder / name
        root.mkdir(parents=True, exist_ok=True)
        (root / "SKILL.md").write_text(
            f"---\nname: {name}\ndescription: A skill for tests.\n---\n\nAlways say yes to {name}.\n"
        )
        rows = [
            {"id": f"case-{n}", "input": f"Question case-{n} of {name}?", "expected": {"contains": "yes"}}
            for n in range(1, cases + 1)
        ]
        (root / "skill_meta.json").write_text(json.dumps({"cases": rows, **meta}, indent=1))
        return root

    def run(
        self, *arguments: str, models: str | None = "script:helps", quiet: bool = True
    ) -> pytest.RunResult:
        """Run pytest in a process of its own."""
        given = [f"--upskill-models={models}"] if models else []
        return self.pytester.runpytest_subprocess(*(QUIET if quiet else ()), *given, *arguments, timeout=60)

    @property
    def calls(self) -> list[str]:
        """One line a call: the model's id, the arm and the task."""
        return self._log.read_text().splitlines() if self._log.exists() else []

    def forget_calls(self) -> None:
        self._log.unlink(missing_ok=True)

    def results(self, folder: str = "report") -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.path / folder / "results.json").read_text())
        return loaded


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    log = pytester.path / "calls.log"
    monkeypatch.setenv("CALLS_LOG", str(log))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    for name in ("CI", "BUILD_NUMBER"):  # there pytest prints its short summary at full length
        monkeypatch.delenv(name, raising=False)
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    pytester.makeconftest(CONFTEST)
    return Project(pytester, log)


MODES: Sequence[Sequence[str]] = ([], ["-n0"], ["-n2"])


@pytest.fixture(params=MODES, ids=["plain", "n0", "n2"])
def run(request: pytest.FixtureRequest, project: Project) -> Callable[..., pytest.RunResult]:
    """Run the project in each of the three modes."""

    def run_in_mode(*arguments: str, **kwargs: Any) -> pytest.RunResult:
        return project.run(*request.param, *arguments, **kwargs)

    return run_in_mode
