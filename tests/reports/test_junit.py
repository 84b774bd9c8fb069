"""JUnit: what pytest writes is read by others, whatever a model or a skill is called."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from junitparser.xunit2 import JUnitXml

from pytest_upskill.reports.junit import gate_properties, sample_properties
from pytest_upskill.types import Outcome, Price, Reply, Score, Source, Usage
from pytest_upskill.verdicts.gate import GateRules
from tests.calls.fakes import gate
from tests.reports.made import HIT, Made, made, reader

SAMPLE = gate().samples[0]
IDS = (
    ("upskill.skill", "demo"),
    ("upskill.case", "a"),
    ("upskill.model", "m"),
    ("upskill.arm", "with_skill"),
    ("upskill.run", "1"),
)


def test_a_sample_that_was_measured_says_what_it_took() -> None:
    outcome = Outcome(Reply("yes", "m-1", Usage(10, 2), "stop", 0.12345), (HIT,), cost=0.00002)
    assert sample_properties(SAMPLE, outcome) == (
        *IDS,
        ("upskill.hit", "true"),
        ("upskill.source", "call"),
        ("upskill.latency", "0.123"),
        ("upskill.input_tokens", "10"),
        ("upskill.output_tokens", "2"),
        ("upskill.cost", "0.00002"),
        ("upskill.reported_model", "m-1"),
    )


def test_what_is_not_known_is_not_said() -> None:
    outcome = Outcome(Reply("no", stop_reason="length"), (Score(False),), source="store")
    assert sample_properties(SAMPLE, outcome) == (
        *IDS,
        ("upskill.hit", "false"),
        ("upskill.source", "store"),
        ("upskill.latency", "0.000"),
        ("upskill.truncated", "true"),
    )


@pytest.mark.parametrize("source", ["call", "batch", "store", "recording"])
def test_a_sample_says_where_its_reply_came_from(source: Source) -> None:
    found = dict(sample_properties(SAMPLE, Outcome(Reply("yes"), (HIT,), source=source, cost=0.0)))
    assert (found["upskill.source"], found["upskill.cost"]) == (source, "0")


@pytest.mark.parametrize("outcome", [Outcome(error="500"), Outcome(skip="no GPU")], ids=["error", "skip"])
def test_a_sample_that_was_not_measured_says_which_it_is_alone(outcome: Outcome) -> None:
    assert sample_properties(SAMPLE, outcome) == IDS


def test_a_reply_that_could_not_be_judged_is_neither_hit_nor_miss() -> None:
    names = dict(sample_properties(SAMPLE, Outcome(Reply("x"), error="regex took too long")))
    assert "upskill.hit" not in names
    assert names["upskill.latency"] == "0.000"


def test_a_gate_says_its_counts_and_its_word() -> None:
    found = dict(gate_properties(made(9, 2, 10).result))
    interval = found.pop("upskill.lift_interval")
    assert re.fullmatch(r"0\.\d{4} 0\.\d{4}", interval)
    assert found == {
        "upskill.skill": "demo",
        "upskill.model": "haiku",
        "upskill.with_hits": "9",
        "upskill.with_samples": "10",
        "upskill.without_hits": "2",
        "upskill.without_samples": "10",
        "upskill.with_rate": "0.9000",
        "upskill.without_rate": "0.2000",
        "upskill.lift": "0.7000",
        "upskill.verdict": "helps",
        "upskill.p_hurts": "1",
        "upskill.gate": "passed",
    }


def test_a_gate_says_what_its_arms_and_a_hit_cost_where_that_is_known() -> None:
    found = dict(gate_properties(made(2, 2, 10, price=Price(1, 10)).result))
    costs = {name: found[f"upskill.{name}"] for name in ("with_cost", "without_cost", "cost_per_hit")}
    assert costs == {"with_cost": "0.0143", "without_cost": "0.0103", "cost_per_hit": "0.00715"}
    nothing = dict(gate_properties(made(0, 2, 10, price=Price(1, 10)).result))
    assert "upskill.cost_per_hit" not in nothing
    assert not [name for name in dict(gate_properties(made(2, 2, 10).result)) if "cost" in name]


def test_an_exact_lift_has_no_interval_and_an_unmeasured_one_no_rate() -> None:
    assert "upskill.lift_interval" not in dict(gate_properties(reader().result))
    nothing = dict(gate_properties(made(0, 0, 1, with_skill=Outcome(error="x")).result))
    assert nothing["upskill.gate"] == "incomplete"
    assert nothing["upskill.verdict"] == "not measured"
    assert not {"upskill.lift", "upskill.with_rate", "upskill.lift_interval"} & nothing.keys()


def test_a_gate_that_was_not_selected_is_partial() -> None:
    found = dict(gate_properties(made(1, 1, 2).again(GateRules(), selected=False)))
    assert found["upskill.gate"] == "partial"
    assert "upskill.verdict" not in found


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=()), max_size=300))
def test_values_are_small_printable_and_encodable(name: str) -> None:
    outcome = Outcome(Reply("x" * 10_000, model=name), (HIT,))
    sample = replace(SAMPLE, model=replace(SAMPLE.model, name=name))
    for key, value in (
        *sample_properties(sample, outcome),
        *gate_properties(made(1, 1, 1, model=name).result),
    ):
        assert f"{key}{value}".isprintable()
        value.encode()
        assert len(value) <= 1000
        if "\\" not in value:
            assert len(value) <= 200


CONFTEST = """
import pytest
from pytest_upskill.reports.junit import add_suite_properties, gate_properties
from pytest_upskill.reports.gate_text import failure
from pytest_upskill.types import Outcome, Reply, Score
from pytest_upskill.verdicts.gate import GateRules
from tests.reports.made import MISS, made

