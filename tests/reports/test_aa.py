"""What is said of an A/A run: rates that are sampled, nearly never or nearly always, at any width."""

from __future__ import annotations

from fractions import Fraction

import pytest

from pytest_upskill.reports.aa import Trial, Trials, aa_data, aa_lines
from pytest_upskill.verdicts.resampling import Family, Rates, Sampled
from pytest_upskill.verdicts.splits import Pool
from tests.reports.made import made

NEARLY = Fraction(1, 10_000)


def trials(alarms: Fraction | None, others: Fraction) -> Trials:
    rates = Rates(alarms, Sampled(90, 2000), others, others)
    trial = Trial(made(2, 2, 2).gate, False, 3, 4, (Pool("a", 1, 0, 1),), (("b", 0),), Fraction(1, 3), rates)
    return Trials((trial,), Family(1, rates, 0))


def text(found: Trials, width: int = 80) -> str:
    return " ".join(" ".join(line.text for line in aa_lines(found, [], width)).split())


def test_a_sampled_rate_is_marked_and_its_interval_printed() -> None:
    said = text(trials(None, NEARLY))
    assert " ~4.5% " in said
    assert (
        "demo on haiku: the rate of the gate is sampled: 90 of 2000 random splits, 4.5 % (95 % interval 3.6 % to "
        "5.5 %)"
    ) in said
    assert "a false alarm in the run's one gate: 90 of 2000 random splits" in said


def test_what_is_nearly_never_or_nearly_always_is_not_printed_as_that() -> None:
    assert "  <0.1%  " in next(
        line.text for line in aa_lines(trials(NEARLY, NEARLY), [], 80) if "<" in line.text
    )
    assert "any case lost: >99.9 %;" in text(trials(NEARLY, 1 - NEARLY))


def test_a_rate_that_was_only_sampled_is_no_exact_one_in_the_data() -> None:
    data = aa_data(trials(None, NEARLY).of[0])
    assert isinstance(data, dict)
    assert isinstance(data["false_alarms"], dict)
    assert data["false_alarms"]["gate"] is None
    assert data["repeated"] == ["b"]


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_no_sentence_is_wider_than_the_terminal(width: int) -> None:
    lines = list(aa_lines(trials(NEARLY, NEARLY), [], width))
    table = 3 if lines[1].text == "demo" else 2
    assert max(len(line.text) for line in lines[table:]) <= width
