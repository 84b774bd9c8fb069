"""results.json: what real runs write, held against its own schema."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pytest_upskill.reports.redaction import public_path, public_text, public_url, without_secrets
from pytest_upskill.reports.results import RunData, document, schema, write
from pytest_upskill.suite.matrix import Suite, build
from pytest_upskill.types import (
    Case,
    CaseFile,
    Check,
    Model,
    Outcome,
    Price,
    Reply,
    Score,
    Skill,
    Source,
    Usage,
)
from pytest_upskill.verdicts.gate import GateRules
from tests.judged import evaluate

SKILL = "---\nname: demo\ndescription: x\n---\n\n# Colours\n\nThe sky of Mars is butterscotch.\n"
CASES = [
    {"id": "mars", "input": "Which sky has Mars?", "expected": {"contains": "butterscotch"}, "tags": ["sky"]},
    {"id": "moon", "input": "Which sky has the Moon?", "expected": {"contains": ["black"]}},
    {"id": "later", "input": "x", "verifiers": [{"type": "command", "cmd": "true"}]},
]
# What a run without the option does not know.
WITH_AN_OPTION_ALONE = {"changed"}
FAILING = """
from pytest_upskill import CallError

class Broken:
    version = "1"
    deterministic = False
    def __init__(self, model): ...
    async def open(self): ...
    async def close(self): ...
    async def complete(self, request, timeout):
        raise CallError("broken: cannot read {root}/secret.txt", short="cannot read {root}/secret.txt")

def pytest_upskill_providers(register):
    register("broken", Broken)
