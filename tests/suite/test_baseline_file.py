"""baseline.json: what is written is read again, and what cannot be read says where and what to do."""

from __future__ import annotations

import datetime as dt
import json
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.errors import SuiteError
from pytest_upskill.suite.baseline import (
    CaseEntry,
    Entry,
    case_digest,
    read,
    skill_digest,
    without_cases_gone,
    write,
)
from pytest_upskill.types import Case, Check
from tests.suite.conftest import Folder

DAY = dt.date(2026, 11, 2)
ONE, TWO = "0123456789abcdef", "fedcba9876543210"
ENTRY = Entry(
    "anthropic:claude-haiku-4-5",
    "claude-haiku-4-5-20251001",
    DAY,
    ONE,
    {"guests": CaseEntry(TWO, 3, 3, 1, 3), "bicycles": CaseEntry(ONE, 2, 3, 0, 3)},
)
GOOD: dict[str, Any] = {
    "version": 1,
    "models": {
        "haiku": {
            "model": "anthropic:claude-haiku-4-5",
            "reported": None,
            "date": "2026-11-02",
            "skill": ONE,
            "cases": {"guests": {"digest": TWO, "with_skill": [3, 3], "without_skill": [1, 3]}},
        }
    },
}
AGAIN = "; restore the file as it was committed, or delete it and save it again with --upskill-save-baseline"


def refusal(folder: Folder, text: str | bytes) -> str:
    folder.write("baseline.json", text)
    with pytest.raises(SuiteError) as caught:
        read(folder.root)
    return str(caught.value)


def changed(**fields: Any) -> str:
    """Return a file whose case `guests` or model `haiku` says something else; None takes a key away."""
    data = json.loads(json.dumps(GOOD))
    entry = data["models"]["haiku"]
    for key, value in fields.items():
        place = (
            entry["cases"]["guests"] if key in ("digest", "with_skill", "without_skill", "runs") else entry
        )
        if value is None:
            del place[key]
        else:
            place[key] = value
    return json.dumps(data, indent=1)


def test_a_file_is_written_with_a_line_for_each_case_sorted(folder: Folder) -> None:
    assert write(folder.root, {"haiku": ENTRY, "glm": Entry("openai:glm", None, DAY, TWO, {})})
    assert (
        (folder.root / "baseline.json").read_text()
        == """{
 "version": 1,
 "models": {
  "glm": {
   "model": "openai:glm",
   "reported": null,
   "date": "2026-11-02",
   "skill": "fedcba9876543210",
   "cases": {
   }
  },
  "haiku": {
   "model": "anthropic:claude-haiku-4-5",
   "reported": "claude-haiku-4-5-20251001",
   "date": "2026-11-02",
   "skill": "0123456789abcdef",
   "cases": {
    "bicycles": {"digest": "0123456789abcdef", "with_skill": [2, 3], "without_skill": [0, 3]},
    "guests": {"digest": "fedcba9876543210", "with_skill": [3, 3], "without_skill": [1, 3]}
   }
  }
 }
}
"""
    )


digests = st.text("0123456789abcdef", min_size=16, max_size=16)
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: bool(text.strip()))


@st.composite
def counts(draw: st.DrawFn) -> tuple[int, int]:
    runs = draw(st.integers(1, 1000))
    return draw(st.integers(0, runs)), runs


@st.composite
def case_entries(draw: st.DrawFn) -> CaseEntry:
    return CaseEntry(draw(digests), *draw(counts()), *draw(counts()))


entries = st.builds(
    Entry, texts, st.none() | texts, st.dates(), digests, st.dictionaries(texts, case_entries(), max_size=4)
)


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(texts, entries, max_size=3))
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, models: dict[str, Entry]
) -> None:
    root = tmp_path_factory.mktemp("skill")
    write(root, models)
    assert read(root) == models
    assert json.loads((root / "baseline.json").read_text())["version"] == 1


def test_a_file_that_says_so_already_is_left_untouched(folder: Folder) -> None:
    write(folder.root, {"haiku": ENTRY})
    path = folder.root / "baseline.json"
    os.utime(path, ns=(1, 1))
    assert not write(folder.root, {"haiku": ENTRY})
    assert path.stat().st_mtime_ns == 1
    assert sorted(each.name for each in folder.root.iterdir()) == ["SKILL.md", "baseline.json"]


def test_without_a_file_nothing_is_kept(folder: Folder) -> None:
    assert read(folder.root) == {}


def test_a_case_that_is_gone_is_dropped_and_the_others_stay() -> None:
    left = without_cases_gone(ENTRY, ["guests", "new"])
    assert left == Entry(ENTRY.model, ENTRY.reported, DAY, ONE, {"guests": ENTRY.cases["guests"]})


