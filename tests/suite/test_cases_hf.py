"""What Hugging Face's `upskill` writes, read as it means it."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_upskill.errors import SuiteError
from pytest_upskill.types import Check
from tests.suite.conftest import Folder

FILE = "demo/skill_meta.json"


def test_a_file_as_its_writer_leaves_it(folder: Folder) -> None:
    file = folder.read(
        {
            "metadata": {"version": "1.0", "generated_by": "opus", "test_pass_rate": None, "license": None},
            "tests": [
                {
                    "input": "Write a class",
                    "context": {"files": {"a.py": "x = 1\n"}},
                    "expected": {"contains": ["class ", "def "]},
                    "output_file": None,
                    "validator": None,
                    "validator_config": None,
                },
                {"input": "Another", "context": None, "expected": {"contains": "9.0"}, "verifiers": None},
            ],
        }
    )
    assert file.warnings == ()
    assert [case.id for case in file.cases] == ["write-a-class", "another"]
    assert [case.checks for case in file.cases] == [
        (Check("contains", ["class ", "def "]),),
        (Check("contains", "9.0"),),
    ]
    assert [dict(case.files) for case in file.cases] == [{"a.py": "x = 1\n"}, {}]


def test_the_articles_cases_are_read(folder: Folder) -> None:
    file = folder.read(
        {"cases": [{"input": "Create", "expected": {"contains": "9.0"}, "context": {"files": None}}]}
    )
    assert file.cases[0].checks == (Check("contains", "9.0"),)


def test_the_output_file_is_what_all_its_checks_look_at(folder: Folder) -> None:
    case = folder.case(
        output_file="out.json",
        validator="json_schema",
        validator_config={"type": "object"},
        verifiers=[{"type": "contains", "values": "x"}],
    )
    options = {"output_file": "out.json"}
    assert case.checks == (
        Check("contains", "yes", options),
        Check("json_schema", {"type": "object"}, options),
        Check("contains", ["x"], options),
    )


@pytest.mark.parametrize(
    ("verifier", "check"),
    [
        ({"type": "contains", "values": ["a", "b "]}, Check("contains", ["a", "b "])),
        ({"type": "contains", "values": "a"}, Check("contains", ["a"])),
        ({"type": "contains", "text": "a"}, Check("contains", ["a"])),
        ({"type": "file_exists", "path": "a.txt"}, Check("file", {"path": "a.txt"})),
        (
            {"type": "file_contains", "path": "a.txt", "text": "x"},
            Check("file", {"path": "a.txt", "contains": ["x"]}),
        ),
        (
            {"type": "file_contains", "path": "a.txt", "values": ["x", "y"]},
            Check("file", {"path": "a.txt", "contains": ["x", "y"]}),
        ),
        (
            {"type": "validator", "name": "json_schema", "config": {"type": "array"}},
            Check("json_schema", {"type": "array"}),
        ),
    ],
)
def test_verifiers_are_checks(folder: Folder, verifier: dict[str, Any], check: Check) -> None:
    full = {"name": None, "values": None, "path": None, "text": None, "cmd": None, "config": None}
    case = folder.case(expected=None, verifiers=[{**full, **verifier}])
    assert case.checks == (check,)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (
            {"verifiers": [{"type": "command", "cmd": "pytest -q"}]},
            "its verifier 'command' is not supported: nothing that a case names is executed",
        ),
        (
            {"validator": "jsonschema"},
            (
                "its validator 'jsonschema' is not registered (did you mean 'json_schema'?): "
                "pytest_upskill_scorers registers one"
            ),
        ),
        (
            {"verifiers": [{"type": "validator", "name": "zzz"}]},
            "its validator 'zzz' is not registered: pytest_upskill_scorers registers one",
        ),
    ],
)
def test_what_cannot_be_checked_skips_the_case_with_a_reason(
    folder: Folder, fields: dict[str, Any], reason: str
) -> None:
    case = folder.case(**fields)
    assert case.skip == reason
    assert case.checks == ()


@pytest.mark.parametrize(
    ("verifier", "said"),
    [
        ({"type": "contains"}, "a verifier of type 'contains' needs 'values'"),
        ({"type": "contains", "values": []}, "a verifier of type 'contains' needs 'values'"),
        ({"type": "file_contains", "path": "a"}, "a verifier of type 'file_contains' needs 'text'"),
        ({"type": "file_contains", "text": "a"}, "a verifier of type 'file_contains' needs 'path'"),
        ({"type": "file_exists"}, "a verifier of type 'file_exists' needs 'path'"),
        ({"type": "validator", "name": "json_schema", "config": {"type": 3}}, None),
    ],
)
def test_a_verifier_that_says_too_little_is_an_error(
    folder: Folder, verifier: dict[str, Any], said: str | None
) -> None:
    with pytest.raises(SuiteError) as caught:
        folder.case(verifiers=[verifier])
    assert f"{FILE}:9: cases[0].verifiers[0]: {said or 'json_schema'}" in str(caught.value)


def test_a_verifier_of_another_type_is_an_error(folder: Folder) -> None:
    with pytest.raises(SuiteError) as caught:
        folder.case(verifiers=[{"type": "llm"}])
    assert str(caught.value) == (
        f"{FILE}:10: cases[0].verifiers[0].type: must be 'contains', 'file_exists', 'file_contains', 'command' or "
        "'validator', not 'llm'"
    )


def test_unknown_keys_warn_with_line_and_key_everywhere(folder: Folder) -> None:
    text = """{"tests": [
 {"input": "x",
  "wieght": 2,
  "context": {"env": {}},
  "expected": {"contains": "y",
   "min_length": 10},
  "verifiers": [{"type": "contains", "values": "y",
   "vales": 1}]}],
"shema": 1, "gate": {
 "min": 1}}
"""
    file = folder.read(text)
    assert len(file.cases[0].checks) == 2
    assert sorted(file.warnings) == [
        f"{FILE}:10: gate.min: unknown key, ignored",
        f"{FILE}:3: tests[0].wieght: unknown key, ignored",
        f"{FILE}:4: tests[0].context.env: unknown key, ignored",
        f"{FILE}:6: tests[0].expected.min_length: unknown key, ignored",
        f"{FILE}:8: tests[0].verifiers[0].vales: unknown key, ignored (did you mean 'values'?)",
        f"{FILE}:9: shema: unknown key, ignored",
    ]


def test_verifiers_alone_make_a_file_theirs(folder: Folder) -> None:
    row = {"input": "x", "zzz": 1, "verifiers": [{"type": "contains", "values": "y"}]}
    assert folder.read([row]).warnings == (f"{FILE}:4: [0].zzz: unknown key, ignored",)


def test_a_case_whose_only_expectation_is_unknown_has_nothing_to_check(folder: Folder) -> None:
    with pytest.raises(SuiteError, match="case 'x' has nothing to check"):
        folder.read({"tests": [{"input": "x", "expected": {"min_length": 10}}]})


def test_no_substrings_at_all_is_an_error_and_not_a_pass(folder: Folder) -> None:
    with pytest.raises(SuiteError, match="contains needs at least one string, not an empty list"):
        folder.read({"tests": [{"input": "x", "expected": {"contains": []}}]})


def test_an_error_names_the_key_as_it_is_written(folder: Folder) -> None:
    with pytest.raises(SuiteError) as caught:
        folder.read({"tests": [{"input": 1}]})
    assert str(caught.value) == f"{FILE}:4: tests[0].input: must be text, not 1"
