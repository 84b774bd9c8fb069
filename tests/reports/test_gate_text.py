"""What a failed gate shows: the rule, the misses, and nothing that a terminal or XML cannot carry."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.reports.gate_text import failure
from pytest_upskill.types import CaseFile, Outcome, Reply, Score
from pytest_upskill.verdicts.gate import GateRules
from pytest_upskill.verdicts.result import failed_for
from tests.calls.fakes import case, gate, suite
from tests.judged import evaluate
from tests.reports.made import MISS, Made, made, said

ANY_TEXT = st.text(st.characters(exclude_categories=()))


def shown(found: Made, *, verbose: bool = False) -> list[str]:
    return failure(found.result, found.outcomes, {}, verbose=verbose).split("\n")


def quoted(found: Made, *, verbose: bool = False) -> list[str]:
    return [line for line in shown(found, verbose=verbose) if line.startswith("      |")]


WHOLE = """\
demo on haiku: gate failed
  strict: 1 of 3 samples with the skill missed.
  min_pass_rate: below target, not proven (2/3): 67 % with the skill, upper
    bound 98 % (one-sided 95 %), target 80 %.
  The lift is not settled: +33, between -48 and +81; 3 samples can show no lift
    reliably.

  MISS case-3[haiku-with_skill-run1]
    expected: contains "9.0"
    evidence: nothing like it
    the model said:
      | no, case-3[haiku-with_skill-run1]

  cases: /skills/demo/skill_meta.json"""


def test_the_whole_text() -> None:
    assert "\n".join(shown(made(2, 1, 3, rules=GateRules(mode="strict")))) == WHOLE


def test_ten_misses_are_shown_and_the_rest_is_counted_unless_verbose() -> None:
    counts = {10: [], 11: ["and 1 more miss: -v shows all"], 13: ["and 3 more misses: -v shows all"]}
    for cases, rest in counts.items():
        found = made(0, 0, cases)
        assert sum(line.startswith("  MISS ") for line in shown(found)) == 10
        assert [line.strip() for line in shown(found) if "-v shows all" in line] == rest
        assert sum(line.startswith("  MISS ") for line in shown(found, verbose=True)) == cases


def test_long_replies_are_cut_in_both_directions_unless_verbose() -> None:
    text = "\n".join(f"{n} " + "x" * 200 for n in range(12))
    lines = quoted(said(text))
    assert len(lines) == 9
    assert lines[0] == "      | 0 " + "x" * 95 + "..."
    assert lines[-1] == "      | (4 more lines: -v shows all)"
    assert quoted(said(text), verbose=True) == [f"      | {line}" for line in text.split("\n")]


def test_the_indentation_of_a_reply_is_kept_and_empty_lines_around_it_are_not() -> None:
    assert quoted(said("\n \n    def f():\n\n\treturn\n\n")) == [
        "      |     def f():",
        "      |",
        "      |     return",
    ]


@pytest.mark.parametrize("text", ["", " \n\t "])
def test_an_empty_reply_is_said_to_be_one(text: str) -> None:
    assert quoted(said(text)) == ["      | (nothing)"]


def test_a_reply_that_was_cut_off_is_marked() -> None:
    assert "    the reply was cut off at its max_tokens" in shown(said("no", stop_reason="length"))
    assert "    the reply was cut off at its max_tokens" not in shown(said("no"))


def test_escapes_in_a_reply_reach_no_terminal() -> None:
    assert quoted(said("\x1b[2J\x1b]0;x\x07\nsecond\r\nthird\x85fourth \u202e \ud83d")) == [
        "      | \\x1b[2J\\x1b]0;x\\x07",
        "      | second",
        "      | third",
        "      | fourth \\u202e \\ud83d",
    ]


@settings(deadline=None)
@given(ANY_TEXT, ANY_TEXT, st.booleans())
def test_whatever_a_model_or_a_scorer_says_the_text_is_harmless(
    text: str, evidence: str, verbose: bool
) -> None:
    found = made(
        0,
        0,
        1,
        with_skill=Outcome(Reply(text), (Score(False, evidence, evidence),)),
        rules=GateRules(mode="strict"),
    )
    whole = failure(found.result, found.outcomes, {"haiku": text}, verbose=verbose)
    whole.encode()
    assert re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", whole) is None
    ET.fromstring(ET.tostring(element_of(whole)))


def element_of(text: str) -> ET.Element:
    element = ET.Element("failure", message=text)
    # What XML cannot carry is escaped by pytest; of this, only characters that are none at all are left.
    element.text = re.sub(r"[\ufffe\uffff]", "", text)
    element.set("message", element.text)
    return element


def test_what_keeps_the_model_from_being_called_is_said() -> None:
    found = made(0, 0, 2, with_skill=Outcome(error="no key"), without_skill=Outcome(error="no key"))
    text = failure(found.result, found.outcomes, {"haiku": "haiku: no credentials: set KEY", "glm": "other"})
    assert text.split("\n") == [
        "demo on haiku: gate incomplete",
        "  Incomplete: 4 samples were not measured: no key.",
        "  haiku: no credentials: set KEY",
        "  not measured: there is no sample of both arms",
    ]


def test_a_cause_that_was_told_once_is_told_by_the_gate_whole_and_counted_in_a_few_words() -> None:
    whole, short = "haiku: the server answered 400: too hot", "bad request (400)"
    told, again = Outcome(error=whole, short=short), Outcome(error=short, short=short)
    found = made(0, 0, 2, with_skill=told, without_skill=again)
    expected = [
        "demo on haiku: gate incomplete",
        "  Incomplete: 4 samples were not measured: bad request (400).",
        f"  {whole}",
        "  not measured: there is no sample of both arms",
    ]
    assert failure(found.result, found.outcomes, {}).split("\n") == expected
    assert failure(found.result, found.outcomes, {"haiku": whole}).split("\n") == expected


def test_the_verdict_is_not_said_twice() -> None:
    found = made(0, 20, 20, rules=GateRules(min_pass_rate=None))
    assert sum("hurts:" in line for line in shown(found)) == 1


def test_the_reason_of_a_plugin_is_said_on_lines_of_its_own() -> None:
    found = made(20, 0, 20)
    result = failed_for(found.result, "too dear:\n\x1b[31m$1\x1b[0m " + "word " * 30)
    lines = failure(result, found.outcomes, {}).split("\n")
    assert lines[0] == "demo on haiku: gate failed"
    assert lines[1].startswith("  too dear: \\x1b[31m$1\\x1b[0m word")
    assert all(len(line) <= 80 for line in lines)


def test_the_files_of_the_cases_that_missed_are_named() -> None:
    of = suite(case("a"), case("b"))
    first, second = of.files[0], CaseFile(of.skill.root / "evals" / "evals.json", (of.files[0].cases[1],))
    both = gate(replace(of, files=(replace(first, cases=first.cases[:1]), second)))
    missed = {s: Outcome(Reply(s.id), (MISS,)) for s in both.samples if s.case.id == "b"}
    hit = {s: Outcome(Reply(s.id), (Score(True),)) for s in both.samples if s.case.id == "a"}
    result = evaluate(both, missed | hit, GateRules(mode="strict"), deterministic=False)
    assert failure(result, missed | hit, {}).split("\n")[-1] == "  cases: /skills/demo/evals/evals.json"
    result = evaluate(both, missed, GateRules(mode="strict"), deterministic=False)
    all_missed = missed | dict.fromkeys(hit, Outcome(Reply("x"), (MISS,)))
    assert failure(result, all_missed, {}).endswith(
        "  cases: /skills/demo/skill_meta.json, /skills/demo/evals/evals.json"
    )


def test_only_what_missed_of_several_checks_is_shown() -> None:
    both = Outcome(Reply("x"), (Score(True, "good", "fine"), Score(False, "bad", "wanted")))
    lines = shown(made(0, 0, 1, with_skill=both, rules=GateRules(mode="strict")))
    assert "    expected: wanted" in lines
    assert "    expected: fine" not in lines
