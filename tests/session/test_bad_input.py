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
    "contains, contains_any, data, equals, file, json_schema, kernel, max_latency, max_output_tokens, not_contains, "
    "python, "
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
    workers = "workers [" in output(result)
    # pytest-xdist has no code of its own for a collection that failed.
    assert result.ret == (pytest.ExitCode.TESTS_FAILED if workers else pytest.ExitCode.INTERRUPTED)
    lines = result.stdout.lines
    starts = [number for number, line in enumerate(lines) if "ERROR collecting " in line]
    said = [lines[number + 1] for number in starts]
    for number in starts:
        assert lines[number + 2].startswith(("=", "_", "!"))
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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"\xff", ":1: not UTF-8 (byte 0xff): save the file as UTF-8"),
        (b'[{"input": "x",\n"expcted": {}}]', ":2: [0].expcted: unknown key (did you mean 'expected'?)"),
        (
            b'[{"input": "x"}]',
            f":1: [0]: case 'x' has nothing to check: give 'expected' at least one of {KNOWN}",
        ),
        (
            (
                b'[{"id": "a", "input": "x", "expected": {"contains": "y"}},\n'
                b' {"id": "a", "input": "x", "expected": {"contains": "y"}}]'
            ),
            ":2: [1].id: the id 'a' is used by two cases: make it unique",
        ),
    ],
    ids=["utf8", "key", "nothing", "ids"],
)
def test_a_bad_case_file_is_one_line(project: Project, text: bytes, said: str) -> None:
    write(project, text)
    assert collect_errors(project.run()) == [META + said]
    assert project.calls == []


@BOTH
def test_malformed_json_names_line_and_column(project: Project, mode: list[str]) -> None:
    write(project, '{"cases": [\n {"input": "a" "b"}]}')
    said = f"{META}:2:16: not valid JSON: expecting ',' delimiter"
    assert collect_errors(project.run(*mode)) == [said]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", ': no case is in it: write at least one {"input": ..., "expected": ...}'),
        ("[" * 100_000, ": not readable: it is nested too deeply"),
        ('{"cases": {}}', ":1: cases: must be a list, not an object"),
        ('{"runs": 0, "cases": [{}]}', ":1: runs: must be at least 1, not 0"),
        (
            '[{"input": "x", "expected": {"regex": "("}}]',
            (":1: [0].expected.regex: regex /(/ is not a valid pattern: missing ), unterminated subpattern "
            "(at position 0)"),
        ),
        (
            '[{"input": "x", "expected": {"two\\nlines": 1}}]',
            f":1: [0].expected.two\\nlines: unknown key; known are case_sensitive, {KNOWN}",
        ),
    ],
    ids=["empty", "deep", "shape", "runs", "regex", "lines"],
)  # fmt: skip
def test_more_bad_case_files(project: Project, text: str, said: str) -> None:
    write(project, text)
    assert collect_errors(project.run()) == [META + said]


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
    said = "b/demo: the skill is called 'demo', as is the one in a/demo: give each skill a name of its own"
    assert collect_errors(project.run(*mode)) == [said]


NO_CASES = "skills/demo: no cases: looked for skill_meta.json beside SKILL.md"


@pytest.mark.parametrize("path", ["skills/demo/SKILL.md", "skills/demo"])
def test_a_skill_without_cases_that_was_asked_for_is_an_error(project: Project, path: str) -> None:
    root = project.skill()
    (root / "skill_meta.json").rename(root / "my_cases.json")
    assert collect_errors(project.run(path)) == [NO_CASES]


@BOTH
def test_a_skill_without_cases_among_others_is_a_skip_with_the_reason(
    project: Project, mode: list[str]
) -> None:
    root = project.skill()
    (root / "skill_meta.json").rename(root / "my_cases.json")
    result = project.run(*mode, "-rs", "skills")
    result.assert_outcomes(skipped=1)
    assert " ".join(output(result).split()).count(NO_CASES) == 1


@BOTH
def test_an_unknown_model_lists_the_known_ones(project: Project, mode: list[str]) -> None:
    project.skill()
    assert usage_error(project.run(*mode, models="raeder")) == (
        f"unknown model 'raeder' (did you mean 'reader'?): known are {ALIASES}; or write "
        "provider:model-id[@base_url] with a provider of anthropic, openai, reader, script"
    )


@pytest.mark.parametrize("number", ["0", "-3", "many"])
def test_a_wrong_number_of_runs_is_one_line(project: Project, number: str) -> None:
    project.skill()
    said = f"--upskill-runs: '{number}' is not a number of runs: give a whole number from 1 to 1000, auto, or auto:MAX"
    assert usage_error(project.run(f"--upskill-runs={number}")) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (
            "checks:is_god",
            (
                "there is no function 'is_god' in checks.py beside the skill (it defines: is_good) "
                "(did you mean 'is_good'?)"
            ),
        ),
        ("chekcs:is_good", "there is no chekcs.py beside the skill, and no module 'chekcs' can be imported"),
    ],
)
def test_a_function_that_is_not_there_is_one_line(project: Project, value: str, said: str) -> None:
    root = write(project, json.dumps([{"input": "x", "expected": {"python": value}}])).parent
    (root / "checks.py").write_text("def is_good(reply): return True")
    assert collect_errors(project.run()) == [f'{META}:1: [0].expected.python: python "{value}": {said}']


