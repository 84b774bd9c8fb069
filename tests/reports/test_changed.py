"""What is said of a run with --upskill-changed, at any width and any number of skills."""

from __future__ import annotations

import jsonschema
import pytest

from pytest_upskill.reports.changed import Selection, selection_data, selection_lines
from pytest_upskill.reports.results import schema


def said(selection: Selection) -> list[str]:
    return selection_lines(selection, 400)


@pytest.mark.parametrize(
    ("selection", "line"),
    [
        (Selection("main"), "no skill was found that differs from main"),
        (Selection("main", (("a", ""),)), "1 of 1 skill differs from main (a)"),
        (Selection("main", (), ("x/a",)), "0 of 1 skill differs from main; 1 left out"),
        (Selection("main", (("a", ""), ("b", "renamed from c")), ("x/d",), ("x/e",)),
         "2 of 3 skills differ from main (a, b renamed from c); 1 left out; deleted: e"),
        (Selection("main", (("a", ""), ("b", "")), everything="upskill.yaml differs from main"),
         "2 skills count as changed: upskill.yaml differs from main"),
        (Selection("main", (("a", ""),), everything="upskill.yaml differs from main"),
         "1 skill counts as changed: upskill.yaml differs from main"),
        (Selection("main", tuple((name, "") for name in "abcdefg")),
         "7 of 7 skills differ from main (a, b, c, d, e and 2 more)"),
    ],
    ids=["nothing", "one", "none", "several", "all", "the only one", "many"],
)  # fmt: skip
def test_one_line_says_what_differs_and_what_was_left_out(selection: Selection, line: str) -> None:
    assert said(selection) == [f"upskill: {line}"]


def test_a_second_line_says_that_there_is_no_common_ancestor() -> None:
    assert said(Selection("origin/main", (), ("a",), direct=True))[1:] == [
        "upskill: compared with origin/main itself: this clone holds no common ancestor of it and HEAD"
    ]


def test_lines_are_wrapped_and_hold_nothing_that_a_terminal_would_obey() -> None:
    lines = selection_lines(Selection("main", (("\x1b[2Jskill", ""), ("other", "")), ("d",)), 40)
    assert len(lines) > 1
    assert all(len(line) <= 40 and line.isprintable() for line in lines)


def test_results_json_has_a_schema_for_it() -> None:
    found = Selection(
        "main", (("a", ""), ("b", "through c.py")), ("d",), ("e",), "upskill.yaml differs", direct=True
    )
    data = selection_data(found)
    jsonschema.validate(data, {"$ref": "#/$defs/changed", "$defs": schema()["$defs"]})
    assert data["differ"] == [{"skill": "a", "how": None}, {"skill": "b", "how": "through c.py"}]
    assert data["common_ancestor"] is False
