from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.suite.matrix import Matrix, Suite, applies, build
from pytest_upskill.types import Case, CaseFile, Check, Model, Skill

CHECKS = (Check("contains", "x"),)


def model(name: str) -> Model:
    return Model(name, "reader", name)


def matrix(cases: list[Case], models: list[Model], runs: dict[str, int] | None = None) -> Matrix:
    skill = Skill("demo", Path("demo"), "body")
    suite = Suite(skill, (CaseFile(Path("demo/skill_meta.json"), tuple(cases)),))
    return build(suite, models, runs or {model.name: 1 for model in models})


def test_samples_go_by_case_model_run_and_arm() -> None:
    found = matrix(
        [Case("a", "x", CHECKS), Case("b", "x", CHECKS)], [model("m"), model("n")], {"m": 2, "n": 1}
    )
    assert [sample.id for sample in found.samples] == [
        "a[m-with_skill-run1]",
        "a[m-without_skill-run1]",
        "a[m-with_skill-run2]",
        "a[m-without_skill-run2]",
        "a[n-with_skill-run1]",
        "a[n-without_skill-run1]",
        "b[m-with_skill-run1]",
        "b[m-without_skill-run1]",
        "b[m-with_skill-run2]",
        "b[m-without_skill-run2]",
        "b[n-with_skill-run1]",
        "b[n-without_skill-run1]",
    ]
    assert [(gate.id, gate.runs, len(gate.samples)) for gate in found.gates] == [
        ("gate[m]", 2, 8),
        ("gate[n]", 1, 4),
    ]


@pytest.mark.parametrize(
    ("models", "runs_on"),
    [
        ((), ["haiku", "glm", "reader"]),
        (("haiku",), ["haiku"]),
        (("haiku", "glm"), ["haiku", "glm"]),
        (("!reader",), ["haiku", "glm"]),
        (("!reader", "!glm"), ["haiku"]),
        (("haiku", "!haiku"), []),
        (("haiku", "!reader"), ["haiku"]),
        (("nobody",), []),
    ],
)
def test_a_case_runs_on_the_models_that_it_names(models: tuple[str, ...], runs_on: list[str]) -> None:
    case = Case("a", "x", CHECKS, models=models)
    assert [name for name in ("haiku", "glm", "reader") if applies(case, model(name))] == runs_on


def test_a_model_that_no_case_runs_on_has_no_gate() -> None:
    found = matrix([Case("a", "x", CHECKS, models=("m",))], [model("m"), model("n")])
    assert [gate.id for gate in found.gates] == ["gate[m]"]


NAMES = st.lists(st.from_regex(r"[a-z0-9-]{1,6}", fullmatch=True), max_size=5, unique=True)


@settings(deadline=None)
@given(NAMES, NAMES, st.integers(1, 3))
def test_ids_are_unique_and_every_sample_belongs_to_one_gate(
    cases: list[str], models: list[str], runs: int
) -> None:
    found = matrix(
        [Case(name, "x", CHECKS) for name in cases],
        [model(name) for name in models],
        dict.fromkeys(models, runs),
    )
    ids = [sample.id for sample in found.samples] + [gate.id for gate in found.gates]
    assert len(set(ids)) == len(ids)
    assert len(found.samples) == len(cases) * len(models) * runs * 2
    assert {id(sample) for gate in found.gates for sample in gate.samples} == {id(s) for s in found.samples}
