"""The skills that we ship say what is true, and each of their facts is held by a case."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_upskill.cli import main

ROOT = Path(__file__).parent.parent
KERNELS = ROOT / "skills" / "kernel-builder-cuda-kernels"
FOLDERS = [
    KERNELS,
    ROOT / "skills" / "git-commit-messages",
    ROOT / "example_project" / "skills" / "release-notes",
]
EVERY_SKILL = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


@dataclass(frozen=True, slots=True)
class Lookup:
    """A case that a reader can answer: what it expects stands in the skill, word for word."""

    id: str
    input: str
    expected: tuple[str, ...]


def parts(folder: Path) -> tuple[str, str]:
    _, frontmatter, body = (folder / "SKILL.md").read_text(encoding="utf-8").split("---\n", 2)
    return frontmatter, body


def cases(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "skill_meta.json").read_text(encoding="utf-8"))[
        "cases"
    ]
    return found


def lookups(folder: Path) -> list[Lookup]:
    return [
        Lookup(case["id"], case["input"], tuple(case["expected"]["contains"]))
        for case in cases(folder)
        if "!reader" not in case.get("models", [])
    ]


def has(text: str, expected: str) -> bool:
    return expected.lower() in text.lower()


@EVERY_SKILL
def test_the_frontmatter_is_what_agents_load_it_by(folder: Path) -> None:
    fields = dict(line.split(": ", 1) for line in parts(folder)[0].splitlines())
    assert fields["name"] == folder.name
    assert 50 <= len(fields["description"]) <= 1024
    assert " Use it w" in fields["description"] or " Use it for" in fields["description"]


@EVERY_SKILL
def test_lint_has_nothing_to_say(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", str(folder)]) == 0
    assert "0 errors, 0 warnings" in capsys.readouterr().out


@EVERY_SKILL
def test_every_expected_fact_stands_on_one_line(folder: Path) -> None:
    lines = parts(folder)[1].splitlines()
    counts = {
        (lookup.id, expected): sum(has(line, expected) for line in lines)
        for lookup in lookups(folder)
        for expected in lookup.expected
    }
    assert {key: count for key, count in counts.items() if count != 1} == {}


def composed(folder: Path, case_id: str) -> dict[str, Any]:
    return next(case["expected"] for case in cases(folder) if case["id"] == case_id)


@pytest.mark.parametrize(
    ("skill", "case_id", "good", "bad"),
    [
        (
            "skills/git-commit-messages",
            "write-fix-message",
            "fix(cache): read the clock at each look-up\n\nSo that memory ...\n\nFixes: #87\n",
            "Fixed the cache.\n\nFixes #87\n",
        ),
        (
            "skills/git-commit-messages",
            "write-breaking-message",
            "feat(api)!: ask for the encoding in load\n\nBecause ...\n\nBREAKING CHANGE: pass encoding\n",
            "feat(api): ask for the encoding in load\n\nBREAKING: pass encoding\n",
        ),
        (
            "skills/git-commit-messages",
            "write-revert-message",
            "revert: perf(index): keep rows in memory\n\n"
            "This reverts commit 4f2a9c1d0b7e6a5f3c8d9e0b1a2c3d4e5f607182.\n",
            'Revert "perf(index): keep rows in memory"\n\nThis reverts commit 4f2a9c1.\n',
        ),
        (
            "example_project/skills/release-notes",
            "write-release-heading",
            "## 2.0.0 - 2026-05-05",
            "## 1.9.0 (5 May)",
        ),
    ],
)
def test_patterns_accept_a_good_message_and_no_careless_one(
    skill: str, case_id: str, good: str, bad: str
) -> None:
    found = composed(ROOT / skill, case_id)["regex"]
    patterns = [found] if isinstance(found, str) else found
    assert all(re.search(pattern, good) for pattern in patterns)
    assert not any(re.search(pattern, bad) for pattern in patterns)


@pytest.mark.parametrize("case_id", ["write-fix-message", "write-breaking-message"])
def test_a_subject_that_a_pattern_accepts_has_50_characters_at_most(case_id: str) -> None:
    pattern = composed(ROOT / "skills/git-commit-messages", case_id)["regex"][0]
    start = "fix(cache): " if "cache" in pattern else "feat(api)!: "
    assert re.search(pattern, start + "x" * (50 - len(start)))
    assert not re.search(pattern, start + "x" * (51 - len(start)))
