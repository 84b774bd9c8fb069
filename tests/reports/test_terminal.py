"""The summary at any width: aligned, ASCII, and never at odds with the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.reports.table import Line
from pytest_upskill.reports.terminal import READER_NOTE, Look, summary
from pytest_upskill.suite.findings import Finding
from pytest_upskill.types import Outcome, Price, Reply
from pytest_upskill.verdicts.gate import GateRules
from tests.reports.made import HIT, Made, made, reader

WIDTHS = [40, 60, 80, 120, 200]


def lines(
    *found: Made,
    width: int = 120,
    verbosity: int = 0,
    down: dict[str, str] | None = None,
    findings: Sequence[Finding] = (),
) -> list[Line]:
    outcomes = {sample: outcome for one in found for sample, outcome in one.outcomes.items()}
    return summary([one.result for one in found], outcomes, down or {}, findings, Look(width, verbosity))


def texts(*found: Made, **how: object) -> list[str]:
    return [line.text for line in lines(*found, **how)]  # type: ignore[arg-type]  # handed on as they are


def joined(*found: Made, **how: object) -> str:
    return " ".join(" ".join(texts(*found, **how)).split())


SUMMARY = """\
skill           model  without  with  lift  95% interval   tokens/call   $/hit  verdict
kernel-builder  haiku      20%   90%   +70    +20 .. +91  1003 -> 1403  0.0016  helps
release-notes   opus       90%   90%    +0    -36 .. +36  1003 -> 1403  0.0016  not settled
release-notes on opus: not settled: +0, between -36 and +36; 10 samples reliably show only lifts above 66
  points; adds 400 tokens a call
kernel-builder: never hit: case-10 (both arms); hit by all: case-1, case-2 (both arms)
kernel-builder on haiku: wins: case-3, case-4, case-5, case-6, case-7 and 2 more (1 run each)
release-notes: never hit: case-10 (both arms); hit by all: case-1, case-2, case-3, case-4, case-5 and 4 more
  (both arms)
