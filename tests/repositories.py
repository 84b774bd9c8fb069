"""Real git repositories for tests, apart from the configuration of whoever runs them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pytest_upskill.suite.revisions import Base, Revisions

# A hook of git or a workflow that runs the tests must not lead them elsewhere.
_OF_OTHERS = ("GITHUB_BASE_REF", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_CONFIG_PARAMETERS")
_AUTHOR = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")


class Tree:
    """A repository with the working tree in `top`."""

    def __init__(self, top: Path) -> None:
        self.top = top
        if not (top / ".git").exists():
            top.mkdir(parents=True, exist_ok=True)
            self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str, fails: bool = False) -> str:
        done = subprocess.run(
            ["git", *_AUTHOR, "-c", "protocol.file.allow=always", *arguments],
            cwd=self.top,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert (done.returncode == 0) is not fails, done.stderr
        return done.stdout.strip()

    def write(self, name: str, text: str = "") -> Path:
        path = self.top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def skill(self, folder: str = "skills/demo", text: str = "") -> Path:
        """Write a skill whose text no other resembles."""
        name = folder.rpartition("/")[2]
        lines = "".join(f"{name} line {number}\n" for number in range(12))
        self.write(f"{folder}/SKILL.md", f"---\nname: {name}\ndescription: {name}.\n---\n\n{lines}{text}")
        return self.top / folder

    def commit(self, message: str = "a commit") -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def clone(self, top: Path, *arguments: str) -> Tree:
        self.git("clone", "-q", *arguments, f"file://{self.top}", str(top))
        return Tree(top)


def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep git from reading anybody's configuration."""
    for name in _OF_OTHERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


def noting_git(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a git on PATH that notes each of its processes, one line each, and does the rest as ever."""
    log, script = folder / "asked.log", folder / "git"
    folder.mkdir()
    script.write_text(f'#!/bin/sh\necho "$*" >> {log}\nexec {shutil.which("git")} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    log.touch()
    return log


def two_skills(top: Path) -> Tree:
    """Return a repository with the skills `demo` and `other`, committed."""
    tree = Tree(top)
    tree.skill("skills/demo")
    tree.write("skills/demo/references/notes.md", "Notes of the demo.\n")
    tree.skill("skills/other")
    tree.write("README.md", "A project.\n")
    tree.commit()
    return tree


def revisions(
    tree: Tree,
    ref: str = "HEAD",
    home: Path | None = None,
    place: str = "--upskill-base",
    asked_by: str = "--upskill-changed",
) -> Revisions:
    return Revisions(Base(ref, place, asked_by), home or tree.top)


def how(tree: Tree, folder: str = "skills/demo", ref: str = "HEAD") -> str | None:
    """Return how the skill in a folder of a repository differs from a ref."""
    return revisions(tree, ref).of_skill(tree.top / folder)


def deleted(tree: Tree, ref: str = "HEAD") -> list[str]:
    comparison = revisions(tree, ref).of(tree.top)
    assert comparison is not None
    return [path.relative_to(tree.top).as_posix() for path in comparison.deleted()]
