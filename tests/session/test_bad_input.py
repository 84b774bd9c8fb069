"""Bad input as a user meets it: the whole message, the exit code, and never a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.session.conftest import Project

Run = Callable[..., pytest.RunResult]
META = "skills/demo/skill_meta.json"
KNOWN = (
    "contains, contains_any, data, equals, file, json_schema, max_latency, max_output_tokens, not_contains, python, "
    "regex"
)
ALIASES = "glm, gpt-5.4-mini, gpt-5.4-nano, gpt-5.5, haiku, opus, reader, sonnet"
BOTH = pytest.mark.parametrize("mode", [[], ["-n2"]], ids=["plain", "n2"])


def output(result: pytest.RunResult) -> str:
    text = result.stdout.str() + "\n" + result.stderr.str()
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text
    assert "_pytest" not in text
    return text


def collect_errors(result: pytest.RunResult) -> list[str]:
    """Return what is said of files that could not be collected: one line each."""
    output(result)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    lines = result.stdout.lines
    starts = [number for number, line in enumerate(lines) if "ERROR collecting " in line]
    said = [lines[number + 1] for number in starts]
    for number in starts:
        assert lines[number + 2].startswith(("=", "_"))
    return list(dict.fromkeys(said))


def usage_error(result: pytest.RunResult) -> str:
    output(result)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = (line for line in result.stderr.lines if line.strip())
    return line.removeprefix("ERROR: ")


def write(project: Project, text: str | bytes, name: str = META) -> Path:
    project.skill()
    path = project.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@BOTH
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"cases": [\n {"input": "a" "b"}]}', ":2:16: not valid JSON: expecting ',' delimiter"),
        (b"\xff", ":1: not UTF-8 (byte 0xff): save the file as UTF-8"),
        (b'[{"input": "x",\n"expcted": {}}]', ":2: [0].expcted: unknown key (did you mean 'expected'?)"),
        (
            b'[{"input": "x"}]',
            f":1: [0]: case 'x' has nothing to check: give 'expected' at least one of {KNOWN}",
        ),
        (
            b'[{"id": "a", "input": "x", "expected": {"contains": "y"}},\n'
            b' {"id": "a", "input": "x", "expected": {"contains": "y"}}]',
            ":2: [1].id: the id 'a' is used by two cases: make it unique",
        ),
    ],
    ids=["json", "utf8", "key", "nothing", "ids"],
)
def test_a_bad_case_file_is_one_line(
    project: Project, mode: list[str], text: bytes, said: str
) -> None:
    write(project, text)
    assert collect_errors(project.run(*mode)) == [META + said]
    assert project.calls == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", ": no case is in it: write at least one {\"input\": ..., \"expected\": ...}"),
        ("[" * 100_000, ": not readable: it is nested too deeply"),
        ('{"cases": {}}', ":1: cases: must be a list, not an object"),
        ('{"runs": 0, "cases": [{}]}', ":1: runs: must be at least 1, not 0"),
        (
            '[{"input": "x", "expected": {"regex": "("}}]',
            ":1: [0].expected.regex: regex /(/ is not a valid pattern: missing ), unterminated subpattern "
            "(at position 0)",
        ),
        (
            '[{"input": "x", "expected": {"python": "checks:is_good"}}]',
            None,
        ),
        (
            '[{"input": "x", "expected": {"two\\nlines": 1}}]',
            f":1: [0].expected.two\\nlines: unknown key; known are case_sensitive, {KNOWN}",
        ),
    ],
    ids=["empty", "deep", "shape", "runs", "regex", "python", "lines"],
)  # fmt: skip
def test_more_bad_case_files(project: Project, text: str, said: str | None) -> None:
    write(project, text)
    (found,) = collect_errors(project.run())
    if said is None:
        assert found.startswith(f"{META}:1: [0].expected.python: ")
        assert "checks" in found
    else:
        assert found == META + said


@BOTH
def test_cases_without_a_skill_are_one_line(project: Project, mode: list[str]) -> None:
    write(project, "[]")
    (project.path / "skills/demo/SKILL.md").unlink()
    said = "skills/demo: no SKILL.md: a skill is a folder with SKILL.md and its cases beside it"
    assert collect_errors(project.run(*mode)) == [said]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"---\nname: demo\n", ":1: the frontmatter never ends: close it with a line of three hyphens"),
        (b"caf\xe9", ":1: not UTF-8 (byte 0xe9): save the file as UTF-8"),
    ],
)
def test_a_bad_skill_md_is_one_line(project: Project, text: bytes, said: str) -> None:
    write(project, text, "skills/demo/SKILL.md")
    assert collect_errors(project.run()) == [f"skills/demo/SKILL.md{said}"]


@BOTH
def test_two_skills_with_one_name_are_one_line(project: Project, mode: list[str]) -> None:
    project.skill("demo", folder="a")
    project.skill("demo", folder="b")
    said = (
        "b/demo: the skill is called 'demo', as is the one in a/demo: give each skill a name of its own"
    )
    assert collect_errors(project.run(*mode)) == [said]


@BOTH
@pytest.mark.parametrize("path", ["skills/demo/SKILL.md", "skills/demo"])
def test_a_skill_without_cases_says_what_was_looked_for(
    project: Project, mode: list[str], path: str
) -> None:
    root = project.skill()
    (root / "skill_meta.json").rename(root / "my_cases.json")
    result = project.run(*mode, "-rs", path)
    said = "skills/demo: no cases: looked for skill_meta.json beside SKILL.md"
    if path.endswith(".md"):
        assert collect_errors(result) == [said]
    else:
        result.assert_outcomes(skipped=1)
        text = " ".join(output(result).split())
        assert text.count(said) == 1


@BOTH
def test_an_unknown_model_lists_the_known_ones(project: Project, mode: list[str]) -> None:
    project.skill()
    assert usage_error(project.run(*mode, models="raeder")) == (
        f"unknown model 'raeder' (did you mean 'reader'?): known are {ALIASES}; or write "
        "provider:model-id[@base_url] with a provider of anthropic, openai, reader, script"
    )


@BOTH
@pytest.mark.parametrize("number", ["0", "-3", "many"])
def test_a_wrong_number_of_runs_is_one_line(project: Project, mode: list[str], number: str) -> None:
    project.skill()
    said = f"--upskill-runs: '{number}' is not a number of runs: give a whole number from 1 to 1000"
    assert usage_error(project.run(*mode, f"--upskill-runs={number}")) == said


@BOTH
def test_a_wrong_ini_value_is_one_line(project: Project, mode: list[str]) -> None:
    project.skill()
    project.pytester.makeini("[pytest]\nupskill_runs = 0\n")
    result = project.run(*mode, models=None)
    said = "tox.ini: upskill_runs: '0' is not a number of runs: give a whole number from 1 to 1000"
    assert said in output(result)
    assert result.ret != 0


@BOTH
def test_an_unknown_model_in_the_ini_file_is_said(project: Project, mode: list[str]) -> None:
    project.skill()
    project.pytester.makeini("[pytest]\nupskill_models = raeder\n")
    result = project.run(*mode, models=None)
    assert "unknown model 'raeder' (did you mean 'reader'?): known are " in output(result)
    assert result.ret != 0


@BOTH
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models:\n  mine: {provder: x}\n", "upskill.yaml:2: models.mine.provder: unknown key (did you mean "
         "'provider'?)"),
        ("a: b: c", "upskill.yaml:1:5: not valid YAML: mapping values are not allowed here"),
        ("default_models: [raeder]", "upskill.yaml:1: default_models[0]: unknown model 'raeder' (did you mean "
         f"'reader'?): known are {ALIASES}; or write provider:model-id[@base_url] with a provider of anthropic, "
         "openai, reader, script"),
    ],
    ids=["key", "yaml", "model"],
)  # fmt: skip
def test_a_bad_upskill_yaml_is_one_line(
    project: Project, mode: list[str], text: str, said: str
) -> None:
    project.skill()
    (project.path / "upskill.yaml").write_text(text)
    assert collect_errors(project.run(*mode, models=None)) == [said]


@BOTH
def test_a_bad_upskill_yaml_is_found_before_collection_where_models_are_given(
    project: Project, mode: list[str]
) -> None:
    project.skill()
    (project.path / "upskill.yaml").write_text("models: {mine: {}}")
    said = "upskill.yaml:1: models.mine.provider: is missing"
    assert usage_error(project.run(*mode)) == said


def test_a_bad_upskill_yaml_does_no_harm_to_a_suite_without_skills(project: Project) -> None:
    project.pytester.makepyfile("def test_one(): pass")
    (project.path / "upskill.yaml").write_text("models: [")
    project.run(models=None).assert_outcomes(passed=1)


@BOTH
def test_a_store_that_cannot_be_made_is_said_and_no_traceback(project: Project, mode: list[str]) -> None:
    project.skill(cases=1)
    (project.path / "file").write_text("x")
    result = project.run(*mode, "--upskill-cache-dir=file")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "cannot be written" in " ".join(output(result).split())


@BOTH
def test_a_report_that_cannot_be_written_is_said_and_no_traceback(
    project: Project, mode: list[str]
) -> None:
    project.skill(cases=1)
    (project.path / "file").write_text("x")
    result = project.run(*mode, "--upskill-report=file")
    assert result.ret != 0
    assert "file: cannot be written: " in " ".join(output(result).split())


def test_a_case_for_a_model_that_nobody_knows_is_in_the_lint_summary(project: Project) -> None:
    row = {"id": "one", "input": "x", "expected": {"contains": "yes"}}
    root = project.skill()
    rows = [row, {**row, "id": "two", "models": ["!script-hepls", "script-helps"]}]
    (root / "skill_meta.json").write_text(json.dumps(rows))
    text = " ".join(output(project.run()).split())
    assert "lint: 0 errors, 1 warning" in text
    assert "case 'two': no model is called 'script-hepls' (did you mean 'script-helps'?)" in text


def test_warnings_of_foreign_files_are_in_the_lint_summary(project: Project) -> None:
    write(project, '{"tests": [{"input": "x", "zzz": 1, "expected": {"contains": "yes"}}]}')
    text = " ".join(output(project.run()).split())
    assert "lint: 0 errors, 1 warning" in text
    assert f"{META}:1: warning: tests[0].zzz: unknown key, ignored" in text


def test_a_skill_md_that_is_a_folder_is_one_line(project: Project) -> None:
    root = project.skill()
    (root / "SKILL.md").unlink()
    (root / "SKILL.md").mkdir()
    said = "skills/demo: no SKILL.md: a skill is a folder with SKILL.md and its cases beside it"
    assert collect_errors(project.run()) == [said]

