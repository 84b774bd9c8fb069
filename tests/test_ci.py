"""What checks the project in CI: `.ci/run` and the workflows."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.documents import ROOT, blocks, page

WORKFLOWS = pytest.mark.parametrize(
    "path", [".github/workflows/ci.yml", "example_project/.github/workflows/skills.yml"]
)


def test_ci_runs_the_readmes_test_command() -> None:
    command = [block.text.strip() for block in blocks("README.md") if block.language == "sh"][1]
    here = command.replace(".venv-test", '"$venv"')
    assert f"\n{here}\n" in page(".ci/run")


def test_ci_says_so_where_python_is_too_old(tmp_path: Path) -> None:
    python = tmp_path / "python3"
    python.write_text('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.10.1 && exit 0\nexit 1\n')
    python.chmod(0o755)
    done = subprocess.run(
        [ROOT / ".ci" / "run"],
        env={"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "python3 is Python 3.10.1: pytest-upskill needs Python 3.11 or newer as python3.\n"
    )


def test_ci_checks_types_and_style_as_well() -> None:
    script = page(".ci/run")
    assert "set -euo pipefail" in script
    for tool in ("/mypy ", "/ruff check ", "/ruff format --no-cache --check"):
        assert tool in script


@WORKFLOWS
def test_a_workflow_trusts_nothing_by_default(path: str) -> None:
    text = page(path)
    data = yaml.safe_load(text)
    assert data["permissions"] == {}
    assert data["concurrency"]["group"]
    for job in data["jobs"].values():
        assert job["permissions"] == {"contents": "read"}
        assert job["timeout-minutes"] <= 30
        for step in job["steps"]:
            if "checkout" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False
    uses = re.findall(r"uses: (.*)", text)
    assert uses
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line) for line in uses)
