"""`pytest-upskill lint`: skills and their cases, checked without a model."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pytest_upskill.config import load_config
from pytest_upskill.errors import SuiteError, UpskillError
from pytest_upskill.protocols import Scorer
from pytest_upskill.shipped import shipped_scorers
from pytest_upskill.suite import SKILL_FILE
from pytest_upskill.suite.dialects.native import Native
from pytest_upskill.suite.findings import Finding, from_sentence
from pytest_upskill.suite.lint import lint_skill
from pytest_upskill.suite.loading import load_suite, no_cases
from pytest_upskill.suite.matrix import Suite
from pytest_upskill.suite.skill import load_skill
from pytest_upskill.suite.text import shown

# Where other people's skills lie; `.claude` and the like hold one's own.
_SKIPPED = (
    "node_modules",
    "venv",
    "__pycache__",
    "site-packages",
    ".git",
    ".hg",
    ".venv",
    ".tox",
    ".nox",
    ".upskill",
)


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("lint", help="check skills and their cases without a model")
    parser.add_argument(
        "paths", metavar="PATH", nargs="+", type=Path, help="a skill's folder, or one with skills below it"
    )
    parser.set_defaults(run=lambda options: _lint(options.paths))


def _lint(paths: Sequence[Path]) -> int:
    models = load_config(Path.cwd()).names
    roots = list({root.resolve(): root for path in paths for root in _roots(path)}.values())
    scorers = shipped_scorers()
    found = [finding for root in roots for finding in _lint_root(root, scorers, models)]
    found += _same_names(roots)
    for finding in found:
        print(finding)
    errors = sum(finding.level == "error" for finding in found)
    warnings = len(found) - errors
    print(
        ", ".join([_counted(len(roots), "skill"), _counted(errors, "error"), _counted(warnings, "warning")])
    )
    return 1 if errors else 0


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _lint_root(root: Path, scorers: Mapping[str, Scorer], models: Sequence[str]) -> list[Finding]:
    suite: Suite | None = None
    cases: list[Finding] = []
    try:
        load_skill(root)
    except SuiteError as error:
        return [_error(root, str(error))]
    if (root / Native.file).is_file():
        try:
            suite = load_suite(root, [Native()], scorers)
        except SuiteError as error:
            cases.append(_error(root, str(error)))
    else:
        cases.append(from_sentence("warning", no_cases(root, [Native()]), root))
    return [*lint_skill(root, suite, models), *cases]


def _error(root: Path, sentence: str) -> Finding:
    paths = (root / SKILL_FILE, root / Native.file, root)
    path = next((path for path in paths if sentence.startswith(shown(path))), root)
    return from_sentence("error", sentence, path)


def _same_names(roots: Sequence[Path]) -> Iterator[Finding]:
    seen: dict[str, Path] = {}
    for root in roots:
        try:
            name = load_skill(root).name
        except SuiteError:
            continue  # said already
        other = seen.setdefault(name, root)
        if other != root:
            words = f"the skill is called '{name}', as is the one in {shown(other)}: rename one"
            yield Finding("error", root / SKILL_FILE, None, words)


def _roots(path: Path) -> list[Path]:
    if not path.exists():
        raise UpskillError(f"{shown(path)}: no such file or folder")
    folder = path if path.is_dir() else path.parent
    if not path.is_dir() and path.name not in (SKILL_FILE, Native.file):
        raise UpskillError(f"{shown(path)}: neither a skill's folder nor its {SKILL_FILE} or {Native.file}")
    found = sorted(_below(folder)) if path.is_dir() else [folder]
    if not found:
        raise UpskillError(f"{shown(path)}: no skill there: a skill is a folder with {SKILL_FILE}")
    return found


def _below(folder: Path) -> Iterator[Path]:
    for name, folders, files in os.walk(folder):
        folders[:] = [inner for inner in folders if inner not in _SKIPPED]
        if SKILL_FILE in files or Native.file in files:
            yield Path(name)