def test_a_digest_tells_cases_apart_by_what_is_asked_and_expected_alone() -> None:
    case = Case("one", "A task", (Check("contains", "yes"),), {"a.txt": "x"})
    same = Case("other", "A task", (Check("contains", "yes"),), {"a.txt": "x"}, ("tag",), ("haiku",))
    assert case_digest(case) == case_digest(same)
    others = [
        Case("one", "A task.", case.checks, case.files),
        Case("one", "A task", (Check("contains", "no"),), case.files),
        Case("one", "A task", (Check("equals", "yes"),), case.files),
        Case("one", "A task", (Check("contains", "yes", {"case_sensitive": True}),), case.files),
        Case("one", "A task", case.checks, {"a.txt": "y"}),
        Case("one", "A task", case.checks, {"b.txt": "x"}),
    ]
    assert len({case_digest(each) for each in [case, *others]}) == 7


def test_a_digest_of_a_skill_is_that_of_what_a_model_gets() -> None:
    assert skill_digest("a", {}) != skill_digest("b", {})
    assert skill_digest("a", {"name": "x"}) not in (skill_digest("a", {}), skill_digest("a", {"name": "y"}))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ":1:1: not valid JSON: expecting value"),
        ('{"version": 1', ":1:14: not valid JSON: expecting ',' delimiter"),
        ("[]", ": must be an object, not a list"),
        ('{"version": 1}', ": models: is missing"),
        (
            '{"version": 2, "models": {}}',
            ":1: version: written by another version of pytest-upskill (version 2, this one reads 1)",
        ),
        ('{"models": {}}', ": version: is missing"),
        ('{"version": 1, "model": {}}', ":1: model: unknown key (did you mean 'models'?)"),
        (
            '{"version": 1, "models": {}, "models": {}}',
            ":1: the key 'models' stands twice in one object: only",
        ),
        (b'{"version": 1, "models": {"\xff": 1}}', ":1: not UTF-8 (byte 0xff): save the file as UTF-8"),
        (changed(reported=3), ":6: models.haiku.reported: must be text, not 3"),
        (changed(model=" "), ":5: models.haiku.model: must not be blank"),
        (changed(date=None), ":4: models.haiku.date: is missing"),
        (
            changed(date="2026-11-31"),
            ":7: models.haiku.date: must be a day such as 2026-11-02, not '2026-11-31'",
        ),
        (changed(date="20261102"), ":7: models.haiku.date: must be a day such as 2026-11-02, not '20261102'"),
        (
            changed(skill="ABC"),
            ":8: models.haiku.skill: must be 16 hexadecimal digits in small letters, not 'ABC'",
        ),
        (
            changed(runs=3),
            ":20: models.haiku.cases.guests.runs: unknown key; known are digest, with_skill, without_skill",
        ),
        (
            changed(with_skill=[4, 3]),
            ":12: models.haiku.cases.guests.with_skill: must be [hits, runs] with 1 to 1000 runs and no more hits "
            "than runs, not [4, 3]",
        ),
        (
            changed(with_skill=[0, 0]),
            ":12: models.haiku.cases.guests.with_skill: must be [hits, runs] with 1 to 1000 runs and no more hits "
            "than runs, not [0, 0]",
        ),
        (
            changed(without_skill=[1, 2, 3, 4, 5]),
            ":16: models.haiku.cases.guests.without_skill: must be [hits, runs] with 1 to 1000 runs and no more "
            "hits than runs, not a longer list",
        ),
        (
            changed(with_skill=[1.5, 3]),
            ":13: models.haiku.cases.guests.with_skill[0]: must be a whole number, not 1.5",
        ),
        (
            "{\n<<<<<<< HEAD\n}\n",
            ":2: a merge conflict was not resolved",
        ),
    ],
)
def test_a_file_that_cannot_be_read_says_where_and_what_to_do(
    folder: Folder, text: str | bytes, said: str
) -> None:
    message = refusal(folder, text)
    assert message.startswith(f"demo/baseline.json{said}")
    assert message.endswith(AGAIN)
    if not said.endswith((" ", "only")):
        assert message == f"demo/baseline.json{said}{AGAIN}"


def test_a_folder_in_its_place_is_told_when_read_and_when_written(folder: Folder) -> None:
    (folder.root / "baseline.json").mkdir()
    with pytest.raises(SuiteError) as caught:
        read(folder.root)
    assert str(caught.value) == f"demo/baseline.json: cannot be read: Is a directory{AGAIN}"
    with pytest.raises(SuiteError) as caught:
        write(folder.root, {"haiku": ENTRY})
    assert str(caught.value) == "demo/baseline.json: cannot be written: Is a directory"
    assert [each.name for each in folder.root.iterdir() if each.name.endswith(".new")] == []


def test_lint_names_a_file_that_cannot_be_read(folder: Folder) -> None:
    folder.meta({"cases": [{"id": "one", "input": "A task", "expected": {"contains": "yes"}}]})
    write(folder.root, {"haiku": ENTRY})
    assert folder.lint() == []
    folder.write("baseline.json", changed(skill=None))
    assert folder.lint() == [f"demo/baseline.json:4: error: models.haiku.skill: is missing{AGAIN}"]


def test_a_baseline_is_no_part_of_the_skill(folder: Folder) -> None:
    folder.meta({"cases": [{"id": "one", "input": "A task", "expected": {"contains": "yes"}}]})
    write(folder.root, {"haiku": ENTRY})
    assert folder.suite().skill.files == ()