@BOTH
def test_a_wrong_ini_value_is_one_line(project: Project, mode: list[str]) -> None:
    project.skill()
    project.pytester.makeini("[pytest]\nupskill_runs = 0\n")
    result = project.run(*mode, models=None)
    said = "tox.ini: upskill_runs: '0' is not a number of runs: give a whole number from 1 to 1000, auto, or auto:MAX"
    assert said in output(result)
    assert result.ret != 0


@BOTH
def test_an_unknown_model_in_the_ini_file_is_said(project: Project, mode: list[str]) -> None:
    project.skill()
    project.pytester.makeini("[pytest]\nupskill_models = raeder\n")
    result = project.run(*mode, models=None)
    assert "unknown model 'raeder' (did you mean 'reader'?): known are " in output(result)
    assert result.ret != 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models:\n  mine: {provder: x}\n", ("upskill.yaml:2: models.mine.provder: unknown key (did you mean "
         "'provider'?)")),
        ("a: b: c", "upskill.yaml:1:5: not valid YAML: mapping values are not allowed here"),
        ("default_models: [raeder]", ("upskill.yaml:1: default_models[0]: unknown model 'raeder' (did you mean "
         f"'reader'?): known are {ALIASES}; or write provider:model-id[@base_url] with a provider of anthropic, "
         "openai, reader, script")),
    ],
    ids=["key", "yaml", "model"],
)  # fmt: skip
def test_a_bad_upskill_yaml_is_one_line(project: Project, text: str, said: str) -> None:
    project.skill()
    (project.path / "upskill.yaml").write_text(text)
    assert collect_errors(project.run(models=None)) == [said]


def test_a_bad_upskill_yaml_is_found_before_collection_where_models_are_given(project: Project) -> None:
    project.skill()
    (project.path / "upskill.yaml").write_text("models: {mine: {}}")
    said = "upskill.yaml:1: models.mine.provider: is missing"
    assert usage_error(project.run()) == said


def test_a_bad_upskill_yaml_does_no_harm_to_a_suite_without_skills(project: Project) -> None:
    project.pytester.makepyfile("def test_one(): pass")
    (project.path / "upskill.yaml").write_text("models: [")
    project.run(models=None).assert_outcomes(passed=1)


def test_a_store_that_cannot_be_made_is_said_and_no_traceback(project: Project) -> None:
    project.skill(cases=1)
    (project.path / "file").write_text("x")
    result = project.run("--upskill-cache-dir=file")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "cannot be written" in " ".join(output(result).split())


@pytest.mark.parametrize("folder", ["file", "file/below"])
def test_a_report_in_the_place_of_a_file_is_refused_before_any_call(project: Project, folder: str) -> None:
    project.skill(cases=1)
    (project.path / "file").write_text("x")
    root = project.path
    assert usage_error(project.run(f"--upskill-report={folder}")) == (
        f"{root}/{folder}: cannot be written: {root}/file is a file: name a folder with --upskill-report"
    )
    assert project.calls == []


def test_a_report_that_fails_costs_neither_the_summary_nor_the_others(project: Project) -> None:
    project.skill(cases=10)
    conftest = project.path / "conftest.py"
    conftest.write_text(
        conftest.read_text()
        + "\ndef bad(results, folder): raise KeyError('x')\n"
        + "def pytest_upskill_reporters(register): register('mine', bad)\n"
    )
    result = project.run("--upskill-report=out")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    text = output(result)
    assert "gates: 1 passed" in text
    assert f"report: {project.path}/out: the report 'mine' cannot be written: KeyError: 'x'" in text
    assert project.results("out")["schema_version"] == 1


def test_a_report_folder_that_became_a_file_is_said_at_the_end(project: Project) -> None:
    project.skill(cases=10)
    project.pytester.makepyfile("from pathlib import Path\ndef test_one(): Path('out').write_text('x')")
    result = project.run("--upskill-report=out")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert f"report: {project.path}/out: cannot be written: File exists" in output(result)


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


@BOTH
def test_cases_for_other_models_alone_are_a_skip_with_the_reason(project: Project, mode: list[str]) -> None:
    row = {"id": "one", "input": "x", "expected": {"contains": "yes"}, "models": ["haiku"]}
    (project.skill() / "skill_meta.json").write_text(json.dumps([row]))
    result = project.run(*mode, "-rs")
    result.assert_outcomes(skipped=1)
    said = "no case runs on the chosen models (script-helps): each names others in its 'models'"
    assert said in " ".join(output(result).split())
    assert project.calls == []
