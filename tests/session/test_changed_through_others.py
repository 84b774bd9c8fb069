"""With --upskill-changed a skill differs also through what it shares: settings, hooks, the modules of its scorers."""

from __future__ import annotations

import json

import pytest

from tests.repositories import Tree, alone
from tests.session.conftest import Project
from tests.session.three import said, three_skills

BOTH = pytest.mark.parametrize("mode", [[], ["-n2"]], ids=["plain", "n2"])


@pytest.fixture
def tree(project: Project, monkeypatch: pytest.MonkeyPatch) -> Tree:
    alone(monkeypatch)
    return three_skills(project)


# What concerns all skills


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [
        ("upskill.yaml", "models:\n  a: {provider: script, model: helps}\n", "upskill.yaml differs from HEAD"),
        ("tox.ini", "[pytest]\nupskill_runs =\n  2\n", "tox.ini differs from HEAD in upskill_runs"),
        ("plugin.py", "def pytest_upskill_gate(result): pass\n",
         "plugin.py differs from HEAD and holds hooks of pytest-upskill"),
    ],
    ids=["yaml", "ini", "plugin"],
)  # fmt: skip
def test_what_concerns_all_skills_changes_all(
    project: Project, tree: Tree, file: str, text: str, why: str
) -> None:
    tree.write(file, text)
    plugin = ["-p", "plugin"] if file == "plugin.py" else []
    result = project.run(*plugin, "--upskill-changed", "-k", "nothing")
    assert said(result) == f"upskill: 3 skills count as changed: {why}"


def test_hooks_in_conftest_concern_all_skills_and_anything_else_in_it_none(
    project: Project, tree: Tree
) -> None:
    conftest = project.path / "conftest.py"
    with conftest.open("a") as file:
        file.write("# a comment\n")
    why = "conftest.py differs from HEAD and holds hooks of pytest-upskill"
    assert said(project.run("--upskill-changed")) == f"upskill: 3 skills count as changed: {why}"
    conftest.write_text("")
    assert (
        said(project.run("--upskill-changed", models="reader"))
        == f"upskill: 3 skills count as changed: {why}"
    )
    tree.commit()
    conftest.write_text("import os\n")
    assert said(project.run("--upskill-changed", models="reader")) == (
        "upskill: 0 of 3 skills differ from HEAD; 3 left out"
    )


def test_other_lines_of_an_ini_file_concern_no_skill(project: Project, tree: Tree) -> None:
    (project.path / "tox.ini").write_text("[pytest]\nfilterwarnings = error\nxfail_strict = true\n")
    assert said(project.run("--upskill-changed")) == "upskill: 0 of 3 skills differ from HEAD; 3 left out"


def test_flags_in_addopts_and_files_that_went_concern_all_skills(project: Project, tree: Tree) -> None:
    (project.path / "tox.ini").write_text("[pytest]\naddopts = --upskill-runs 2\n")
    assert "tox.ini differs from HEAD in addopts" in said(project.run("--upskill-changed"))
    tree.commit()
    (project.path / "tox.ini").unlink()
    (project.path / "pyproject.toml").write_text('[tool.pytest.ini_options]\nupskill_runs = "2"\n')
    assert "pyproject.toml differs from HEAD in upskill_runs" in said(project.run("--upskill-changed"))


# Scorers


@pytest.fixture
def scored(project: Project, tree: Tree) -> Tree:
    """A scorer of `demo` in a module of the repository, which imports another; `other` brings its own."""
    (project.path / "tox.ini").write_text("[pytest]\nfilterwarnings = error\npythonpath = src\n")
    tree.write("src/checks/__init__.py")
    tree.write("src/checks/main.py", "from . import words\ndef yes(reply): return words.YES in reply.text\n")
    tree.write("src/checks/words.py", "YES = 'yes'\n")
    tree.write("skills/other/own.py", "import json\ndef yes(reply): return True\n")
    for name, target in {"demo": "checks.main:yes", "other": "own:yes"}.items():
        cases = [{"id": "case-1", "input": f"Question of {name}?", "expected": {"python": target}}]
        tree.write(f"skills/{name}/skill_meta.json", json.dumps(cases))
    tree.commit()
    return tree


@BOTH
def test_a_skill_differs_with_what_its_scorers_import(
    project: Project, scored: Tree, mode: list[str]
) -> None:
    scored.write("src/checks/words.py", "YES = 'yes' or 'no'\n")
    result = project.run(*mode, "--upskill-changed")
    result.assert_outcomes(passed=3)
    assert "1 of 3 skills differs from HEAD (demo through src/checks/words.py); 2 left out" in said(result)


def test_other_python_files_change_no_skill(project: Project, scored: Tree) -> None:
    scored.write("src/unrelated.py", "import checks.main\n")
    assert said(project.run("--upskill-changed")) == "upskill: 0 of 3 skills differ from HEAD; 3 left out"


def test_a_scorer_whose_module_is_gone_is_not_passed_over(project: Project, scored: Tree) -> None:
    scored.git("rm", "-q", "-r", "src/checks")
    result = project.run("--upskill-changed", "skills")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert "there is no checks/main.py beside the skill" in result.stdout.str()


def test_a_scorer_that_a_plugin_of_the_repository_registers_is_its_module(
    project: Project, tree: Tree
) -> None:
    tree.write(
        "shouts.py",
        "class Shouts:\n    isolated = False\n    def validate(self, check, context): pass\n"
        "    def score(self, reply, check, context): return []\n",
    )
    with (project.path / "conftest.py").open("a") as file:
        file.write(
            "\ndef pytest_upskill_scorers(register):\n    from shouts import Shouts\n"
            "    register('shouts', Shouts())\n"
        )
    cases = [{"id": "case-1", "input": "Question?", "expected": {"shouts": True}}]
    tree.write("skills/third/skill_meta.json", json.dumps(cases))
    tree.commit()
    tree.write("shouts.py", (project.path / "shouts.py").read_text() + "# more\n")
    assert said(project.run("--upskill-changed", "--collect-only")) == (
        "upskill: 1 of 3 skills differs from HEAD (third through shouts.py); 2 left out"
    )
