"""`pytest-upskill`: what is not a test run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_upskill.errors import SuiteError, UpskillError
from pytest_upskill.scorers.builtin import builtin_scorers
from pytest_upskill.suite.dialects.native import Native
from pytest_upskill.suite.lint import Finding, lint_skill
from pytest_upskill.suite.loading import load_suite
from pytest_upskill.suite.skill import SKILL_FILE
from pytest_upskill.suite.text import shown


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code: 0 fine, 1 errors were found, 2 wrong use."""
    parser = argparse.ArgumentParser(prog="pytest-upskill", description="Skill regression testing for pytest")
    commands = parser.add_subparsers(dest="command", required=True)
    lint = commands.add_parser("lint", help="check skills and their cases without a model")
    lint.add_argument(
        "paths", metavar="PATH", nargs="+", type=Path, help="a skill's folder, or one with skills below it"
    )
    options = parser.parse_args(arguments)
    try:
        return _lint(options.paths)
    except UpskillError as error:
        print(f"pytest-upskill: {error}", file=sys.stderr)
        return 2


def _lint(paths: Sequence[Path]) -> int:
    roots = list(dict.fromkeys(root for path in paths for root in _roots(path)))
    errors = warnings = 0
    for root in roots:
        for line, level in _lint_root(root):
            print(line)
            errors += level == "error"
            warnings += level == "warning"
    print(f"{len(roots)} skills, {errors} errors, {warnings} warnings")
    return 1 if errors else 0


def _lint_root(root: Path) -> Iterator[tuple[str, str]]:
    has_cases = (root / Native.file).is_file()
    try:
        suite = load_suite(root, [Native()], builtin_scorers()) if has_cases else None
        findings = lint_skill(root, suite)
    except SuiteError as error:
        yield f"{error}", "error"
        return
    if not has_cases:
        findings.append(
            Finding("warning", root / SKILL_FILE, None, f"no cases: looked for {Native.file} beside it")
        )
    for finding in findings:
        yield str(finding), finding.level


def _roots(path: Path) -> list[Path]:
    if path.name == SKILL_FILE:
        path = path.parent
    if not path.is_dir():
        raise UpskillError(f"{shown(path)}: no such folder")
    found = sorted({file.parent for name in (SKILL_FILE, Native.file) for file in path.rglob(name)})
    if not found:
        raise UpskillError(f"{shown(path)}: no skill there: a skill is a folder with {SKILL_FILE}")
    return found
