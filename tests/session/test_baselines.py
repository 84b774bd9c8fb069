"""Baselines: saved at the end of a run, read before the first call of a later one, and what a gate finds in them."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_upskill.scorers.builtin import builtin_scorers
from pytest_upskill.session.baselines import Baseline, Baselines
from pytest_upskill.session.library import Library
from pytest_upskill.suite.baseline import CaseEntry, Entry, case_digest, read, skill_digest, write
from pytest_upskill.suite.dialects.native import Native
from pytest_upskill.suite.loading import load_suite
from pytest_upskill.suite.matrix import Gate, OldSkill, Sample, build
from pytest_upskill.suite.prompt import skill_block
from pytest_upskill.types import WITH, Model, Outcome, Reply, Score, Source
from pytest_upskill.verdicts.stratified import Stratum
from pytest_upskill.verdicts.verdict import CaseCount
from tests.session.conftest import Project

Run = Callable[..., pytest.RunResult]
FILE = "skills/demo/baseline.json"
SAVE = "--upskill-save-baseline"
DAY = dt.date(2026, 11, 2)
MODEL = Model("helps", "script", "helps")


def said(result: pytest.RunResult) -> str:
    return " ".join((result.stdout.str() + result.stderr.str()).split())


def kept(project: Project) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((project.path / FILE).read_text())["models"]
    return loaded


def edit(root: Path, **changes: str) -> None:
    """Replace the input of cases, by their ids."""
    path = root / "skill_meta.json"
    meta = json.loads(path.read_text())
    for case in meta["cases"]:
        case["input"] = changes.get(case["id"].replace("-", "_"), case["input"])
    path.write_text(json.dumps(meta, indent=1))


def test_a_run_saves_the_counts_of_its_gates_and_the_next_one_leaves_them_untouched(
    project: Project, run: Run
) -> None:
    project.skill(cases=2)
    result = run(SAVE, "--upskill-runs=2")
    assert f"baseline: {FILE}: 2 cases on script-helps (new)" in said(result)
    entry = kept(project)["script-helps"]
    assert (entry["model"], entry["reported"]) == ("script:helps", "helps-1")
    assert abs((dt.datetime.now(dt.UTC).date() - dt.date.fromisoformat(entry["date"])).days) <= 1
    counts = {name: (case["with_skill"], case["without_skill"]) for name, case in entry["cases"].items()}
    assert counts == {"case-1": ([2, 2], [0, 2]), "case-2": ([2, 2], [0, 2])}
    path = project.path / FILE
    os.utime(path, ns=(1, 1))
    result = run(SAVE, "--upskill-runs=2", "--upskill-cache=refresh")
    assert f"baseline: {FILE}: 2 cases on script-helps (unchanged)" in said(result)
    assert path.stat().st_mtime_ns == 1
    assert "baseline:" not in said(run("--upskill-runs=2"))


def test_models_that_were_not_run_stay_and_cases_that_are_gone_do_not(project: Project) -> None:
    root = project.skill(cases=3)
    project.run(SAVE, models="script:helps,script:exact")
    assert set(kept(project)) == {"script-exact", "script-helps"}
    meta = json.loads((root / "skill_meta.json").read_text())
    del meta["cases"][0]
    meta["cases"].append({"id": "case-4", "input": "Another?", "expected": {"contains": "yes"}})
    (root / "skill_meta.json").write_text(json.dumps(meta))
    edit(root, case_2="Asked otherwise?")
    result = project.run(SAVE, models="script:helps")
    assert f"baseline: {FILE}: 3 cases on script-helps (1 new, 1 changed, 1 gone)" in said(result)
    cases = {model: sorted(entry["cases"]) for model, entry in kept(project).items()}
    assert cases == {"script-exact": ["case-2", "case-3"], "script-helps": ["case-2", "case-3", "case-4"]}


def test_what_is_incomplete_or_was_not_selected_is_not_saved_and_says_why(project: Project, run: Run) -> None:
    project.skill(cases=2)
    run(SAVE, models="script:helps")
    before = (project.path / FILE).read_text()
    result = run(SAVE, models="script:broken")
    assert result.ret == 1
    assert f"baseline: {FILE}: script-broken is not saved: 2 samples were not measured" in said(result)
    result = run(SAVE, "-k", "case-1 and with_skill", models="script:helps")
    assert result.ret == 0
    assert f"baseline: {FILE}: script-helps is not saved: its gate was not selected" in said(result)
    assert (project.path / FILE).read_text() == before


def test_a_model_that_failed_does_not_keep_another_from_being_saved(project: Project) -> None:
    project.skill(cases=2)
    project.run(SAVE, models="script:broken,script:helps")
    assert set(kept(project)) == {"script-helps"}


def test_a_file_that_cannot_be_read_ends_the_run_before_the_first_call(project: Project, run: Run) -> None:
    root = project.skill(cases=1)
    (root / "baseline.json").write_text('{"version": 1, "modells": {}}')
    for arguments in ([], [SAVE]):
        result = run(*arguments)
        assert result.ret == 4
        assert (
            f"{FILE}:1: modells: unknown key (did you mean 'models'?); restore the file as it was committed, or delete "
            "it and save it again with --upskill-save-baseline" in said(result)
        )
        assert "Traceback" not in said(result)
    assert project.calls == []


def test_a_file_that_cannot_be_written_fails_the_run_in_words(project: Project) -> None:
    project.skill(cases=1)
    with (project.path / "conftest.py").open("a") as file:
        file.write(
            f"\n\ndef pytest_upskill_gate(result):\n    os.makedirs({FILE!r}, exist_ok=True)\n",
        )
    result = project.run(SAVE)
    assert result.ret == 1
    result.assert_outcomes(passed=3)
    assert f"baseline: {FILE}: cannot be read: Is a directory; restore the file" in said(result)


def test_a_name_that_means_another_model_now_is_not_compared_and_says_so(project: Project) -> None:
    project.skill(cases=1)
    config = project.path / "upskill.yaml"
    config.write_text("models:\n  mine: {provider: script, model: helps}\n")
    project.run(SAVE, models="mine")
    config.write_text("models:\n  mine: {provider: script, model: never}\n")
    result = project.run("--upskill-gate=off", models="mine")
    assert (
        f"baseline: {FILE}: not compared with: mine is script:never now, and was script:helps then; save it again "
        "with --upskill-save-baseline" in said(result)
    )


# --- what a gate finds


def library() -> Library:
    return cast(
        "Library", SimpleNamespace(settings=SimpleNamespace(save_baseline=False, aa=False), whole=False)
    )


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """A gate of the cases `one`, `two` and `three`, two runs each."""
    (tmp_path / "SKILL.md").write_text("---\nname: demo\ndescription: A skill.\n---\n\nAlways say yes.\n")
    rows = [
        {"id": name, "input": f"Is it {name}?", "expected": {"contains": "yes"}}
        for name in ("one", "two", "three")
    ]
    (tmp_path / "skill_meta.json").write_text(json.dumps(rows))
    suite = load_suite(tmp_path, [Native()], builtin_scorers())
    return build(suite, [MODEL], {"helps": 2}).gates[0]


def save(gate: Gate, **changes: Any) -> Entry:
    """Save a baseline of a gate: 2 of 2 hits with the skill and 1 of 2 without."""
    skill = gate.suite.skill
    cases = {case.id: CaseEntry(case_digest(case), 2, 2, 1, 2) for case in gate.suite.first.cases}
    digest = skill_digest(skill_block(skill), {})
    entry = replace(Entry("script:helps", "helps-1", DAY, digest, cases), **changes)
    write(skill.root, {"helps": entry})
    return entry


def found(gate: Gate) -> Baseline:
    baseline = Baselines(library()).of(gate)
    assert baseline is not None
    return baseline


def test_a_skill_that_is_as_it_was_is_unchanged(gate: Gate) -> None:
    save(gate)
    baseline = found(gate)
    assert (baseline.unchanged, baseline.left_out, baseline.date) == (True, (), DAY)
    assert baseline.path == gate.suite.skill.root / "baseline.json"


def test_a_skill_of_which_a_model_gets_something_else_is_changed(gate: Gate) -> None:
    save(gate)
    other = replace(gate.suite.skill, body="Always say yes, please.")
    assert not found(replace(gate, suite=replace(gate.suite, skill=other))).unchanged


def test_cases_that_are_new_or_changed_are_left_out(gate: Gate) -> None:
    entry = save(gate)
    cases = dict(entry.cases)
    del cases["one"]
    cases["two"] = replace(cases["two"], digest="0" * 16)
    save(gate, cases={**cases, "gone": cases["three"]})
    baseline = found(gate)
    assert baseline.left_out == ("one", "two")
    counts = [CaseCount(name, 1, 2, 0, 2) for name in ("one", "two", "three")]
    assert baseline.with_strata(counts) == [Stratum("three", 2, 2, 1, 2)]


def test_there_is_nothing_to_compare_with(gate: Gate) -> None:
    assert Baselines(library()).of(gate) is None
    save(gate)
    named = replace(gate.suite, old=OldSkill("main", None))
    assert Baselines(library()).of(replace(gate, suite=named)) is None
    other = replace(MODEL, model="other")
    assert Baselines(library()).of(replace(gate, model=other)) is None
    assert Baselines(library()).of(replace(gate, model=replace(MODEL, name="glm"))) is None


def outcomes(gate: Gate, source: Source, day: dt.date | None = None) -> dict[Sample, Outcome]:
    """Return the outcomes of a gate's samples: hits with the skill, and in the first run without it."""
    date = None if day is None else dt.datetime.combine(day, dt.time(12), dt.UTC).timestamp()
    made = {}
    for number, sample in enumerate(gate.samples):
        reply = Reply(f"reply {number}", model="helps-2", date=date)
        made[sample] = Outcome(reply, (Score(sample.arm == WITH or sample.run == 1),), source=source)
    return made


