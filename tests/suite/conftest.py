"""A skill's folder to write into; messages name files relative to the folder that holds it."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from pytest_upskill.scorers.builtin import builtin_scorers
from pytest_upskill.suite.cases import read_native
from pytest_upskill.suite.dialects.native import Native
from pytest_upskill.suite.lint import lint_skill
from pytest_upskill.suite.loading import load_suite
from pytest_upskill.suite.matrix import Suite
from pytest_upskill.types import Case, CaseFile

GOOD = "---\nname: demo\ndescription: A skill for tests.\n---\n\nAlways say yes.\n"


class Folder:
    """The folder `demo`, with a good SKILL.md to begin with."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        self.write("SKILL.md", GOOD)

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def meta(self, data: object) -> Path:
        """Write skill_meta.json: a text as it is, anything else with an indent of 1."""
        text = data if isinstance(data, str | bytes) else json.dumps(data, indent=1)
        return self.write("skill_meta.json", text)

    def read(self, data: object) -> CaseFile:
        return read_native(self.meta(data), builtin_scorers())

    def case(self, **fields: Any) -> Case:
        """Read one case; without `expected` it gets one, unless that is None."""
        row = {"input": "A task.", "expected": {"contains": "yes"}, **fields}
        return self.read({"cases": [{key: value for key, value in row.items() if value is not None}]}).cases[
            0
        ]

    def suite(self) -> Suite:
        return load_suite(self.root, [Native()], builtin_scorers())

    def lint(self, models: Collection[str] | None = None) -> list[str]:
        suite = self.suite() if (self.root / Native.file).exists() else None
        return [str(finding) for finding in lint_skill(self.root, suite, models)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.chdir(tmp_path)
    return Folder(tmp_path / "demo")
