"""The native format: what it holds, and what is said of mistakes in it."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_upskill.errors import SuiteError
from pytest_upskill.scorers.builtin import builtin_scorers
from pytest_upskill.suite.cases import read_native
from pytest_upskill.types import Check, GateConfig, Reply, Score, ScoringContext
from tests.suite.conftest import Folder

KNOWN = (
    "contains, contains_any, data, equals, file, json_schema, max_latency, max_output_tokens, not_contains, python, "
    "regex"
)
FILE = "demo/skill_meta.json"


def refusal(folder: Folder, data: object) -> str:
    with pytest.raises(SuiteError) as caught:
        folder.read(data)
    return str(caught.value)


def of_case(folder: Folder, **fields: Any) -> str:
    with pytest.raises(SuiteError) as caught:
        folder.case(**fields)
    return str(caught.value)


def test_all_that_a_file_can_say_is_read(folder: Folder) -> None:
    file = folder.read(
        {
            "metadata": {"generated_by": "opus", "anything": [1]},
            "gate": {"min_pass_rate": 0.8, "min_lift": 0.1, "on_inconclusive": "fail", "equivalence": 0.2},
            "runs": 3,
            "inject": "all",
            "cases": [
                {
                    "id": "build-toml",
                    "input": "Create a build.toml",
                    "context": {"files": {"notes/a.txt": "..."}},
                    "expected": {"contains": ["9.0"], "not_contains": "sm_70", "case_sensitive": True},
                    "tags": ["config"],
                    "models": ["haiku", "!reader"],
                }
            ],
        }
    )
    (case,) = file.cases
    assert file.path == folder.root / "skill_meta.json"
    assert file.gate == GateConfig(0.8, 0.1, "fail", 0.2)
    assert (file.runs, file.inject, file.warnings) == (3, "all", ())
    assert (case.id, case.input, case.files) == ("build-toml", "Create a build.toml", {"notes/a.txt": "..."})
    assert (case.tags, case.models, case.skip) == (("config",), ("haiku", "!reader"), None)
    options = {"case_sensitive": True}
    assert case.checks == (
        Check("contains", ["9.0"], options),
        Check("not_contains", "sm_70", options),
    )


def test_a_bare_list_is_read(folder: Folder) -> None:
    file = folder.read([{"input": "A task", "expected": {"contains": "x"}}])
    assert [case.id for case in file.cases] == ["a-task"]


def test_white_space_in_expected_text_is_kept(folder: Folder) -> None:
    case = folder.case(expected={"contains": ["class ", " x"]})
    assert case.checks == (Check("contains", ["class ", " x"]),)


def test_the_input_is_kept_to_the_last_byte(folder: Folder) -> None:
    assert folder.case(input="  two\r\nlines \n").input == "  two\r\nlines \n"


def test_a_whole_number_is_a_rate_too(folder: Folder) -> None:
    rows = [{"input": "x", "expected": {"contains": "y"}}]
    assert folder.read({"gate": {"min_pass_rate": 1}, "cases": rows}).gate.min_pass_rate == 1


def test_ids_given_by_hand_are_never_taken_by_made_ones(folder: Folder) -> None:
    row = {"input": "A task", "expected": {"contains": "x"}}
    cases = folder.read({"cases": [row, {**row, "id": "a-task"}]}).cases
    assert cases[0].id.startswith("a-task-")
    assert cases[1].id == "a-task"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"cases": [\n {"input": "a" "b"}]}', f"{FILE}:2:16: not valid JSON: expecting ',' delimiter"),
        ("", f"{FILE}:1:1: not valid JSON: expecting value"),
        ("[" * 100_000, f"{FILE}: not readable: it is nested too deeply"),
        ('{"cases": [],\n"cases": []}', (f"{FILE}:2: the key 'cases' stands twice in one object: only the last would "
         "count")),
        (b'{"cases":\n"\xff"}', f"{FILE}:2: not UTF-8 (byte 0xff): save the file as UTF-8"),
        ('"cases"', f"{FILE}: must hold an object with 'cases', or a list of cases"),
        ("null", f"{FILE}: must hold an object with 'cases', or a list of cases"),
        ("{}", f"{FILE}: no 'cases': a list of {{\"input\": ..., \"expected\": ...}} is needed"),
        ('{"cases": null}', f"{FILE}: no 'cases': a list of {{\"input\": ..., \"expected\": ...}} is needed"),
        ('{"case": []}', (f"{FILE}: no 'cases': a list of {{\"input\": ..., \"expected\": ...}} is needed "
         "(did you mean 'cases'?)")),
        ("[]", f'{FILE}: no case is in it: write at least one {{"input": ..., "expected": ...}}'),
        ('{\n"cases": []}', (f"{FILE}:2: cases: no case is in it: write at least one "
         '{"input": ..., "expected": ...}')),
        ('{"tests": [{}],\n"cases": [{}]}', (f"{FILE}:1: tests: 'tests' and 'cases' stand side by side: put all cases "
         "into 'cases'")),
        ('{"cases": {"a": 1}}', f"{FILE}:1: cases: must be a list, not an object"),
        ('{"cases": [\n1]}', f"{FILE}:2: cases[0]: must be an object, not 1"),
        ("[\n[]]", f"{FILE}:2: [0]: must be an object, not a list"),
    ],
)  # fmt: skip
def test_a_file_of_the_wrong_shape_is_refused(folder: Folder, text: str | bytes, said: str) -> None:
    assert refusal(folder, text) == said


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"metdata": {}}, "2: metdata: unknown key (did you mean 'metadata'?)"),
        ({"zzz": 1}, "2: zzz: unknown key; known are cases, gate, inject, metadata, runs"),
        ({"gate": {"min_pas_rate": 1}}, "3: gate.min_pas_rate: unknown key (did you mean 'min_pass_rate'?)"),
        ({"gate": {"min_pass_rate": 80}}, "3: gate.min_pass_rate: must be at most 1.0, not 80"),
        ({"gate": {"min_pass_rate": "0.8"}}, "3: gate.min_pass_rate: must be a number, not '0.8'"),
        ({"gate": {"min_lift": -2}}, "3: gate.min_lift: must be at least -1.0, not -2"),
        ({"gate": {"equivalence": 0}}, "3: gate.equivalence: must be above 0.0, not 0"),
        (
            {"gate": {"on_inconclusive": "maybe"}},
            "3: gate.on_inconclusive: must be 'pass' or 'fail', not 'maybe'",
        ),
        ({"gate": 0.8}, "2: gate: must be an object, not 0.8"),
        ({"runs": 0}, "2: runs: must be at least 1, not 0"),
        ({"runs": 1001}, "2: runs: must be at most 1000, not 1001"),
        ({"runs": 2.5}, "2: runs: must be a whole number, not 2.5"),
        ({"runs": True}, "2: runs: must be a whole number, not true"),
        ({"inject": "some"}, "2: inject: must be 'body' or 'all', not 'some'"),
        ({"metadata": []}, "2: metadata: must be an object, not a list"),
    ],
)
def test_a_mistake_outside_the_cases_is_placed(folder: Folder, fields: dict[str, Any], said: str) -> None:
    rows = [{"input": "x", "expected": {"contains": "y"}}]
    assert refusal(folder, {**fields, "cases": rows}) == f"{FILE}:{said}"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"inptu": "x"}, "inptu: unknown key (did you mean 'input'?)"),
        ({"input": None}, "is missing"),
        ({"input": " \n"}, "input: must not be blank"),
        ({"input": 3}, "input: must be text, not 3"),
        (
            {"id": "Two Words"},
            "id: 'Two Words' is no id: it must be made of a-z, 0-9 and '-', at most 64 characters",
        ),
        ({"id": "gate"}, "id: the id 'gate' is kept for the gates: choose another"),
        ({"id": 7}, "id: must be text, not 7"),
        ({"tags": "config"}, "tags: must be a list, not 'config'"),
        ({"models": [1]}, "models[0]: must be text, not 1"),
        ({"context": "x"}, "context: must be an object, not 'x'"),
        ({"context": {"file": {}}}, "context.file: unknown key (did you mean 'files'?)"),
        ({"context": {"files": {"a.txt": 1}}}, "context.files.a.txt: must be text, not 1"),
        (
            {"context": {"files": {"../a": "x"}}},
            "context.files: '../a' is no name of a file: give a path relative to the workspace",
        ),
        (
            {"context": {"files": {"/etc/a": "x"}}},
            "context.files: '/etc/a' is no name of a file: give a path relative to the workspace",
        ),
        ({"expected": "9.0"}, "expected: must be an object, not '9.0'"),
        ({"expected": ["9.0"]}, "expected: must be an object, not a list"),
        ({"expected": {"contians": "x"}}, "expected.contians: unknown key (did you mean 'contains'?)"),
        ({"expected": {"zz": "x"}}, f"expected.zz: unknown key; known are case_sensitive, {KNOWN}"),
        ({"expected": {"case_sensitive": "yes"}}, "expected.case_sensitive: must be true or false"),
        (
            {"expected": {"contains": []}},
            "expected.contains: contains needs at least one string, not an empty list",
        ),
        ({"expected": {"contains": ""}}, "expected.contains: contains needs a string that is not empty"),
        (
            {"expected": {"regex": "("}},
            "expected.regex: regex /(/ is not a valid pattern: missing ), unterminated subpattern (at position 0)",
        ),
        ({"output_file": ""}, "output_file: must not be blank"),
    ],
)
def test_a_mistake_in_a_case_names_its_key(folder: Folder, fields: dict[str, Any], said: str) -> None:
    found = of_case(folder, **fields)
    where, _, rest = found.partition(": ")
    assert where.startswith(f"{FILE}:")
    assert rest == (f"cases[0].{said}" if not said.startswith("is ") else f"cases[0].input: {said}")


def test_the_line_is_that_of_the_key(folder: Folder) -> None:
    first = '{"cases": [\n {"input": "a", "expected": {"contains": "x"}},\n'
    text = first + ' {"input": "b",\n  "expected": {\n   "rgex": 1}}]}'
    said = f"{FILE}:5: cases[1].expected.rgex: unknown key (did you mean 'regex'?)"
    assert refusal(folder, text) == said


@pytest.mark.parametrize("expected", [None, {}, {"case_sensitive": True}, {"contains": None}])
def test_a_case_with_nothing_to_check_is_refused(folder: Folder, expected: dict[str, Any] | None) -> None:
    row = {"id": "empty", "input": "x", "expected": expected}
    said = f"{FILE}:3: cases[0]: case 'empty' has nothing to check: give 'expected' at least one of {KNOWN}"
    assert refusal(folder, {"cases": [row]}) == said


def test_two_cases_with_one_id_are_refused(folder: Folder) -> None:
    row = {"id": "same", "input": "x", "expected": {"contains": "y"}}
    said = f"{FILE}:11: cases[1].id: the id 'same' is used by two cases: make it unique"
    assert refusal(folder, {"cases": [row, row]}) == said


def test_a_key_with_a_line_end_in_it_stays_on_one_line(folder: Folder) -> None:
    assert of_case(folder, **{"two\nlines": 1}).endswith("cases[0].two\\nlines: unknown key; known are context, "
        "expected, id, input, models, output_file, tags, validator, validator_config, verifiers")  # fmt: skip


class Broken:
    isolated = False

    def validate(self, check: Check, context: ScoringContext) -> None:
        raise TypeError("unhashable")

    def score(self, reply: Reply, check: Check, context: ScoringContext) -> list[Score]:
        return []


def test_a_scorer_that_fails_on_a_value_is_named_and_no_traceback_shown(folder: Folder) -> None:
    path = folder.meta([{"input": "x", "expected": {"mine": 1}}])
    with pytest.raises(SuiteError) as caught:
        read_native(path, {**builtin_scorers(), "mine": Broken()})
    said = "[0].expected.mine: the scorer 'mine' failed on it: TypeError: unhashable"
    assert str(caught.value) == f"{FILE}:5: {said}"
