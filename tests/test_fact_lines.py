"""Each fact that the shipped skills teach is guarded: without its line the gate is red, and only then."""

from __future__ import annotations

import asyncio
import json
import shutil
from fractions import Fraction
from pathlib import Path

import pytest

from pytest_upskill.calls.means import Means, Setting
from pytest_upskill.calls.measure import Measurer, Requests
from pytest_upskill.calls.scoring import Scoring
from pytest_upskill.providers.reader import Reader
from pytest_upskill.reports.gate_text import failure
from pytest_upskill.scorers.isolate import Judges
from pytest_upskill.shipped import shipped_scorers
from pytest_upskill.suite.dialects.native import Native
from pytest_upskill.suite.loading import load_suite
from pytest_upskill.suite.matrix import Gate, Sample, Suite, build
from pytest_upskill.suite.prompt import Prompt, skill_block
from pytest_upskill.suite.prompt import build as build_prompt
from pytest_upskill.types import Arm, Case, Model, Outcome, ScoringRun
from pytest_upskill.verdicts.gate import GateRules
from pytest_upskill.verdicts.result import GateResult
from tests.judged import evaluate

REPOSITORY = Path(__file__).parent.parent
SKILLS = [
    REPOSITORY / "skills" / "kernel-builder-cuda-kernels",
    REPOSITORY / "skills" / "git-commit-messages",
    REPOSITORY / "example_project" / "skills" / "release-notes",
]
READER = Model("reader", "reader", "reader")
ALL = GateRules(min_pass_rate=Fraction(1))


def prompt_of(suite: Suite, case: Case, arm: Arm) -> Prompt:
    return build_prompt(case, arm, skill_block(suite.skill, suite.first.inject))


async def measured(gate: Gate) -> dict[Sample, Outcome]:
    providers = {"reader": Reader(READER)}
    means = Means(providers, Setting("off"))
    measurer = Measurer(
        Requests(prompt_of, providers),
        means,
        Scoring(shipped_scorers(), Judges(), ScoringRun(Path(), b"seed")),
    )
    try:
        return {sample: await measurer.measure(sample) for sample in gate.samples}
    finally:
        await measurer.close()


def judged(root: Path) -> tuple[GateResult, dict[Sample, Outcome]]:
    suite = load_suite(root, [Native()], shipped_scorers())
    (gate,) = build(suite, [READER], {"reader": 1}).gates
    outcomes = asyncio.run(measured(gate))
    return evaluate(gate, outcomes, ALL, deterministic=True), outcomes


@pytest.mark.parametrize("root", SKILLS, ids=lambda path: path.name)
def test_the_gate_is_red_without_a_fact_and_only_then(root: Path, tmp_path: Path) -> None:
    copy = tmp_path / root.name
    shutil.copytree(root, copy)
    text = (root / "SKILL.md").read_text(encoding="utf-8")
    lines = text.split("\n")
    begin = lines.index("---", 1) + 1
    facts = {
        (case.id, str(fact))
        for file in load_suite(root, [Native()], shipped_scorers()).files
        for case in file.cases
        if "!reader" not in case.models
        for check in case.checks
        if check.scorer == "contains"
        for fact in (check.value if isinstance(check.value, list) else [check.value])
    }
    assert facts
    lost: set[tuple[str, str]] = set()
    for number in range(begin, len(lines)):
        (copy / "SKILL.md").write_text("\n".join(lines[:number] + lines[number + 1 :]), encoding="utf-8")
        result, outcomes = judged(copy)
        gone = {(case, fact) for case, fact in facts if fact.lower() in lines[number].lower()}
        assert result.decision is not None
        assert result.decision.passed is not bool(gone), f"line {number + 1}: {lines[number]}"
        if gone:
            shown = failure(result, outcomes, {}, verbose=True)
            for case, fact in gone:
                assert f"MISS {case}[reader-with_skill-run1]" in shown
                assert f"    expected: contains {json.dumps(fact)}" in shown
                assert "    evidence: " in shown
        lost |= gone
    assert lost == facts, "each fact stands on a line of its own"


@pytest.mark.parametrize("root", SKILLS, ids=lambda path: path.name)
def test_with_the_skill_every_case_hits_and_without_it_none(root: Path) -> None:
    result, _ = judged(root)
    assert (result.lift.with_hits, result.lift.without_hits) == (result.lift.with_n, 0)