def test_only_replies_that_came_after_the_baseline_tell_of_the_model_of_today(gate: Gate) -> None:
    save(gate)
    baseline = found(gate)
    strata = [Stratum(name, 1, 2, 1, 2) for name in ("one", "two", "three")]
    assert baseline.without_strata(gate, outcomes(gate, "call")) == strata
    assert baseline.without_strata(gate, outcomes(gate, "batch")) == strata
    assert baseline.without_strata(gate, outcomes(gate, "store", DAY + dt.timedelta(1))) == strata
    assert baseline.without_strata(gate, outcomes(gate, "store", DAY)) == []
    assert baseline.without_strata(gate, outcomes(gate, "recording")) == []


def test_another_snapshot_is_named(gate: Gate) -> None:
    save(gate)
    baseline = found(gate)
    now = outcomes(gate, "call")
    words = "the server now reports helps-2, the baseline was made with helps-1"
    assert baseline.snapshot(gate, now) == words
    assert baseline.snapshot(gate, {}) is None
    assert replace(baseline, reported="helps-2").snapshot(gate, now) is None
    assert replace(baseline, reported=None).snapshot(gate, now) is None


def test_a_baseline_is_read_once_and_before_gates_need_it(gate: Gate) -> None:
    save(gate)
    baselines = Baselines(library())
    baselines.check([gate])
    (gate.suite.skill.root / "baseline.json").write_text("broken")
    assert baselines.of(gate) is not None
    assert read(gate.suite.skill.root / "elsewhere") == {}


