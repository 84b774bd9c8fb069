"""What a scorer's module imports is found by reading it, as far as it lies within the repository."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

import pytest

from pytest_upskill.scorers.builtin import builtin_scorers
from pytest_upskill.suite.imports import Imports, UsesModules
from pytest_upskill.types import JSON, Check


class Project:
    """A repository with a skill in `skills/demo`; `src` is on `sys.path`."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.skill = top / "skills/demo"
        self.skill.mkdir(parents=True)
        (top / "src").mkdir()

    def write(self, name: str, text: str = "") -> Path:
        path = self.top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def places(self, *modules: str, files: Sequence[Path] = ()) -> set[str]:
        """Return all places that were looked at, there or not."""
        imports = Imports(lambda folder: folder.is_relative_to(self.top))
        found = list(imports.reached(modules, files, self.skill))
        return {path.relative_to(self.top).as_posix() for path in found}

    def reached(self, *modules: str, files: Sequence[Path] = ()) -> set[str]:
        """Return those that are there."""
        return {name for name in self.places(*modules, files=files) if (self.top / name).is_file()}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    found = Project(tmp_path.resolve() / "project")
    monkeypatch.syspath_prepend(str(found.top / "src"))
    return found


def test_a_module_is_looked_for_beside_the_skill_first(project: Project) -> None:
    project.write("src/checks.py")
    assert project.reached("checks") == {"src/checks.py"}
    project.write("skills/demo/checks.py")
    assert project.reached("checks") == {"skills/demo/checks.py"}


def test_imports_are_followed_from_module_to_module(project: Project) -> None:
    project.write("skills/demo/checks.py", "import first\nfrom second import thing\n")
    project.write("src/first.py", "def late():\n    if True:\n        import third\n")
    project.write("src/second.py", "try:\n    import fourth.deep as d\nexcept ImportError:\n    pass\n")
    project.write("src/third.py", "import checks, first\n")
    project.write("src/fourth/__init__.py")
    project.write("src/fourth/deep.py")
    project.write("src/unused.py")
    assert project.reached("checks") == {
        "skills/demo/checks.py",
        "src/first.py",
        "src/second.py",
        "src/third.py",
        "src/fourth/__init__.py",
        "src/fourth/deep.py",
    }


def test_packages_bring_their_own_files_along(project: Project) -> None:
    project.write("src/a/__init__.py", "from .side import x\n")
    project.write("src/a/side.py")
    project.write("src/a/b/__init__.py")
    project.write("src/a/b/c.py")
    project.write("src/a/b/other.py")
    assert project.reached("a.b.c") == {
        "src/a/__init__.py",
        "src/a/side.py",
        "src/a/b/__init__.py",
        "src/a/b/c.py",
    }


def test_relative_imports_are_followed(project: Project) -> None:
    project.write("src/a/__init__.py")
    project.write("src/a/helpers.py")
    project.write("src/a/b/__init__.py")
    project.write("src/a/b/c.py", "from . import d\nfrom .. import helpers\nfrom ..e.f import *\n")
    project.write("src/a/b/d.py", "from .g import name\n")
    project.write("src/a/b/g.py")
    project.write("src/a/e/f.py")
    assert project.reached("a.b.c") == {
        f"src/a/{name}" for name in
        ("__init__.py", "helpers.py", "b/__init__.py", "b/c.py", "b/d.py", "b/g.py", "e/f.py")
    }  # fmt: skip


def test_a_package_may_do_without_a_file_of_its_own(project: Project) -> None:
    project.write("src/space/one.py")
    project.write("skills/demo/space/two.py")
    assert project.reached("space.one", "space.two") == {"src/space/one.py", "skills/demo/space/two.py"}


def test_a_module_that_is_gone_is_looked_for_where_it_was(project: Project) -> None:
    project.write("skills/demo/checks.py", "from tools.gone import x\nfrom .beside import y\n")
    places = project.places("checks")
    assert {"src/tools/gone.py", "src/tools/gone/__init__.py", "skills/demo/beside.py"} <= places


def test_what_would_come_first_is_looked_at_and_what_comes_later_is_not(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(project.top / "src2"))
    project.write("src/tools.py")
    assert project.places("tools") == {
        f"{folder}/tools{end}" for folder in ("skills/demo", "src2", "src") for end in (".py", "/__init__.py")
    }
    project.write("src2/tools.py")
    assert "src/tools.py" not in project.places("tools")


def test_what_is_installed_or_comes_with_python_is_not_followed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = project.write("venv/lib/site-packages/installed.py", "import checks\n")
    monkeypatch.syspath_prepend(str(inside.parent))
    project.write("src/json.py")
    project.write("skills/demo/checks.py", "import json, pytest, installed\nimport os.path\n")
    assert project.reached("checks", files=[inside, Path(pytest.__file__)]) == {"skills/demo/checks.py"}


def test_a_package_that_python_finds_by_other_means_is_followed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("flat/elsewhere/__init__.py")
    project.write("flat/elsewhere/deep.py", "import single\n")
    project.write("flat/single.py")

    class Finder:
        """What an editable install may put in place of an entry of `sys.path`."""

        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
            return PathFinder.find_spec(name, [str(project.top / "flat")])

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder])
    assert project.reached("elsewhere.deep") == {
        "flat/elsewhere/__init__.py",
        "flat/elsewhere/deep.py",
        "flat/single.py",
    }


def test_a_module_behind_a_link_is_followed_to_where_it_leads(project: Project) -> None:
    project.write("shared/real.py", "import more\n")
    project.write("src/more.py")
    (project.top / "src/tools.py").symlink_to("../shared/real.py")
    assert project.reached("tools") == {"src/tools.py", "shared/real.py", "src/more.py"}


def test_nothing_is_executed_and_nothing_warned_of(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    project.write("src/loud.py", "print('loud')\nPATTERN = '\\d'\nimport broken, strange\n")
    project.write("src/broken.py", "import (\n")
    (project.top / "src/strange.py").write_bytes(b"# \xff\0\n")
    assert project.reached("loud") == {"src/loud.py", "src/broken.py", "src/strange.py"}
    assert "loud" not in sys.modules
    assert capfd.readouterr() == ("", "")


def test_further_files_are_followed_as_modules_are(project: Project) -> None:
    file = project.write("plugins/mine.py", "from .near import a\nimport far\n")
    project.write("plugins/near.py")
    project.write("src/far.py")
    assert project.reached(files=[file]) == {"plugins/mine.py", "plugins/near.py", "src/far.py"}


@pytest.mark.parametrize(
    ("scorer", "value", "modules"),
    [
        ("python", "checks:greets", ["checks"]),
        ("python", "tools.deep:greets", ["tools.deep"]),
        ("file", {"path": "a.toml", "python": "tools.toml:valid", "contains": "x"}, ["tools.toml"]),
        ("file", "a.toml", []),
    ],
)
def test_scorers_say_which_modules_their_checks_name(scorer: str, value: JSON, modules: list[str]) -> None:
    found = builtin_scorers()[scorer]
    assert isinstance(found, UsesModules)
    assert list(found.modules(Check(scorer, value))) == modules


def test_a_scorer_that_names_none_need_not_say_so() -> None:
    assert not isinstance(builtin_scorers()["contains"], UsesModules)
