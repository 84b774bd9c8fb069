"""`pytest-upskill lint`: the whole of what it prints, and its exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_upskill.cli import main

GOOD = "---\nname: {name}\ndescription: A skill for tests.\n---\n\nAlways say yes.\n"
CASES = {"cases": [{"id": "one", "input": "A task", "expected": {"contains": "yes"}}]}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def skill(root: Path, name: str = "demo", folder: str = "skills", cases: object = CASES) -> Path:
    path = root / folder / name
    path.mkdir(parents=True)
    (path / "SKILL.md").write_text(GOOD.format(name=name))
    if cases is not None:
        (path / "skill_meta.json").write_text(json.dumps(cases, indent=1))
    return path


def lint(capsys: pytest.CaptureFixture[str], *paths: str) -> tuple[int, list[str], str]:
    code = main(["lint", *paths])
    said = capsys.readouterr()
    return code, said.out.splitlines(), said.err


def test_a_good_skill_exits_0(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    skill(root)
    assert lint(capsys, "skills") == (0, ["1 skill, 0 errors, 0 warnings"], "")


@pytest.mark.parametrize(
    "path", ["skills", "skills/demo", "skills/demo/SKILL.md", "skills/demo/skill_meta.json", "."]
)
def test_a_skill_is_found_by_its_folder_its_files_or_a_folder_above(
    root: Path, capsys: pytest.CaptureFixture[str], path: str
) -> None:
    skill(root)
    assert lint(capsys, path, "skills/demo") == (0, ["1 skill, 0 errors, 0 warnings"], "")


def test_errors_exit_1_and_all_files_of_a_skill_are_looked_at(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = skill(root, cases={"cases": [{"input": "x", "expected": {"contians": "y"}}]})
    (path / "SKILL.md").write_text("---\nname: demo\n---\n[a](no.md)\n")
    assert lint(capsys, "skills") == (
        1,
        [
            "skills/demo/SKILL.md:2: error: description is missing or blank",
            "skills/demo/SKILL.md:4: error: 'no.md' is not there",
            "skills/demo/skill_meta.json:6: error: cases[0].expected.contians: unknown key (did you mean 'contains'?)",
            "1 skill, 3 errors, 0 warnings",
        ],
        "",
    )


def test_warnings_alone_exit_0(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    skill(
        root,
        cases={"tests": [{"input": "x", "zzz": 1, "expected": {"contains": "y"}, "models": ["!raeder"]}]},
    )
    assert lint(capsys, "skills") == (
        0,
        [
            "skills/demo/skill_meta.json:5: warning: tests[0].zzz: unknown key, ignored",
            "skills/demo/skill_meta.json:3: warning: case 'x': no model is called 'raeder' (did you mean 'reader'?)",
            "1 skill, 0 errors, 2 warnings",
        ],
        "",
    )


def test_models_of_upskill_yaml_are_known(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "upskill.yaml").write_text("models:\n  mine: {provider: reader}\n")
    skill(root, cases=[{"input": "x", "expected": {"contains": "y"}, "models": ["mine"]}])
    assert lint(capsys, "skills") == (0, ["1 skill, 0 errors, 0 warnings"], "")


def test_a_skill_without_cases_is_a_warning(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    skill(root, cases=None)
    assert lint(capsys, "skills") == (
        0,
        [
            "skills/demo: warning: no cases: looked for skill_meta.json beside SKILL.md",
            "1 skill, 0 errors, 1 warning",
        ],
        "",
    )


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("SKILL.md", None, ": error: no SKILL.md: a skill is a folder with SKILL.md and its cases beside it"),
        ("SKILL.md", b"---\nname: demo\n", "/SKILL.md:1: error: the frontmatter never ends: close it with a line of "
         "three hyphens"),
        ("SKILL.md", b"caf\xe9", "/SKILL.md:1: error: not UTF-8 (byte 0xe9): save the file as UTF-8"),
        ("skill_meta.json", b"{", "/skill_meta.json:1: error: not valid JSON: expecting property name enclosed in "
         "double quotes"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_an_error_with_its_place(
    root: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes | None, said: str
) -> None:
    path = skill(root) / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert lint(capsys, "skills") == (1, [f"skills/demo{said}", "1 skill, 1 error, 0 warnings"], "")


def test_two_skills_of_one_name_are_an_error(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    skill(root, folder="a")
    skill(root, folder="b")
    assert lint(capsys, "a", "b") == (
        1,
        [
            "b/demo/SKILL.md: error: the skill is called 'demo', as is the one in a/demo: rename one",
            "2 skills, 1 error, 0 warnings",
        ],
        "",
    )


def test_other_peoples_skills_are_left_alone(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    skill(root, "mine", ".claude/skills")
    for folder in ("node_modules/x", ".venv/lib/site-packages/y"):
        skill(root, "theirs", folder, cases=[])
    assert lint(capsys, ".") == (0, ["1 skill, 0 errors, 0 warnings"], "")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nowhere", "nowhere: no such file or folder"),
        ("empty", "empty: no skill there: a skill is a folder with SKILL.md"),
        ("text.txt", "text.txt: neither a skill's folder nor its SKILL.md or skill_meta.json"),
    ],
)
def test_wrong_use_exits_2(root: Path, capsys: pytest.CaptureFixture[str], path: str, said: str) -> None:
    (root / "empty").mkdir()
    (root / "text.txt").write_text("x")
    assert lint(capsys, path) == (2, [], f"pytest-upskill: {said}\n")


def test_a_broken_upskill_yaml_exits_2(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    skill(root)
    (root / "upskill.yaml").write_text("model: {}\n")
    said = "pytest-upskill: upskill.yaml:1: model: unknown key (did you mean 'models'?)\n"
    assert lint(capsys, "skills") == (2, [], said)


def test_without_a_command_the_usage_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: pytest-upskill [-h] {lint,cache,doctor,kernel} ...")


def test_a_terminal_that_knows_only_ascii_gets_all_lines(root: Path) -> None:
    skill(root, cases=[{"id": "one", "input": "Größe?", "expected": {"contains": "Größe"}}])
    command = [
        sys.executable,
        "-c",
        "import sys; from pytest_upskill.cli import main; sys.exit(main())",
        "lint",
        ".",
    ]
    done = subprocess.run(
        command,
        env={"PYTHONIOENCODING": "ascii", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
        cwd=root,
    )
    assert done.returncode == 0
    assert done.stderr == ""
    assert "the expected text 'Gr\\xf6\\xdfe' stands in its own input" in done.stdout


def test_the_command_needs_no_pytest(root: Path) -> None:
    skill(root)
    code = "import sys; from pytest_upskill.cli import main; main(['lint', '.']); sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=root).returncode == 0
