from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_upskill.errors import ScorerError
from pytest_upskill.types import JSON, Score

Judge = Callable[..., list[Score]]
Refusal = Callable[..., str]
TOML = '```toml build.toml\n[compute]\narch = ["8.0"]\n```\n\n```json\n{"a": 1}\n```\n'
SCHEMA: JSON = {
    "type": "object",
    "properties": {"a": {"type": "array", "items": {"type": "integer"}}},
    "required": ["a"],
}
VALID = "JSON that is valid against the schema"


def test_valid_json_in_a_block_is_a_hit(judge: Judge) -> None:
    assert judge("json_schema", SCHEMA, 'Here:\n```json\n{"a": [1]}\n```') == [
        Score(True, "{a: [1]}", VALID, "json_schema")
    ]


@pytest.mark.parametrize("reply", ['{"a": [1]}', 'Here:\n```\n{"a": [1]}\n```'])
def test_json_needs_no_label(judge: Judge, reply: str) -> None:
    assert judge("json_schema", SCHEMA, reply)[0].hit


def test_the_first_block_that_can_be_parsed_counts(judge: Judge) -> None:
    assert judge("json_schema", SCHEMA, '```json\n{...}\n```\n```json\n{"a": []}\n```')[0].hit


def test_the_errors_of_a_schema_have_their_paths(judge: Judge) -> None:
    (score,) = judge("json_schema", SCHEMA, '{"a": [1, "x", 2, null]}')
    assert score.evidence == "$.a[1]: 'x' is not of type 'integer'; $.a[3]: None is not of type 'integer'"
    assert not score.hit


def test_text_that_is_no_json_is_a_miss(judge: Judge) -> None:
    assert judge("json_schema", SCHEMA, "sorry")[0].evidence == (
        "no JSON in the reply, which has: no fenced block; "
        "the reply is not JSON: line 1 column 1: Expecting value"
    )
    assert judge("json_schema", SCHEMA, '\n```json\n{"a":\n}\n```')[0].evidence == (
        "the block at line 2 is not JSON: line 2 column 1: Expecting value"
    )


def test_the_schema_may_look_at_a_file(judge: Judge) -> None:
    reply = '```json a.json\n{"a": [1]}\n```\n```json b.json\n{}\n```'
    assert judge("json_schema", SCHEMA, reply, output_file="a.json") == [
        Score(True, "{a: [1]}", f"{VALID} in a.json", "json_schema")
    ]
    assert (
        judge("json_schema", SCHEMA, reply, output_file="b.json")[0].evidence
        == "$: 'a' is a required property"
    )
    assert judge("json_schema", SCHEMA, reply, output_file="c.json")[0].evidence == (
        "no fenced block names 'c.json'; the reply has: a.json, b.json"
    )


def test_a_reference_to_the_web_is_an_error_and_never_fetched(judge: Judge) -> None:
    with pytest.raises(ScorerError) as caught:
        judge("json_schema", {"$ref": "http://127.0.0.1:9/x.json"}, "{}")
    assert str(caught.value) == (
        'json_schema: its $ref "http://127.0.0.1:9/x.json" leads nowhere; keep it within the schema'
    )


def test_a_schema_may_refer_to_itself(judge: Judge) -> None:
    schema: JSON = {"$defs": {"n": {"type": "integer"}}, "properties": {"a": {"$ref": "#/$defs/n"}}}
    assert judge("json_schema", schema, '{"a": 1}')[0].hit


@pytest.mark.parametrize(
    ("schema", "sentence"),
    [
        ([], "json_schema needs a JSON schema as an object, not an empty list"),
        ([1], "json_schema needs a JSON schema as an object, not a list"),
        (
            {"type": "strin"},
            "json_schema is not a valid JSON schema: $.type: "
            "'strin' is not valid under any of the given schemas",
        ),
        ({"pattern": "a("}, "json_schema is not a valid JSON schema: $.pattern: 'a(' is not a 'regex'"),
    ],
)
def test_a_bad_schema_is_refused(refusal: Refusal, schema: JSON, sentence: str) -> None:
    assert refusal("json_schema", schema) == sentence


