"""What differs from the base, as each process of the run finds out, and for --upskill-changed which skills do."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_upskill.errors import ConfigError, SuiteError, one_line
from pytest_upskill.reports.changed import Selection
from pytest_upskill.reports.redaction import public_path
from pytest_upskill.session.common import differs_for_all
from pytest_upskill.suite.imports import Imports, UsesModules
from pytest_upskill.suite.revisions import WORKING_TREE, Base, Revisions
from pytest_upskill.suite.skill import load_skill

if TYPE_CHECKING:
    from pytest_upskill.session.library import Library
    from pytest_upskill.settings import Settings


def base_of(settings: Settings, environ: Mapping[str, str]) -> Base:
    """Return what to compare with: --upskill-base, else the base branch of a pull request on GitHub, else HEAD."""
    if settings.base:
        both = "--upskill-changed and --upskill-base"
        return Base(settings.base, "--upskill-base", both if settings.changed else "--upskill-base")
    branch = environ.get("GITHUB_BASE_REF")
    return Base(f"origin/{branch}", "GITHUB_BASE_REF") if branch else Base(WORKING_TREE, "--upskill-changed")


def revisions(config: pytest.Config, settings: Settings) -> Revisions:
    """Return the comparisons with the base: one for --upskill-changed and for --upskill-base."""
    return Revisions(base_of(settings, os.environ), config.rootpath)


def ask(config: pytest.Config, revisions: Revisions) -> None:
    """Ask the repositories that the command line leads to, before anything is collected.

    Raises:
        ConfigError: one of them cannot be compared with the base.
    """
    for path in _asked_for(config):
        revisions.of(path)


def _asked_for(config: pytest.Config) -> Iterator[Path]:
    folder = config.invocation_params.dir
    return (folder / argument.split("::")[0] for argument in config.args)


class Changed:
    """Decides which skills are left out, as one process of the run finds them."""

    def __init__(self, config: pytest.Config, library: Library) -> None:
        self._config = config
        self._library = library
        self._revisions = library.revisions
        self._imports = Imports(lambda folder: any(each.holds(folder) for each in self._revisions.compared))
        self._differ: dict[Path, str | None] = {}
        self.failure: str | None = None

    def check(self) -> None:
        """Ask the repository of the rootdir, which may hold what concerns all skills, and those that `ask` asks.

        Raises:
            ConfigError: one of them cannot be compared with the base.
        """
        self._revisions.of(self._config.rootpath)
        ask(self._config, self._revisions)

    def leaves_out(self, root: Path) -> bool:
        """Tell whether the skill in a folder does not differ. What fails here is kept for the end of collection."""
        if root not in self._differ:
            try:
                self._differ[root] = self._how(root)
            except ConfigError as error:
                self.failure = self.failure or str(error)
                self._differ[root] = None
        return self._differ[root] is None

    def selection(self) -> Selection:
        """Return what was decided so far."""
        compared = self._revisions.compared
        found = self._differ.items()
        return Selection(
            ref=self._revisions.base.ref,
            differ=tuple((one_line(_name(root)), one_line(how)) for root, how in found if how is not None),
            left_out=tuple(self._public(root) for root, how in found if how is None),
            deleted=tuple(self._public(path) for path in self._deleted()),
            everything=self._everything if found else "",
            direct=any(each.direct for each in compared),
        )

    def _how(self, root: Path) -> str | None:
        if self._everything:
            return ""
        how = self._revisions.of_skill(root)
        return self._through(root) if how is None else how

    @cached_property
    def _everything(self) -> str:
        config = self._config
        home = self._revisions.of(config.rootpath)
        if home is None:
            return ""
        plugins = config.pluginmanager.get_plugins()
        return differs_for_all(home, self._revisions.base.ref, config.rootpath, config.inipath, plugins)

    def _through(self, root: Path) -> str | None:
        """Return through which Python file of its scorers a skill differs, None if through none."""
        if not any(each.touches_python for each in self._revisions.compared):
            return None
        try:
            places = self._scorers_files(root)
            touched = next((place for place in places if self._revisions.touches(place)), None)
        except SuiteError:
            return "cannot be read"
        return None if touched is None else f"through {self._public(touched)}"

    def _scorers_files(self, root: Path) -> Iterator[Path]:
        scorers = self._library.registry.scorers
        checks = [
            check for file in self._library.suite(root).files for case in file.cases for check in case.checks
        ]
        used = {check.scorer: scorers[check.scorer] for check in checks}
        names = [
            name
            for check in checks
            if isinstance(scorer := used[check.scorer], UsesModules)
            for name in scorer.modules(check)
        ]
        modules = (sys.modules.get(type(scorer).__module__) for scorer in used.values())
        files = [Path(file).resolve() for module in modules if (file := getattr(module, "__file__", None))]
        return self._imports.reached(dict.fromkeys(names), dict.fromkeys(files), root.resolve())

    def _deleted(self) -> Iterator[Path]:
        for comparison in self._revisions.compared:
            yield from (path for path in comparison.deleted() if self._in_scope(path))

    def _public(self, path: Path) -> str:
        rootdir = self._config.rootpath
        # What git tells of holds no link; what pytest found may.
        return one_line(public_path(path, rootdir if path.is_relative_to(rootdir) else rootdir.resolve()))

    def _in_scope(self, path: Path) -> bool:
        return any(path.is_relative_to(asked.resolve()) for asked in _asked_for(self._config))


def _name(root: Path) -> str:
    try:
        return load_skill(root).name
    except SuiteError:
        return root.resolve().name