MOODY = '''

class Moody(Script):
    """What it says without a skill, and whether it does as a skill says, is a mood of its server."""

    async def complete(self, request, timeout):
        reply = await super().complete(request, timeout)
        mood, taught = os.environ["MOOD"], "Always say yes" in request.system
        hit = mood == "able" or (mood == "taught" and taught)
        return Reply(reply.text.replace("yes", "well").replace("no,", "yes," if hit else "no,"), model=f"moody-{mood}")


def pytest_upskill_providers(register):
    register("script", Script)
    register("moody", Moody)
'''


@pytest.fixture
def moody(project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A skill that asks for no rate, and a baseline of 4 cases, 5 runs each, by a model that does as it says."""
    with (project.path / "conftest.py").open("a") as file:
        file.write(MOODY)
    monkeypatch.setenv("MOOD", "taught")
    root = project.skill(cases=4, gate={"min_pass_rate": 0})
    project.run(SAVE, "--upskill-runs=5", models="moody:never")
    return root


def rewrite(root: Path, old: str, new: str) -> None:
    path = root / "SKILL.md"
    path.write_text(path.read_text().replace(old, new))


def test_an_edit_that_breaks_the_skill_fails_against_the_baseline(
    project: Project, moody: Path, run: Run
) -> None:
    result = run("--upskill-runs=5", models="moody:never")
    result.assert_outcomes(passed=41)
    assert "unchanged since the baseline of" in said(result)
    rewrite(moody, "Always say yes", "Seldom say anything")
    project.forget_calls()
    result = run("--upskill-runs=5", models="moody:never")
    result.assert_outcomes(passed=40, failed=1)
    assert "Regressed: 20/20 -> 0/20 hits on the same cases" in said(result)
    assert len(project.calls) == 20


def test_an_edit_that_changes_nothing_of_account_passes(project: Project, moody: Path) -> None:
    rewrite(moody, "Always say yes", "Always say yes, please")
    project.run("--upskill-runs=5", models="moody:never").assert_outcomes(passed=41)


def test_a_model_that_got_worse_is_named_and_the_skill_is_not_blamed(
    project: Project, moody: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOOD", "able")
    project.run(SAVE, "--upskill-runs=5", "--upskill-cache=refresh", models="moody:never")
    rewrite(moody, "Always say yes", "Always say yes, please")
    monkeypatch.setenv("MOOD", "dull")
    result = project.run("--upskill-runs=5", "--upskill-cache=refresh", models="moody:never")
    result.assert_outcomes(passed=41)
    day = kept(project)["moody-never"]["date"]
    assert f"the model changed since {day}: without the skill 20/20 -> 0/20 (p = " in said(result)
    assert "the server now reports moody-dull, the baseline was made with moody-able" in said(result)
