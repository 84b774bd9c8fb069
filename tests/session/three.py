"""A project of three skills in a repository, for runs with --upskill-changed."""

from __future__ import annotations

import itertools
import re

import pytest

from tests.repositories import Tree
from tests.session.conftest import Project


def three_skills(project: Project) -> Tree:
    """Commit the skills `demo`, `other` and `third`, one case each; what a run leaves behind is not ignored."""
    found = Tree(project.path)
    for name in ("demo", "other", "third"):
        project.skill(name, cases=1)
    found.commit()
    return found


def edit(tree: Tree, name: str = "demo") -> None:
    with (tree.top / f"skills/{name}/SKILL.md").open("a") as file:
        file.write("One more line.\n")


def said(result: pytest.RunResult) -> str:
    """Return what the run says of what differs, as one line."""
    lines = result.stdout.lines
    first = next(
        number for number, line in enumerate(lines) if re.match("upskill: .* (differs?|changed)", line)
    )
    rest = itertools.takewhile(lambda line: line.startswith("  "), lines[first + 1 :])
    return " ".join([lines[first], *(line.strip() for line in rest)])