gates: 2 passed (1 inconclusive)"""


def test_the_table_and_what_is_said_below_it() -> None:
    price = Price(1.0, 5.0)
    found = [
        made(9, 2, 10, skill="kernel-builder", price=price),
        made(9, 9, 10, skill="release-notes", model="opus", price=price),
    ]
    assert "\n".join(texts(*found, width=110)) == SUMMARY


def test_the_verdict_colours_its_row() -> None:
    found = lines(made(10, 0, 10), made(0, 10, 10, model="opus"), made(9, 9, 10, model="glm"))
    assert [line.markup for line in found[:4]] == [{"bold": True}, {"green": True}, {"red": True}, {}]
    assert found[-1] == Line("gates: 2 passed (1 inconclusive), 1 failed", {"red": True})


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    found = [
        made(9, 2, 10, skill=f"a-skill-with-a-rather-long-name-{n}", model=model, price=Price(1, 5))
        for n in range(3)
        for model in ("haiku", "gpt-5-mini", "a-model-of-24-characters")
    ]
    down = {"haiku": "haiku: no credentials: " + "set a key " * 20}
    findings = [Finding("warning", Path("skills/demo/SKILL.md"), 3, "the description " * 10)]
    for verbosity in (-1, 0, 1):
        shown = texts(*found, width=width, verbosity=verbosity, down=down, findings=findings)
        assert max(len(line) for line in shown) <= width


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[a-z][a-z0-9-]{0,38}[a-z0-9]", fullmatch=True),
            st.from_regex(r"[a-z][a-z0-9-]{0,22}", fullmatch=True),
            st.integers(0, 12),
            st.integers(0, 12),
            st.integers(1, 12),
            st.integers(0, 10**6),
        ),
        min_size=1,
        max_size=4,
    ),
    st.integers(60, 200),
    st.sampled_from([-1, 0, 1]),
)
def test_sane_names_and_any_counts_stay_within_the_terminal(
    gates: list[tuple[str, str, int, int, int, int]], width: int, verbosity: int
) -> None:
    found = [
        made(min(a, n), min(b, n), n, skill=skill, model=model, used=used, price=Price(0.1, 75))
        for skill, model, a, b, n, used in gates
    ]
    shown = texts(*found, width=width, verbosity=verbosity)
    assert [line for line in shown if len(line) > width] == []
    assert all(line.isascii() and line.isprintable() for line in shown)


# What is not known is not said.


def test_a_row_with_errors_is_incomplete_with_what_was_measured() -> None:
    found = made(0, 0, 2, without_skill=Outcome(error="500"))
    assert texts(found)[1].split() == ["demo", "haiku", "-", "-", "-", "incomplete"]
    assert texts(found)[-1] == "gates: 0 passed, 1 incomplete"


def test_gates_that_were_not_selected_are_not_counted() -> None:
    found = made(2, 0, 3)
    partial = Made(found.gate, found.outcomes, found.again(GateRules(), selected=False))
    assert not any(line.startswith("gates:") for line in texts(partial))
    assert texts(partial, found)[-1] == "gates: 1 passed (1 inconclusive)"


def test_reasons_of_skips_are_each_said() -> None:
    found = made(0, 0, 2, with_skill=Outcome(skip="no GPU"), without_skill=Outcome(skip="no judge"))
    assert "demo on haiku: 2 samples skipped: no GPU" in texts(found)
    assert "demo on haiku: 2 samples skipped: no judge" in texts(found)
    assert texts(found)[1].endswith("not measured")
    assert texts(found)[-1] == "gates: 1 passed (1 not measured)"


def test_replies_that_were_cut_off_or_repeated_are_noted() -> None:
    cut = Outcome(Reply("yes", stop_reason="length"), (HIT,))
    assert "demo on haiku: 1 reply cut off at max_tokens" in texts(made(0, 0, 1, with_skill=cut))
    assert "demo on haiku: 3 replies cut off at max_tokens" in texts(made(0, 0, 3, with_skill=cut))


def test_added_tokens_are_told_where_nothing_is_gained() -> None:
    assert "adds 400 tokens a call" in joined(made(9, 9, 10))
    assert "adds" not in joined(made(9, 9, 10, added=0))
    assert "adds" not in joined(made(10, 0, 10))


def test_the_reader_says_what_it_is_and_prints_no_interval() -> None:
    assert READER_NOTE in joined(reader())
    assert "interval" not in joined(reader())
    assert READER_NOTE not in joined(made(1, 1, 1))


def test_what_keeps_a_model_from_being_called_is_said_once_with_its_name() -> None:
    found = joined(made(1, 1, 1), down={"haiku": "haiku: no key", "glm": "nobody answers"})
    assert found.count("haiku: no key") == 1
    assert "glm: nobody answers" in found


def test_quiet_says_what_keeps_a_model_from_being_called_where_no_gate_has() -> None:
    found = made(0, 0, 1, with_skill=Outcome(error="key refused"), without_skill=Outcome(error="key refused"))
    partial = Made(found.gate, found.outcomes, found.again(GateRules(), selected=False))
    cause = "haiku: the key was refused"
    assert cause not in texts(found, verbosity=-1, down={"haiku": cause})
    assert texts(partial, verbosity=-1, down={"haiku": cause})[-1] == cause


@pytest.mark.parametrize("hits", [0, 2], ids=["never", "always"])
def test_of_a_case_that_was_not_measured_whole_nothing_is_known(hits: int) -> None:
    lost = Outcome(error="timed out")
    words = ("never hit", "hit by all")
    assert any(word in joined(made(hits, hits, 2)) for word in words)
    for broken in (made(hits, hits, 2, with_skill=lost), made(hits, hits, 2, without_skill=lost)):
        assert not any(word in joined(broken) for word in words)


def test_many_cases_that_never_hit_are_not_all_named() -> None:
    assert "demo: never hit: case-1, case-2, case-3, case-4, case-5 and 3 more (both arms)" in joined(
        made(0, 0, 8)
    )


def test_findings_of_lint_are_counted_and_listed() -> None:
    found = [
        Finding("error", Path("a/SKILL.md"), 3, "no name"),
        Finding("warning", Path("a/SKILL.md"), None, "long"),
    ]
    shown = texts(made(1, 1, 1), findings=found)
    place = shown.index("lint: 1 error, 1 warning")
    assert shown[place + 1 : place + 3] == ["  a/SKILL.md:3: error: no name", "  a/SKILL.md: warning: long"]


def test_quiet_leaves_the_table_and_the_gates() -> None:
    found = made(9, 9, 10)
    shown = texts(
        found, verbosity=-1, down={"haiku": "haiku: x"}, findings=[Finding("error", Path("a"), 1, "x")]
    )
    assert [line.split()[0] for line in shown] == ["skill", "demo", "gates:"]


def test_verbose_marks_each_sample_of_each_case() -> None:
    found = made(1, 0, 2, without_skill=Outcome(error="x"))
    shown = texts(found, verbosity=1)
    place = shown.index("demo on haiku, without and with the skill:")
    assert shown[place + 1 : place + 3] == ["  case-1     E     +", "  case-2     E     -"]
    skipped = texts(made(0, 0, 1, without_skill=Outcome(skip="x")), verbosity=1)
    assert "  case-1     s     -" in skipped
    found.outcomes.clear()
    assert "  case-1     .     ." in texts(found, verbosity=1)


def test_names_that_a_terminal_would_obey_are_escaped() -> None:
    shown = texts(made(1, 0, 2, skill="evil\x1b[2J\n"), verbosity=1, down={"haiku": "haiku: \x1b[2J"})
    assert all(line.isprintable() for line in shown)
    assert "evil\\x1b[2J\\n" in shown[1]
