"""The example project as a user would run it: units, skill and gate, and the gate fails when it should."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

EXAMPLE = Path(__file__).parent.parent / "example_project"
EVERY_WAY = pytest.mark.parametrize("args", [(), ("-n2",)], ids=["alone", "n2"])
UNIT_TESTS = 10
SAMPLES = 10
REPLAY = "pytest skills --upskill-models=reader --upskill-cache=replay"
GATES = 1


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    left_out = shutil.ignore_patterns(".upskill", "__pycache__", ".pytest_cache")
    shutil.copytree(EXAMPLE, folder, ignore=left_out)
    return folder


def run(project: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a copy of the project, without the settings of the run that this test is part of."""
    theirs = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "COV_"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:randomly", *args],
        cwd=project,
        env=theirs,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )


@EVERY_WAY
def test_unit_tests_samples_and_gate_pass(project: Path, args: tuple[str, ...]) -> None:
    result = run(project, *args)
    assert result.returncode == 0, result.stdout
    assert f"{UNIT_TESTS + SAMPLES + GATES} passed" in result.stdout
    assert "gates: 1 passed" in result.stdout
    assert re.search(r"release-notes +reader +0% +100% +\+100 ", result.stdout)


def facts() -> list[tuple[str, str]]:
    """Return, for each case that the reader takes, the text that it expects of the skill."""
    cases = yaml.safe_load((EXAMPLE / "skills" / "release-notes" / "skill_meta.json").read_text())["cases"]
    return [
        (case["id"], case["expected"]["contains"][0])
        for case in cases
        if "!reader" not in case.get("models", [])
    ]


@EVERY_WAY
def test_a_fact_that_is_deleted_fails_the_gate_and_names_the_case(
    project: Path, args: tuple[str, ...]
) -> None:
    case, text = facts()[-1]
    skill = project / "skills" / "release-notes" / "SKILL.md"
    lines = skill.read_text().splitlines()
    kept = [line for line in lines if text not in line]
    assert len(kept) == len(lines) - 1
    skill.write_text("\n".join(kept) + "\n")
    result = run(project, *args)
    assert result.returncode == 1, result.stdout
    assert f"MISS {case}[reader-with_skill-run1]" in result.stdout
    assert "1 failed, 20 passed" in result.stdout


def test_every_fact_is_held_by_the_gate(project: Path) -> None:
    skill = project / "skills" / "release-notes" / "SKILL.md"
    whole = skill.read_text()
    for case, text in facts():
        skill.write_text("\n".join(line for line in whole.splitlines() if text not in line) + "\n")
        result = run(project, "skills", "-k", "gate")
        assert result.returncode == 1, f"{case} is not held:\n{result.stdout}"
        assert f"MISS {case}[" in result.stdout


def replies(project: Path) -> list[dict[str, Any]]:
    """Return what is recorded of the reader, but for how long it took."""
    path = project / "skills" / "release-notes" / "recordings" / "reader.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    for row in rows:
        del row["reply"]["latency"]
    return rows


@EVERY_WAY
def test_a_checkout_replays_its_recordings_as_the_workflow_does(project: Path, args: tuple[str, ...]) -> None:
    result = run(project, *REPLAY.split()[1:], *args)
    assert result.returncode == 0, result.stdout
    assert f"{SAMPLES + GATES} passed" in result.stdout
    assert "recordings:" not in result.stdout


def test_the_recordings_are_what_the_reader_says_today(project: Path) -> None:
    committed = replies(project)
    assert len(committed) == SAMPLES
    result = run(project, "skills", "--upskill-models=reader", "--upskill-cache=refresh", "--upskill-record")
    assert result.returncode == 0, result.stdout
    assert replies(project) == committed, (
        "pytest --upskill-cache=refresh --upskill-record example_project/skills"
    )


def test_an_edit_that_was_not_recorded_leaves_the_workflow_incomplete_until_it_is(project: Path) -> None:
    skill = project / "skills" / "release-notes" / "SKILL.md"
    skill.write_text(skill.read_text() + "\nWrite for people.\n")
    result = run(project, *REPLAY.split()[1:])
    assert result.returncode == 1, result.stdout
    assert "release-notes on reader: gate incomplete" in result.stdout
    command = "pytest --upskill-models=reader --upskill-record skills/release-notes"
    assert f"\n  {command}\n" in result.stdout
    assert run(project, *command.split()[1:]).returncode == 0
    assert run(project, *REPLAY.split()[1:]).returncode == 0


def test_the_models_of_the_readme_are_configured() -> None:
    from pytest_upskill.config import load_config

    config = load_config(EXAMPLE)
    assert config.default_models == ("reader",)
    assert {"haiku", "glm"} <= config.models.keys()
    assert config.gates["reader"].min_pass_rate == 1.0


def test_the_workflow_gates_pull_requests_without_a_secret() -> None:
    text = (EXAMPLE / ".github" / "workflows" / "skills.yml").read_text()
    jobs = yaml.safe_load(text)["jobs"]
    assert "secrets" not in str(jobs["reader"])
    assert jobs["reader"]["steps"][-1]["run"].startswith(f"{REPLAY} ")
    # A job cannot ask for a secret in its own `if`: each step has to.
    assert all(step.get("if") == "env.ANTHROPIC_API_KEY != ''" for step in jobs["haiku"]["steps"])
