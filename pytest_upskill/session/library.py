"""The skills of a test run and the models that measure them, as each process of the run reads them."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_upskill import options
from pytest_upskill.errors import SuiteError
from pytest_upskill.protocols import Provider
from pytest_upskill.session.registry import registry
from pytest_upskill.settings import AutoRuns, Settings
from pytest_upskill.suite.loading import load_suite, no_cases
from pytest_upskill.suite.matrix import Matrix, Suite, build
from pytest_upskill.suite.text import shown
from pytest_upskill.types import WITH, Model

if TYPE_CHECKING:
    from pytest_upskill.config import Config
    from pytest_upskill.session.changed import Changed
    from pytest_upskill.suite.revisions import Revisions

CHOOSE = (
    "no model is chosen: run with --upskill-models=reader (offline, no language model) or with models of yours, "
    "or set upskill_models in the ini file or default_models in upskill.yaml"
)


class Library:
    """Reads settings, models and skills once each, when first asked.

    Raises:
        UpskillError: from whatever is asked first and finds a mistake.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.registry = registry(config)
        self._matrices: dict[Path, Matrix] = {}
        self._roots: dict[Path, Path] = {}
        self._named: dict[str, Path] = {}

    @cached_property
    def settings(self) -> Settings:
        found = options.settings(self._config)
        if found.aa:
            from pytest_upskill.session.aa import check

            check(found)
        return found

    @cached_property
    def file(self) -> Config:
        from pytest_upskill.config import load_config

        return load_config(self.settings.rootdir)

    @cached_property
    def models(self) -> list[Model]:
        from pytest_upskill.config import choose

        settings = self.settings
        return choose(
            settings.models,
            self.file,
            self.registry.providers,
            base_url=settings.base_url,
            timeout=settings.timeout,
        )

    @cached_property
    def providers(self) -> dict[str, Provider]:
        """The providers by the name of the model that they serve."""
        factories = self.registry.providers
        return {model.name: factories[model.provider](model) for model in self.models}

    @cached_property
    def revisions(self) -> Revisions:
        """What differs from the base. Without --upskill-changed and --upskill-base nothing of it is imported."""
        from pytest_upskill.session.changed import revisions

        return revisions(self._config, self.settings)

    @cached_property
    def changed(self) -> Changed:
        """Which skills differ from the base, in a run with --upskill-changed."""
        from pytest_upskill.session.left_out import take_part

        return take_part(self._config, self)

    def left_out(self, root: Path) -> bool:
        """Tell whether the skill in a folder is left out of the run, as it does not differ from the base."""
        return self.settings.changed and self.changed.leaves_out(root)

    def first_seen(self, root: Path) -> bool:
        """Tell whether a folder is new, and not one that was found before by another path."""
        return self._roots.setdefault(root.resolve(), root) == root

    def suite(self, root: Path) -> Suite:
        """Read a skill's folder anew."""
        return load_suite(root, self.registry.dialects.values(), self.registry.scorers)

    def no_cases(self, root: Path) -> str:
        return no_cases(root, self.registry.dialects.values())

    def matrix(self, root: Path) -> Matrix:
        """Return the matrix of the skill in a folder."""
        if root not in self._matrices:
            suite = self.suite(root)
            other = self._named.setdefault(suite.skill.name, root)
            if other != root:
                raise SuiteError(
                    f"{shown(root)}: the skill is called '{suite.skill.name}', as is the one in {shown(other)}: "
                    "give each skill a name of its own"
                )
            if self.settings.base and not self.settings.aa:
                suite = self._with_old(suite)
            self._matrices[root] = build(
                suite, self.models, self._runs(suite), self._auto, (WITH,) if self.settings.aa else ()
            )
        return self._matrices[root]

    @property
    def whole(self) -> bool:
        """Tell whether a plugin makes the prompts: they may then hold more of a skill than ours do."""
        return bool(self._config.hook.pytest_upskill_prompt.get_hookimpls())

    def _with_old(self, suite: Suite) -> Suite:
        from pytest_upskill.suite.old import old_skill

        case_files = [dialect.file for dialect in self.registry.dialects.values()]
        return replace(suite, old=old_skill(suite, self.revisions, case_files, whole=self.whole))

    def _runs(self, suite: Suite) -> dict[str, int]:
        chosen = self.settings.runs
        runs = chosen.most if isinstance(chosen, AutoRuns) else chosen or suite.first.runs or 1
        if self.settings.aa:
            runs *= 2
        # A deterministic model has no noise: more runs of it are copies.
        return {name: 1 if provider.deterministic else runs for name, provider in self.providers.items()}

    @cached_property
    def _auto(self) -> frozenset[str]:
        """The names of the models whose gates are decided by rounds. One run has nothing to be decided before."""
        chosen = self.settings.runs
        if not isinstance(chosen, AutoRuns) or chosen.most == 1:
            return frozenset()
        return frozenset(name for name, provider in self.providers.items() if not provider.deterministic)
