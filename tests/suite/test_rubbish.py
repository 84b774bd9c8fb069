"""Whatever a file holds, the answer is data or one sentence: never another exception, never two lines."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_upskill.config import load_config
from pytest_upskill.errors import ConfigError, SuiteError
from pytest_upskill.scorers.builtin import builtin_scorers
from pytest_upskill.suite.dialects.native import Native
from pytest_upskill.suite.lint import lint_skill
from pytest_upskill.suite.loading import load_suite

SCORERS = builtin_scorers()
GOOD: dict[str, Any] = {
    "metadata": {"a": 1},
    "gate": {"min_pass_rate": 0.8, "on_inconclusive": "fail"},
    "runs": 3,
    "inject": "all",
    "cases": [
        {
            "id": "a",
            "input": "x",
            "context": {"files": {"n.txt": "..."}},
            "expected": {
                "contains": ["9"],
                "contains_any": "a",
                "regex": "a+",
                "equals": "x",
                "json_schema": {"type": "object"},
                "data": {"format": "json", "paths": {"a.b": 1}},
                "file": {"path": "a", "contains": "b"},
                "max_output_tokens": 4,
                "max_latency": 3,
                "case_sensitive": True,
            },
            "tags": ["t"],
            "models": ["!a"],
            "output_file": "f",
            "validator": "contains",
            "validator_config": {},
            "verifiers": [{"type": "contains", "values": "a"}],
        },
        {"input": "y", "expected": {"contains": "z"}},
    ],
}
YAML = (
    "default_models: [reader]\nmodels:\n  haiku: {provider: anthropic, model: c, price: {input: 1, output: 2}}\n"
    "gates:\n  default: {min_pass_rate: 0.8}\n"
)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2) | st.just(10**30),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=4),
    st.sampled_from(["(", "[", "gate", "../a", "/a", "`", "\u2028", "\ud800", "x" * 2000]),
    st.sampled_from([[], {}, [[]], [None], {"": ""}, {"type": "zzz"}, {"$ref": "#"}, {"pattern": "("}]),
)
KEYS = st.sampled_from(["x", "tests", "cases", "verifiers", "expected", "a\nb", "contians", "models"])


def places(data: object, keys: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, item in pairs:
        yield (*keys, key)
        yield from places(item, (*keys, key))


@st.composite
def documents(draw: st.DrawFn) -> str:
    data = copy.deepcopy(GOOD)
    for _ in range(draw(st.integers(1, 3))):
        *keys, last = draw(st.sampled_from(list(places(data))))
        node: Any = data
        for key in keys:
            node = node[key]
        if draw(st.booleans()):
            node[last] = draw(VALUES)
        elif isinstance(node, dict):
            node[draw(KEYS)] = draw(VALUES)
        else:
            node.append(draw(VALUES))
    return json.dumps(data)


@st.composite
def spoiled(draw: st.DrawFn, good: str, letters: str) -> str:
    text = good
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        text = text[:start] + draw(st.sampled_from(letters)) + text[start + draw(st.integers(0, 2)) :]
    return text


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rubbish") / "demo"


def read(root: Path, skill: bytes, cases: bytes) -> None:
    root.mkdir(exist_ok=True)
    (root / "SKILL.md").write_bytes(skill)
    (root / "skill_meta.json").write_bytes(cases)
    try:
        for finding in lint_skill(root, load_suite(root, [Native()], SCORERS), ["a"]):
            assert str(finding).isprintable()
    except SuiteError as error:
        fits(str(error))


def fits(message: str) -> None:
    assert message
    assert message.isprintable()
    assert len(message) <= 1000


SKILL = b"---\nname: demo\ndescription: x\n---\nbody\n"
JSON_LETTERS = '{}[]",:\\u0n \n\t\x00'
YAML_LETTERS = "{}[]:,&*!|>'\"#%@-? \n\tab01.~<=é\x00"
often = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@often
@given(documents())
def test_wrong_values_anywhere(root: Path, text: str) -> None:
    read(root, SKILL, text.encode("utf-8", "surrogatepass"))


@often
@given(spoiled(json.dumps(GOOD), JSON_LETTERS))
def test_spoiled_json(root: Path, text: str) -> None:
    read(root, SKILL, text.encode())


@often
@given(st.binary(), st.binary())
def test_bytes_of_any_kind(root: Path, skill: bytes, cases: bytes) -> None:
    read(root, skill, json.dumps(GOOD).encode())
    read(root, b"---\n" + skill + b"\n---\n" + skill, cases)


@often
@given(spoiled(YAML, YAML_LETTERS))
def test_spoiled_yaml_in_both_places(root: Path, text: str) -> None:
    read(root, f"---\n{text}\n---\nbody".encode(), json.dumps(GOOD).encode())
    folder = root.parent / "project"
    folder.mkdir(exist_ok=True)
    (folder / "upskill.yaml").write_text(text, encoding="utf-8")
    try:
        load_config(folder)
    except ConfigError as error:
        fits(str(error))


@pytest.mark.parametrize("depth", [500, 5000, 100_000])
def test_nesting_of_any_depth(root: Path, depth: int) -> None:
    for text in ("[" * depth, "[" * depth + "]" * depth, '{"cases":' * depth + "1" + "}" * depth):
        read(root, SKILL, text.encode())
        read(root, f"---\nname: {text}\n---\n{text}".encode(), json.dumps(GOOD).encode())
    deep: Any = 1
    for _ in range(200):
        deep = {"properties": {"a": deep}}
    expected = {"json_schema": deep}
    read(root, SKILL, json.dumps([{"input": "x", "expected": expected}]).encode())


def test_a_file_of_ten_megabytes(root: Path) -> None:
    rows = [{"input": f"{n} " + "x" * 1000, "expected": {"contains": "y"}} for n in range(10_000)]
    read(root, SKILL, json.dumps(rows).encode())
    read(root, SKILL + b"word " * 1_000_000, json.dumps(rows[:1]).encode())
