"""What a model is sent: the same in both arms but for the skill, and never the skill without it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.loopback import Server
from tests.session.conftest import Project

Run = Callable[..., pytest.RunResult]


def test_the_arms_differ_in_the_skill_block_alone(project: Project) -> None:
    project.skill(cases=1)
    with Server("yes") as server:
        project.run("--upskill-base-url", f"{server.url}/v1", models="openai:any")
        bodies = [request.body for request in server.requests]
    with_skill, without = sorted(bodies, key=lambda body: -len(str(body)))
    assert with_skill["messages"][1] == without["messages"][1]
    base = without["messages"][0]["content"]
    rest = with_skill["messages"][0]["content"].removeprefix(base)
    assert rest.strip().startswith('<skill name="demo">')
    assert "Always say yes to demo." in rest
    assert {key for key in with_skill if with_skill[key] != without[key]} == {"messages"}


def test_files_of_a_case_go_to_every_arm(project: Project) -> None:
    root = project.skill(cases=1)
    (root / "skill_meta.json").write_text(
        '{"cases": [{"input": "Read it.", "context": {"files": {"notes.txt": "the contents"}},'
        ' "expected": {"contains": "yes"}}]}'
    )
    with Server("yes") as server:
        project.run("--upskill-base-url", f"{server.url}/v1", models="openai:any")
        users = [request.body["messages"][-1]["content"] for request in server.requests]
    assert users == ["Read it.\n\n```notes.txt\nthe contents\n```"] * 2


def test_a_prompt_that_leaks_the_skill_is_refused_and_its_pair_is_not_counted(
    project: Project, run: Run
) -> None:
    project.skill(cases=3)
    conftest = project.path / "conftest.py"
    conftest.write_text(
        conftest.read_text()
        + "\ndef pytest_upskill_prompt(skill, case, arm):\n"
        + "    leak = arm == 'with_skill' or case.id == 'case-2'\n"
        + "    return ('<skill>' + skill.body if leak else 'Be brief.', case.input)\n"
    )
    result = run("--upskill-report=report")
    result.assert_outcomes(passed=5, errors=1, failed=1)
    said = "contaminated: the prompt without the skill holds a line of it: 'Always say yes to demo.'"
    assert said in " ".join(result.stdout.str().split())
    row = project.results()["results"][0]
    assert (row["with_samples"], row["without_samples"], row["gate"]["word"]) == (2, 2, "incomplete")
    assert len(project.calls) == 5


def test_a_prompt_hook_that_raises_is_said_in_words(project: Project, run: Run) -> None:
    project.skill(cases=1)
    conftest = project.path / "conftest.py"
    conftest.write_text(
        conftest.read_text() + "\ndef pytest_upskill_prompt(skill):\n    raise KeyError('tone')\n"
    )
    result = run()
    assert result.ret != 0
    text = result.stdout.str() + result.stderr.str()
    assert "KeyError: 'tone'" in text
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text
    assert project.calls == []


def test_identical_requests_of_two_skills_are_made_once(project: Project, run: Run) -> None:
    one = project.skill("one", cases=2)
    two = project.skill("two", cases=2)
    (two / "skill_meta.json").write_text((one / "skill_meta.json").read_text())
    run("--upskill-cache=off").assert_outcomes(passed=10)
    assert len(project.calls) == 4 + 2


def test_the_real_sdk_under_strict_python_leaves_nothing_open(project: Project) -> None:
    import subprocess
    import sys

    from tests.session.conftest import QUIET

    project.skill(cases=10)
    with Server("yes") as server:
        base = f"{server.url}/v1"
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-W", "error", "-m", "pytest", *QUIET, "--upskill-models=openai:any",
             "--upskill-base-url", base],
            cwd=project.path, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert len(server.requests) == 20
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "Warning" not in done.stdout