def test_data_has_one_score_for_each_path(judge: Judge) -> None:
    value: JSON = {
        "format": "toml",
        "paths": {"compute.arch[0]": "9.0", "compute.arch": ["8.0"], "compute.x": 1},
    }
    assert judge("data", value, TOML) == [
        Score(False, 'compute.arch[0] is "8.0", not "9.0"', 'compute.arch[0] equals "9.0"', "data"),
        Score(True, 'compute.arch is ["8.0"]', 'compute.arch equals ["8.0"]', "data"),
        Score(False, 'no "x" in compute; it has: arch', "compute.x equals 1", "data"),
    ]


def test_the_format_comes_from_the_fence_when_none_is_given(judge: Judge) -> None:
    assert judge("data", {"paths": {"compute.arch[0]": "8.0"}}, TOML)[0].hit
    assert judge("data", {"paths": {"a": 1}}, "```yml\na: 1\n```")[0].hit


def test_the_format_of_a_file_comes_from_its_suffix(judge: Judge) -> None:
    value: JSON = {"file": "build.toml", "paths": {"compute.arch[0]": "8.0"}}
    assert judge("data", value, TOML) == [
        Score(True, 'compute.arch[0] is "8.0"', 'compute.arch[0] equals "8.0" in build.toml', "data")
    ]


def test_data_may_be_compared_as_a_whole(judge: Judge) -> None:
    assert judge("data", {"format": "json", "equals": {"a": 1}}, TOML) == [
        Score(True, "{a: 1}", "data equals {a: 1}", "data")
    ]
    assert judge("data", {"format": "json", "equals": {"a": 2}}, TOML)[0].evidence == "a is 1, not 2"


@pytest.mark.parametrize(
    ("value", "reply", "evidence"),
    [
        ({"equals": 1}, "prose", "no JSON, TOML or YAML in the reply, which has: no fenced block"),
        (
            {"format": "yaml", "equals": 1},
            "prose",
            "no YAML in the reply, which has: no fenced block; the reply is plain text",
        ),
        (
            {"format": "toml", "equals": 1},
            "\n```toml\na =\n```",
            "the block at line 2 is not TOML: Invalid value (at line 1, column 4)",
        ),
        (
            {"file": "a.toml", "equals": 1},
            "```toml a.toml\na =\n```",
            "a.toml is not TOML: Invalid value (at line 1, column 4)",
        ),
        (
            {"file": "a.json", "equals": 1},
            "",
            "no fenced block names 'a.json'; the reply has: no fenced block",
        ),
    ],
)
def test_data_that_cannot_be_read_is_a_miss(judge: Judge, value: JSON, reply: str, evidence: str) -> None:
    assert [(score.hit, score.evidence) for score in judge("data", value, reply)] == [(False, evidence)]


def test_each_path_is_a_miss_when_there_is_no_data(judge: Judge) -> None:
    assert [score.hit for score in judge("data", {"paths": {"a": 1, "b": 2}}, "prose")] == [False, False]


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (3, 'data needs an object such as {"paths": {"a.b": 1}}, not 3'),
        ({"path": {}}, "data has no key 'path' (did you mean 'paths'?); it has: equals, file, format, paths"),
        ({}, "data needs either 'paths' or 'equals'"),
        ({"paths": {"a": 1}, "equals": 1}, "data needs either 'paths' or 'equals'"),
        ({"paths": {}}, "data: 'paths' needs an object of paths and values, not an object"),
        ({"paths": ["a"]}, "data: 'paths' needs an object of paths and values, not a list"),
        (
            {"format": "tom", "equals": 1},
            "data has no format \"tom\" (did you mean 'toml'?); it has: json, toml, yaml",
        ),
        (
            {"file": "a.cfg", "equals": 1},
            "data cannot tell the format of 'a.cfg'; add 'format': one of json, toml, yaml",
        ),
        ({"file": 3, "equals": 1}, "output_file must be the name of a file, not 3"),
        (
            {"paths": {"a[": 1}},
            'data: the path "a[" cannot be read at character 2; '
            'write it like compute.arch[0], and a key with a dot in it like tool["a.b"]',
        ),
    ],
)
def test_a_wrong_value_is_refused(refusal: Refusal, value: JSON, sentence: str) -> None:
    assert refusal("data", value) == sentence
