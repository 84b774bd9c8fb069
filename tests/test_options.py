"""Options and their ini twins, read by a real pytest."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pytest_upskill.options import OPTIONS

CONFTEST = """
import json
from pytest_upskill import options

def pytest_collection_finish(session):
    settings = options.settings(session.config)
    values = {name: str(getattr(settings, name)) for name in settings.__slots__}
    (session.config.rootpath / "settings.json").write_text(json.dumps(values))
"""
DEFAULTS = {
    "models": "None",
    "runs": "None",
    "cache": "auto",
    "gate": "judge",
    "base_url": "None",
    "timeout": "None",
    "report": "None",
    "record": "False",
    "budget": "None",
    "max_calls": "None",
    "plan": "False",
    "changed": "False",
    "base": "None",
    "batch": "False",
    "extra": "True",
    "save_baseline": "False",
    "strict_cases": "False",
    "aa": "False",
    "unsafe": "False",
    "seed": "None",
    "executor": "local",
}
RUNS = "is not a number of runs: give a whole number from 1 to 1000, auto, or auto:MAX"


def settings(pytester: pytest.Pytester, *arguments: str) -> dict[str, Any]:
    pytester.makeconftest(CONFTEST)
    result = pytester.runpytest_subprocess("-p", "no:randomly", "-q", *arguments)
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED, result.stdout.str() + result.stderr.str()
    found: dict[str, Any] = json.loads((pytester.path / "settings.json").read_text())
    return found


def refusal(pytester: pytest.Pytester, *arguments: str) -> str:
    """Return the one line that is said, without its `ERROR: `."""
    pytester.makeconftest(CONFTEST)
    result = pytester.runpytest_subprocess("-p", "no:randomly", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    (line,) = (line for line in result.errlines if line.strip())
    return line.removeprefix("ERROR: ")


def test_without_options_everything_is_left_to_the_files(pytester: pytest.Pytester) -> None:
    found = settings(pytester)
    folders = {"rootdir": str(pytester.path), "cache_dir": str(pytester.path / ".upskill")}
    assert found == {**DEFAULTS, **folders}


def test_the_command_line_is_read(pytester: pytest.Pytester) -> None:
    found = settings(
        pytester,
        "--upskill-models=haiku, glm,,haiku",
        "--upskill-runs=3",
        "--upskill-cache=replay",
        "--upskill-cache-dir=store",
        "--upskill-gate=strict",
        "--upskill-base-url=http://localhost:1",
        "--upskill-timeout=1.5",
        "--upskill-report=out",
        "--upskill-record",
        "--upskill-budget=$2.50",
        "--upskill-max-calls=40",
        "--upskill-changed",
        "--upskill-base=origin/main",
        "--upskill-batch",
        "--upskill-unsafe",
        "--upskill-kernel-seed=000102030405060708090a0b0c0d0e0f",
        "--upskill-kernel-executor=cluster",
    )
    assert found == {
        **DEFAULTS,
        "rootdir": str(pytester.path),
        "models": "('haiku', 'glm')",
        "runs": "3",
        "cache": "replay",
        "cache_dir": str(pytester.path / "store"),
        "gate": "strict",
        "base_url": "http://localhost:1",
        "timeout": "1.5",
        "report": str(pytester.path / "out"),
        "record": "True",
        "budget": "2.5",
        "max_calls": "40",
        "changed": "True",
        "base": "origin/main",
        "batch": "True",
        "unsafe": "True",
        "seed": str(bytes(range(16))),
        "executor": "cluster",
    }


@pytest.mark.parametrize(
    ("given", "runs"), [("auto", "auto:5"), ("auto:12", "auto:12"), (" auto:1 ", "auto:1"), ("7", "7")]
)
def test_runs_are_a_number_or_auto_with_the_most_of_them(
    pytester: pytest.Pytester, given: str, runs: str
) -> None:
    assert settings(pytester, f"--upskill-runs={given}")["runs"] == runs


@pytest.mark.parametrize("place", ["command line", "ini file"])
def test_batches_need_a_fixed_number_of_runs(pytester: pytest.Pytester, place: str) -> None:
    arguments = ["--upskill-batch"]
    if place == "ini file":
        pytester.makeini("[pytest]\nupskill_runs = auto:3\n")
    else:
        arguments.append("--upskill-runs=auto")
    assert refusal(pytester, *arguments) == (
        "--upskill-batch needs a fixed number of runs: with --upskill-runs=auto one batch would wait for the other, "
        "each for up to 24 hours: give a number, such as --upskill-runs=3"
    )


def test_a_bare_flag_takes_nothing_of_what_follows_it(pytester: pytest.Pytester) -> None:
    (pytester.path / "true").mkdir()
    found = settings(pytester, "--upskill-plan", "--upskill-changed", "true")
    assert (found["plan"], found["changed"], found["record"]) == ("True", "True", "False")


PLAIN = """
upskill_models = {models}
upskill_runs = {q}3{q}
upskill_cache = {q}off{q}
upskill_gate = {q}off{q}
upskill_timeout = {q}9{q}
upskill_report = {q}out{q}
upskill_record = {q}yes{q}
upskill_budget = {q}2.50{q}
upskill_max_calls = {q}40{q}
upskill_changed = {q}off{q}
upskill_base = {q}origin/main{q}
upskill_batch = {q}1{q}
"""
FILES = {
    "pytest.ini": ("[pytest]", "haiku glm", ""),
    "pytest.ini, commas": ("[pytest]", "haiku,glm", ""),
    "setup.cfg": ("[tool:pytest]", "haiku, glm", ""),
    "[tool.pytest.ini_options], text": ("[tool.pytest.ini_options]", '"haiku,glm"', '"'),
    "[tool.pytest.ini_options], list": ("[tool.pytest.ini_options]", '["haiku", "glm"]', '"'),
    "[tool.pytest], list": ("[tool.pytest]", '["haiku", "glm"]', '"'),
    "[tool.pytest], commas": ("[tool.pytest]", '["haiku,glm"]', '"'),
}


@pytest.mark.parametrize("kind", FILES)
def test_the_ini_file_says_the_same_in_every_spelling(pytester: pytest.Pytester, kind: str) -> None:
    if kind.startswith("[tool.pytest],") and int(pytest.__version__.split(".")[0]) < 9:
        pytest.skip("[tool.pytest] came with pytest 9")
    header, models, quote = FILES[kind]
    name = "pyproject.toml" if kind.startswith("[tool") else kind.split(",", maxsplit=1)[0]
    (pytester.path / name).write_text(header + PLAIN.format(models=models, q=quote))
    found = settings(pytester)
    expected = {"models": "('haiku', 'glm')", "runs": "3", "cache": "off", "timeout": "9.0"}
    expected |= {
        "gate": "off",
        "record": "True",
        "budget": "2.5",
        "max_calls": "40",
        "changed": "False",
        "base": "origin/main",
    }
    expected |= {"batch": "True", "plan": "False"}
    assert {key: found[key] for key in expected} == expected
    assert found["report"] == str(pytester.path / "out")


@pytest.mark.skipif(int(pytest.__version__.split(".")[0]) < 9, reason="[tool.pytest] came with pytest 9")
@pytest.mark.parametrize(
    ("line", "mend"),
    [
        ("upskill_budget = 2.50", ": put it in quotes"),
        ("upskill_record = true", ": put it in quotes"),
        ('upskill_models = "haiku"', ": give a list of texts"),
    ],
)
def test_a_value_of_another_type_is_refused_with_what_mends_it(
    pytester: pytest.Pytester, line: str, mend: str
) -> None:
    (pytester.path / "pyproject.toml").write_text(f"[tool.pytest]\n{line}\n")
    result = pytester.runpytest("--upskill-runs=1")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (error,) = (text for text in result.errlines if text.startswith("ERROR: "))
    name = line.partition(" ")[0]
    assert f"config option '{name}' expects a " in error
    assert error.endswith(mend)


def test_the_command_line_wins_over_the_ini_file(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nupskill_models = haiku\nupskill_runs = 9\n")
    found = settings(pytester, "--upskill-models=reader")
    assert (found["models"], found["runs"]) == ("('reader',)", "9")


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--upskill-runs=0", "--upskill-runs: '0' " + RUNS),
        ("--upskill-runs=-1", "--upskill-runs: '-1' " + RUNS),
        ("--upskill-runs=two", "--upskill-runs: 'two' " + RUNS),
        ("--upskill-runs=1001", "--upskill-runs: '1001' " + RUNS),
        ("--upskill-runs=²", "--upskill-runs: '²' " + RUNS),
        ("--upskill-runs=auto:", "--upskill-runs: 'auto:' " + RUNS),
        ("--upskill-runs=auto:0", "--upskill-runs: 'auto:0' " + RUNS),
        ("--upskill-runs=auto:1001", "--upskill-runs: 'auto:1001' " + RUNS),
        ("--upskill-runs=auto:many", "--upskill-runs: 'auto:many' " + RUNS),
        ("--upskill-runs=auto5", "--upskill-runs: 'auto5' " + RUNS),
        ("--upskill-runs=3:auto", "--upskill-runs: '3:auto' " + RUNS),
        ("--upskill-models=", "--upskill-models: name at least one model, such as reader"),
        ("--upskill-models= , ", "--upskill-models: name at least one model, such as reader"),
        ("--upskill-cache=on", "--upskill-cache: 'on' is not one of auto, replay, refresh, off"),
        ("--upskill-cache-dir=", "--upskill-cache-dir: give the name of a folder"),
        ("--upskill-gate=hard", "--upskill-gate: 'hard' is not one of judge, strict, off, with rules such "
         "as min_pass_rate=0.9"),
        ("--upskill-base-url=localhost:1", "--upskill-base-url: 'localhost:1' is not the address of a server: give "
         "http://... or https://..."),
        ("--upskill-timeout=0", "--upskill-timeout: '0' is not a time: give seconds above 0"),
        ("--upskill-timeout=nan", "--upskill-timeout: 'nan' is not a time: give seconds above 0"),
        ("--upskill-timeout=inf", "--upskill-timeout: 'inf' is not a time: give seconds above 0"),
        ("--upskill-report=", "--upskill-report: give the name of a folder"),
        ("--upskill-budget=much", "--upskill-budget: 'much' is not an amount: give US dollars, such as 2.50"),
        ("--upskill-budget=-1", "--upskill-budget: '-1' is not an amount: give US dollars, such as 2.50"),
        ("--upskill-budget=inf", "--upskill-budget: 'inf' is not an amount: give US dollars, such as 2.50"),
        ("--upskill-budget=nan", "--upskill-budget: 'nan' is not an amount: give US dollars, such as 2.50"),
        ("--upskill-max-calls=-1", "--upskill-max-calls: '-1' is not a number of calls: give a whole "
         "number, 0 for none"),
        ("--upskill-max-calls=1.5", "--upskill-max-calls: '1.5' is not a number of calls: give a whole "
         "number, 0 for none"),
        ("--upskill-kernel-seed=12xy", "--upskill-kernel-seed: '12xy' is no seed: give the 32 hexadecimal digits that "
         "a run has printed"),
        ("--upskill-kernel-seed=1234", "--upskill-kernel-seed: '1234' is no seed: give the 32 hexadecimal digits that "
         "a run has printed"),
        ("--upskill-kernel-executor=", "--upskill-kernel-executor: give the name of an executor that "
         "pytest_upskill_kernel_executors registers"),
        ("--upskill-base=-x", "--upskill-base: '-x' is not a git ref: give a branch, a tag or a commit"),
        ("--upskill-base= ", "--upskill-base: ' ' is not a git ref: give a branch, a tag or a commit"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_one_line(pytester: pytest.Pytester, argument: str, said: str) -> None:
    assert refusal(pytester, argument) == said


def test_a_wrong_ini_value_names_its_file_and_key(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nupskill_runs = none\n")
    assert refusal(pytester) == f"tox.ini: upskill_runs: 'none' {RUNS}"


def test_a_switch_in_the_ini_file_is_true_or_false(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nupskill_record = maybe\n")
    assert refusal(pytester) == "tox.ini: upskill_record: 'maybe' is neither true nor false"


def test_every_flag_has_its_ini_twin_in_the_help(pytester: pytest.Pytester) -> None:
    text = pytester.runpytest_subprocess("-p", "no:randomly", "--help").stdout.str()
    for option in OPTIONS:
        flag = f"{option.flag}={option.metavar}" if option.metavar else option.flag
        assert re.search(rf"^  {re.escape(flag)}(\s|$)", text, re.MULTILINE), flag
        assert f"  {option.dest} (" in text


def test_the_store_is_found_from_the_rootdir_and_the_report_from_the_folder_of_the_call(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makeini("[pytest]\n")
    pytester.makeconftest(CONFTEST)
    (pytester.path / "inner").mkdir()
    monkeypatch.chdir(pytester.path / "inner")
    arguments = ["--upskill-cache-dir=store", "--upskill-report=out", "--rootdir=.."]
    found = settings(pytester, *arguments)
    assert Path(found["cache_dir"]) == pytester.path / "store"
    assert Path(found["report"]) == pytester.path / "inner" / "out"
