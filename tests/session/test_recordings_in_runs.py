"""Recordings between runs: what was recorded needs no key, no store and no call; what changed is said with its mend."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.session.conftest import Project

Run = Callable[..., pytest.RunResult]
FILE = "skills/demo/recordings/script-helps.jsonl"
COMMAND = "pytest --upskill-models=script:helps --upskill-record skills/demo"
REPLAY = "--upskill-cache=replay"


def rows(root: Path, model: str = "script-helps") -> list[dict[str, Any]]:
    lines = (root / "recordings" / f"{model}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines[1:]]


def samples(root: Path) -> list[tuple[str, str, int]]:
    return [(row["case"], row["arm"], row["run"]) for row in rows(root)]


def said(result: pytest.RunResult) -> str:
    return " ".join((result.stdout.str() + result.stderr.str()).split())


def fresh_checkout(project: Project) -> None:
    """Leave what git would bring."""
    shutil.rmtree(project.path / ".upskill")
    project.forget_calls()


def change(root: Path) -> None:
    (root / "SKILL.md").write_text((root / "SKILL.md").read_text() + "\nAnd never no.\n")


def table(result: pytest.RunResult) -> list[str]:
    return [line for line in result.stdout.lines if line.startswith("demo ")]


def test_what_is_recorded_is_replayed_without_store_key_or_call(project: Project, run: Run) -> None:
    root = project.skill(cases=3)
    first = run("--upskill-record", "--upskill-report=first")
    first.stdout.fnmatch_lines([f"recordings: {FILE}: 6 replies (6 new)"])
    arms = ("with_skill", "without_skill")
    assert samples(root) == [(f"case-{n}", arm, 1) for n in (1, 2, 3) for arm in arms]
    fresh_checkout(project)
    second = run(REPLAY, "--upskill-report=second")
    second.assert_outcomes(passed=7)
    assert table(second) == table(first) != []
    assert "recordings:" not in second.stdout.str()
    assert project.calls == []
    one, two = project.results("first"), project.results("second")
    assert one["skills"] == two["skills"]
    assert {sample["reply"]["source"] for sample in two["samples"]} == {"recording"}
    run().assert_outcomes(passed=7)
    assert project.calls == []


def test_an_edited_skill_is_incomplete_until_the_command_is_run_that_it_names(
    project: Project, run: Run
) -> None:
    root = project.skill(cases=3)
    run("--upskill-record")
    change(root)
    fresh_checkout(project)
    result = run(REPLAY)
    assert result.ret == 1
    result.assert_outcomes(passed=3, errors=3, failed=1)
    short = "script-helps: no recorded reply"
    cause = "the skill, the case or the model's settings changed since it was recorded; record it again"
    whole = f"{short}: {cause}: {COMMAND}"
    assert sorted(line for line in result.stdout.lines if line.startswith(short)) == [short, short, whole]
    incomplete = f"Incomplete: 3 samples were not measured: {short}. {whole} not measured:"
    assert f"demo on script-helps: gate incomplete {incomplete}" in said(result)
    stale = "are stale (the skill, its cases or the model's settings changed since):"
    assert f"recordings: 3 of 6 in {FILE} {stale}" in said(result)
    assert f"  {COMMAND}" in result.stdout.lines
    assert project.calls == []

    arguments = [word for word in shlex.split(COMMAND)[1:] if "models" not in word]
    mended = run(*arguments)
    assert f"recordings: {FILE}: 6 replies (3 new, 3 stale removed)" in said(mended)
    assert len(project.calls) == 3
    fresh_checkout(project)
    run(REPLAY).assert_outcomes(passed=7)
    assert project.calls == []


def test_a_skill_that_was_never_recorded_names_the_command_as_well(project: Project) -> None:
    project.skill(cases=1)
    result = project.run(REPLAY, "--upskill-runs=2")
    command = "pytest --upskill-models=script:helps --upskill-runs=2 --upskill-record skills/demo"
    short = "script-helps: no stored reply"
    whole = f"{short}, and --upskill-cache=replay makes no call; record it: {command}"
    assert sorted(line for line in result.stdout.lines if line.startswith(short)) == [
        short,
        short,
        short,
        whole,
    ]
    assert "recordings: 4 replies of demo on script-helps are neither recorded nor stored:" in said(result)
    assert f"  {command}" in result.stdout.lines


def test_the_command_is_named_in_whole_for_each_skill_and_model(project: Project) -> None:
    for name in ("demo", "other"):
        project.skill(name, cases=2)
    result = project.run(REPLAY, models="script:helps,script:never")
    for name in ("demo", "other"):
        for model in ("helps", "never"):
            whole = f"script-{model}: no stored reply, and --upskill-cache=replay makes no call; record it: "
            command = f"pytest --upskill-models=script:{model} --upskill-record skills/{name}"
            assert result.stdout.lines.count(whole + command) == 1


def test_the_command_takes_the_run_out_of_the_replay_that_the_ini_file_asks_for(project: Project) -> None:
    project.skill(cases=1)
    project.pytester.makeini("[pytest]\nupskill_cache = replay\n")
    command = "pytest --upskill-models=script:helps --upskill-cache=auto --upskill-record skills/demo"
    assert f"  {command}" in project.run().stdout.lines
    project.run(*shlex.split(command)[2:])
    project.run().assert_outcomes(passed=3)


def test_a_run_of_a_part_keeps_what_still_holds_and_prunes_what_does_not(project: Project, run: Run) -> None:
    root = project.skill(cases=3)
    run("--upskill-record")
    before = {(row["case"], row["arm"]): row for row in rows(root)}
    result = run("--upskill-record", "-k", "case-2 and with_skill")
    assert f"recordings: {FILE}: 6 replies (unchanged)" in said(result)
    change(root)
    result = run("--upskill-record", "-k", "case-2 and with_skill")
    assert f"recordings: {FILE}: 4 of 6 replies (1 new, 3 stale removed)" in said(result)
    after = {(row["case"], row["arm"]): row for row in rows(root)}
    new = {place for place, row in after.items() if before[place] != row}
    assert new == {("case-2", "with_skill")}
    assert set(after) - new == {(f"case-{n}", "without_skill") for n in (1, 2, 3)}


def test_the_same_replies_leave_the_file_untouched(project: Project) -> None:
    root = project.skill(cases=2)
    project.run("--upskill-record")
    path = root / "recordings" / "script-helps.jsonl"
    os.utime(path, ns=(1, 1))
    result = project.run("--upskill-record")
    assert f"recordings: {FILE}: 4 replies (unchanged)" in said(result)
    assert path.stat().st_mtime_ns == 1


def test_a_reply_that_only_took_another_time_leaves_its_line_as_it_is(project: Project) -> None:
    root = project.skill(cases=1)
    project.run("--upskill-record", models="reader")
    before = (root / "recordings" / "reader.jsonl").read_text()
    result = project.run("--upskill-record", "--upskill-cache=refresh", models="reader")
    assert "recordings: skills/demo/recordings/reader.jsonl: 2 replies (unchanged)" in said(result)
    assert (root / "recordings" / "reader.jsonl").read_text() == before


def test_recordings_come_before_the_store_and_are_ignored_where_replies_are_asked_for_anew(
    project: Project,
) -> None:
    root = project.skill(cases=2)
    project.run("--upskill-record")
    path = root / "recordings" / "script-helps.jsonl"
    path.write_text(path.read_text().replace('"text": "yes', '"text": "perhaps'))
    assert " 0%    0% " in table(project.run("--upskill-gate=off"))[0]
    project.forget_calls()
    for mode in ("refresh", "off"):
        assert " 0%  100% " in table(project.run(f"--upskill-cache={mode}"))[0]
    assert len(project.calls) == 8
    result = project.run("--upskill-record", "--upskill-cache=refresh")
    assert f"recordings: {FILE}: 4 replies (2 changed)" in said(result)
    assert " 0%  100% " in table(project.run())[0]


def test_fewer_runs_than_are_recorded_make_none_of_them_stale(project: Project) -> None:
    root = project.skill(cases=1)
    project.run("--upskill-record", "--upskill-runs=3")
    assert "recordings:" not in project.run(REPLAY).stdout.str()
    result = project.run("--upskill-record")
    assert f"recordings: {FILE}: 6 replies (unchanged)" in said(result)
    assert {row["run"] for row in rows(root)} == {1, 2, 3}


def test_cases_that_ask_the_same_share_a_recorded_reply_that_a_new_name_does_not_make_stale(
    project: Project,
) -> None:
    root = project.skill(cases=1)
    meta = json.loads((root / "skill_meta.json").read_text())
    (case,) = meta["cases"]
    meta["cases"] = [case, {**case, "id": "twin", "expected": {"contains": "reply"}}]
    (root / "skill_meta.json").write_text(json.dumps(meta))
    project.run("--upskill-record")
    assert [case for case, _, _ in samples(root)] == ["case-1", "case-1"]
    meta["cases"] = [{**case, "id": "renamed"}]
    (root / "skill_meta.json").write_text(json.dumps(meta))
    result = project.run(REPLAY, "--upskill-record")
    assert f"recordings: {FILE}: 2 replies (unchanged)" in said(result)
    assert [case for case, _, _ in samples(root)] == ["renamed", "renamed"]


def test_errors_are_not_recorded_and_a_run_that_measured_nothing_writes_nothing(project: Project) -> None:
    root = project.skill(cases=2)
    result = project.run("--upskill-record", models="script:broken")
    assert "recordings: skills/demo/recordings/script-broken.jsonl: 2 of 4 replies (2 new)" in said(result)
    assert {row["case"] for row in rows(root, "script-broken")} == {"case-2"}
    (root / "recordings" / "script-no-key.jsonl").write_bytes(
        (root / "recordings" / "script-broken.jsonl").read_bytes()
    )
    result = project.run("--upskill-record", models="script:no-key")
    assert (
        "recordings: skills/demo/recordings/script-no-key.jsonl: not written: no sample was measured"
        in said(result)
    )
    assert len(rows(root, "script-no-key")) == 2


def test_a_broken_line_ends_the_run_before_the_first_call(project: Project, run: Run) -> None:
    root = project.skill(cases=1)
    run("--upskill-record")
    project.forget_calls()
    path = root / "recordings" / "script-helps.jsonl"
    path.write_text(path.read_text().replace('{"case"', "<<<<<<< HEAD\n" + '{"case"', 1))
    for arguments in ([], [REPLAY], ["--upskill-record", "--upskill-cache=refresh"]):
        result = run(*arguments)
        assert result.ret == 4
        assert (
            f"{FILE}:2: a merge conflict was not resolved: restore the file as it was committed, or delete it and "
            "record it again with --upskill-record" in said(result)
        )
        assert "Traceback" not in said(result)
        assert "recordings:" not in said(result)
    assert project.calls == []
    run("--upskill-cache=refresh").assert_outcomes(passed=3)
    run("--upskill-cache=auto", models="script:never").assert_outcomes(passed=3)


def test_a_file_that_cannot_be_written_fails_the_run_in_words(project: Project, run: Run) -> None:
    root = project.skill(cases=1)
    (root / "recordings").write_text("in the way")
    result = run("--upskill-record", "--upskill-report=report")
    assert result.ret == 1
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines([f"recordings: {FILE}: cannot be written: File exists", "report: *report"])


def test_a_model_that_always_says_the_same_is_recorded_as_well(project: Project) -> None:
    root = project.skill(cases=1)
    project.run("--upskill-record", "--upskill-runs=3", models="script:exact")
    assert [row["run"] for row in rows(root, "script-exact")] == [1, 1]