ODD = "odd \\x1b[31m <&\\"]]> \\x00 \\ud83d \\uffff \\U0001f600"

FOUND = [
    made(9, 2, 10, skill="one"),
    made(9, 2, 10, skill="one", model="glm"),
    made(0, 0, 1, skill=ODD, model="odd", rules=GateRules(mode="strict"),
         with_skill=Outcome(Reply(ODD, model=ODD), (Score(False, ODD, ODD),))),
]


class Item(pytest.Item):
    def runtest(self):
        found = FOUND[-1]
        self.user_properties.extend(gate_properties(found.result))
        raise AssertionError(failure(found.result, found.outcomes, {}))

    def repr_failure(self, excinfo):
        return str(excinfo.value)


class File(pytest.File):
    def collect(self):
        yield Item.from_parent(self, name="gate")


def pytest_collect_file(file_path, parent):
    return File.from_parent(parent, path=file_path) if file_path.name == "gates" else None


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session):
    if not hasattr(session.config, "workerinput"):
        add_suite_properties(session.config, [found.result for found in FOUND])
"""


@pytest.mark.parametrize("mode", [[], ["-n1"]], ids=["plain", "xdist"])
def test_what_pytest_writes_is_read_by_others_whatever_a_model_says(
    pytester: pytest.Pytester, mode: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    pytester.makeconftest(CONFTEST)
    (pytester.path / "gates").touch()
    result = pytester.runpytest_subprocess(
        "-p", "no:randomly", "--junit-xml=junit.xml", *mode, "gates", timeout=60
    )
    result.assert_outcomes(failed=1)
    assert "\x1b" not in result.stdout.str()
    (suite,) = JUnitXml.fromfile(str(pytester.path / "junit.xml"))
    whole = properties(suite)
    assert whole["upskill.one.haiku.lift"] == whole["upskill.one.glm.lift"] == "0.7000"
    assert whole["upskill.one.haiku.gate"] == "passed"
    (case,) = list(suite)
    assert properties(case)["upskill.gate"] == "failed"
    text = case.result[0].text
    assert "MISS case-1[odd-with_skill-run1]" in text
    assert 'odd \\x1b[31m <&"]]> \\x00 \\ud83d' in text


def properties(element: Any) -> dict[str, str]:
    return {found.name: found.value for found in element.properties()}


def test_without_a_junit_file_nothing_is_added(pytester: pytest.Pytester) -> None:
    from pytest_upskill.reports.junit import add_suite_properties

    add_suite_properties(pytester.parseconfig(), [made(1, 1, 1).result])


def test_numbers_of_a_made_gate_are_those_of_its_result() -> None:
    found: Made = made(3, 1, 4)
    shown = dict(gate_properties(found.result))
    assert shown["upskill.with_hits"] == str(found.result.lift.with_hits) == "3"
