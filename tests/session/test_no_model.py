"""With no model chosen nothing is called, and one skipped item says how to choose."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.session.conftest import Project

Run = Callable[..., pytest.RunResult]
HOW = (
    "no model is chosen: run with --upskill-models=reader (offline, no language model) or with models of yours, "
    "or set upskill_models in the ini file or default_models in upskill.yaml"
)


def test_one_skipped_item_says_how_to_choose(project: Project, run: Run) -> None:
    project.skill(cases=5)
    said = run(models=None)
    assert HOW in " ".join(said.stdout.str().split())
    result = run("-rs", models=None)
    result.assert_outcomes(skipped=1)
    assert result.ret == 0
    assert HOW in " ".join(result.stdout.str().split())
    assert "SKIPPED [1] skills/demo/skill_meta.json" in result.stdout.str()
    assert project.calls == []
    assert not (project.path / ".upskill").exists()


def test_models_may_stand_in_the_ini_file(project: Project, run: Run) -> None:
    project.skill(cases=1)
    project.pytester.makeini("[pytest]\nupskill_models = script:helps, script:never\n")
    run(models=None).assert_outcomes(passed=6)


def test_models_may_stand_in_a_toml_list(project: Project) -> None:
    project.skill(cases=1)
    (project.path / "tox.ini").unlink()
    project.pytester.makepyprojecttoml(
        '[tool.pytest.ini_options]\nupskill_models = ["script:helps", "script:never"]\n'
    )
    project.run(models=None).assert_outcomes(passed=6)


def test_models_may_stand_in_upskill_yaml_and_the_command_line_wins(project: Project) -> None:
    project.skill(cases=1)
    (project.path / "upskill.yaml").write_text("default_models: ['script:helps', 'script:never']\n")
    project.run(models=None).assert_outcomes(passed=6)
    project.run(models="script:helps").assert_outcomes(passed=3)


def test_a_skill_that_nobody_tests_is_not_mentioned(project: Project, run: Run) -> None:
    root = project.path / "skills" / "plain"
    root.mkdir(parents=True)
    (root / "SKILL.md").write_text("---\nname: plain\ndescription: x\n---\n\nBody.\n")
    project.pytester.makepyfile("def test_unit(): pass")
    run(models=None).assert_outcomes(passed=1)