"""


def objects(node: object) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if isinstance(node.get("properties"), dict):
            yield node
        for item in node.values():
            yield from objects(item)
    elif isinstance(node, list):
        for item in node:
            yield from objects(item)


def validate(data: object) -> None:
    checker = jsonschema.Draft202012Validator(schema(), format_checker=jsonschema.FormatChecker())
    assert [error.message for error in checker.iter_errors(data)] == []


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


def test_the_schema_is_strict_and_describes_every_key() -> None:
    found = list(objects(schema()))
    assert len(found) > 10
    for node in found:
        assert node["additionalProperties"] is False
        assert set(node["required"]) == set(node["properties"]) - WITH_AN_OPTION_ALONE
        for name, item in node["properties"].items():
            assert item.get("description", "").endswith("."), name


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    root = pytester.path / "skills" / "demo"
    root.mkdir(parents=True)
    (root / "SKILL.md").write_text(SKILL)
    (root / "skill_meta.json").write_text(json.dumps({"cases": CASES}))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-the-test")
    pytester.makeini("[pytest]\n")
    return pytester


def results(project: pytest.Pytester, *arguments: str, code: int = 0) -> dict[str, Any]:
    """Run, validate and return results.json; nothing in it is a secret or a place on this machine."""
    result = project.runpytest_subprocess("-p", "no:randomly", "--upskill-report=out", *arguments)
    assert result.ret == code, result.stdout.str()
    text = (project.path / "out" / "results.json").read_text(encoding="utf-8")
    data: dict[str, Any] = json.loads(text)
    validate(data)
    for secret in ("sk-secret", str(project.path), str(Path.home()) + "/"):
        assert secret not in text
    return data


@pytest.mark.parametrize("mode", [[], ["-n2"]], ids=["plain", "n2"])
def test_a_run_is_written_down(project: pytest.Pytester, mode: list[str]) -> None:
    data = results(project, "--upskill-models=reader", *mode, code=1)
    (skill,) = data["skills"]
    assert (skill["name"], skill["path"]) == ("demo", "skills/demo")
    assert skill["case_files"] == ["skill_meta.json"]
    assert skill["cases"][0] == {"id": "mars", "tags": ["sky"]}
    assert [(s["case"], s["arm"], s["status"], s["hit"]) for s in data["samples"]] == [
        ("mars", "with_skill", "measured", True),
        ("mars", "without_skill", "measured", False),
        ("moon", "with_skill", "measured", False),
        ("moon", "without_skill", "measured", False),
        ("later", "with_skill", "skipped", None),
        ("later", "without_skill", "skipped", None),
    ]
    (result,) = data["results"]
    assert (result["with_hits"], result["with_samples"], result["skips"]) == (1, 2, 2)
    assert (result["lift"], result["these_cases"]) == (0.5, None)
    assert (result["gate"]["word"], result["gate"]["passed"]) == ("failed", False)
    assert data["models"][0]["deterministic"] is True
    assert data["run"]["calls"] == 4


def test_a_replayed_run_says_that_its_replies_are_stored(project: pytest.Pytester) -> None:
    results(project, "--upskill-models=reader", code=1)
    data = results(project, "--upskill-models=reader", code=1)
    assert data["run"]["calls"] == 0
    assert {s["reply"]["source"] for s in data["samples"] if s["reply"]} == {"store"}


def test_a_partial_selection_has_counts_and_no_verdict(project: pytest.Pytester) -> None:
    data = results(project, "--upskill-models=reader", "-k", "mars and with_skill")
    (result,) = data["results"]
    assert result["selected"] is False
    assert result["verdict"] is None
    assert result["gate"] is None
    assert result["not_run"] > 0
    assert all(sample["case"] == "mars" for sample in data["samples"])


def test_errors_are_written_without_the_place_of_the_project(project: pytest.Pytester) -> None:
    project.makeconftest(FAILING.format(root=project.path))
    data = results(project, "--upskill-models=broken:x", code=1)
    errors = {sample["error"] for sample in data["samples"] if sample["status"] == "error"}
    assert errors == {"broken: cannot read secret.txt", "cannot read secret.txt"}
    (result,) = data["results"]
    assert (result["errors"], result["with_samples"]) == (4, 0)
    assert result["gate"]["word"] == "incomplete"


def test_a_configured_model_is_written_without_its_secrets(project: pytest.Pytester) -> None:
    (project.path / "upskill.yaml").write_text(
        "models:\n"
        "  mine:\n"
        "    provider: openai\n"
        "    base_url: http://me:sk-secret-1@127.0.0.1:9/v1?key=sk-secret-2\n"
        "    price: {input: 1, output: 2.5}\n"
        "    parameters: {extra_headers: {X-Key: sk-secret-3}, api_key: sk-secret-4, max_tokens: 5}\n"
    )
    data = results(project, "--upskill-models=mine", "--upskill-timeout=2", code=1)
    (model,) = data["models"]
    assert model["base_url"] == "http://127.0.0.1:9/v1"
    assert model["parameters"] == {"extra_headers": "***", "api_key": "***", "max_tokens": 5}
    assert model["price"] == {"input": 1, "output": 2.5}


def run_data(root: Path, outcome: Outcome, model: Model) -> RunData:
    suite = Suite(
        Skill("demo", root / "demo", "body"),
        (CaseFile(root / "demo" / "skill_meta.json", (Case("a", "x", (Check("contains", "y"),)),)),),
    )
    matrix = build(suite, [model], {model.name: 1})
    outcomes = dict.fromkeys(matrix.samples, outcome)
    return RunData(
        rootdir=root,
        started=0.0,
        seconds=1.0,
        cache="auto",
        calls=2,
        models=[model],
        deterministic={model.name: False},
        results=[evaluate(matrix.gates[0], outcomes, GateRules(), deterministic=False)],
        outcomes=outcomes,
        down={},
    )


MODEL = Model("m", "openai", "m-1", price=Price(1.0, 10.0))
REPLY = Reply("yes", "m-1-2030", Usage(1000, 100), "stop", 0.5)


def test_costs_are_written_by_sample_skill_model_arm_and_hit(tmp_path: Path) -> None:
    data: Any = document(run_data(tmp_path, Outcome(REPLY, (Score(True),), cost=0.002), MODEL))
    validate(data)
    assert [sample["reply"]["cost"] for sample in data["samples"]] == [0.002, 0.002]
    assert data["results"][0]["cost"] == {"with": 0.002, "without": 0.002, "per_hit": 0.002}
    assert (data["skills"][0]["cost"], data["models"][0]["cost"], data["run"]["cost"]) == (0.004,) * 3
    assert data["models"][0]["reported"] == ["m-1-2030"]


def test_an_unknown_cost_is_null_and_never_nothing(tmp_path: Path) -> None:
    data: Any = document(run_data(tmp_path, Outcome(REPLY, (Score(False),)), MODEL))
    validate(data)
    assert data["samples"][0]["reply"]["cost"] is None
    assert data["results"][0]["cost"] == {"with": None, "without": None, "per_hit": None}
    assert (data["skills"][0]["cost"], data["models"][0]["cost"], data["run"]["cost"]) == (None,) * 3
    assert data["run"]["spent"] is None
    missed: Any = document(run_data(tmp_path, Outcome(REPLY, (Score(False),), cost=0.002), MODEL))
    assert missed["results"][0]["cost"]["per_hit"] is None


def test_a_price_that_is_not_configured_is_written_as_it_was_found(tmp_path: Path) -> None:
    bare = replace(MODEL, price=None)
    run = run_data(tmp_path, Outcome(error="500"), bare)
    shown: Any = [document(replace(run, prices=prices)) for prices in ({}, {"m": None}, {"m": Price(2, 3)})]
    assert [data["models"][0]["price"] for data in shown] == [None, None, {"input": 2, "output": 3}]


@pytest.mark.parametrize("source", ["call", "batch", "store", "recording"])
def test_where_a_reply_came_from_and_what_the_run_took_is_written(tmp_path: Path, source: Source) -> None:
    run = run_data(tmp_path, Outcome(REPLY, (Score(True),), source=source), MODEL)
    data: Any = document(replace(run, spent=0.31, retries=3, refusals=2))
    validate(data)
    assert {sample["reply"]["source"] for sample in data["samples"]} == {source}
    assert (data["run"]["spent"], data["run"]["retries"], data["run"]["refusals"]) == (0.31, 3, 2)


def test_a_reply_with_half_a_character_and_no_latency_is_still_json(tmp_path: Path) -> None:
    odd = Outcome(replace(REPLY, text="half \ud83d", latency=math.nan), (Score(True, "half \ud83d"),))
    data = document(run_data(tmp_path, odd, MODEL))
    validate(data)
    write(data, tmp_path)
    read = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert read["samples"][0]["reply"]["text"] == "half \ud83d"


def test_a_file_that_went_away_does_not_keep_the_report_from_being_written(tmp_path: Path) -> None:
    run = run_data(tmp_path, Outcome(REPLY, (Score(True),)), MODEL)
    suite = run.results[0].gate.suite
    gone = replace(suite.skill, files=("gone.md",))
    object.__setattr__(suite, "skill", gone)
    validate(document(run))


def test_a_skill_beside_the_rootdir_has_a_relative_path(tmp_path: Path) -> None:
    assert public_path(tmp_path / "other" / "demo", tmp_path / "project") == "../other/demo"


@pytest.mark.parametrize(
    ("url", "public"),
    [
        (None, None),
        ("http://localhost:8080/v1", "http://localhost:8080/v1"),
        ("https://user:pass@host:1/v1?token=x#y", "https://host:1/v1"),
        ("http://[broken", "***"),
    ],
)
def test_addresses_lose_what_may_be_secret(url: str | None, public: str | None) -> None:
    assert public_url(url) == public


def test_secrets_are_hidden_at_any_depth() -> None:
    given: dict[str, Any] = {
        "max_tokens": 1,
        "extra_body": {"a": [{"Api-Key": "x", "seed": 2}], "access_token": "x"},
        "default_headers": {"a": "b"},
        "password": None,
    }
    assert without_secrets(given) == {
        "max_tokens": 1,
        "extra_body": {"a": [{"Api-Key": "***", "seed": 2}], "access_token": "***"},
        "default_headers": "***",
        "password": "***",
    }


def test_paths_in_messages_are_made_relative() -> None:
    root = Path("/srv/project")
    home = Path.home()
    assert public_text(f"/srv/project/a/b: no; {home}/x", root) == "a/b: no; ~/x"
    assert public_text("/srv/projects/a", root) == "/srv/projects/a"
    assert public_text("/a/b", Path("/")) == "/a/b"
    assert public_text(None, root) is None
