"""How many replies came through each stage, and how many were fast."""

from __future__ import annotations

from fractions import Fraction

import pytest

from pytest_upskill.suite.matrix import Gate
from pytest_upskill.types import Outcome, Reply, Score, Stage, StageOutcome
from pytest_upskill.verdicts.stages import Rate, stage_rates
from tests.calls.fakes import case, gate, suite

NAMES = ("extract", "compile", "correct", "robust", "fast")


def stages(
    *outcomes: StageOutcome, speedup: float | None = None, wanted: float | None = None
) -> tuple[Stage, ...]:
    """Return the stages that begin with these outcomes; what follows was not reached."""
    figures = {} if speedup is None else {"speedup": speedup}
    if wanted is not None:
        figures["min_speedup"] = wanted
    whole = [*outcomes, *["skipped"] * (len(NAMES) - len(outcomes))]
    return tuple(
        Stage(name, word, figures=figures if name == "fast" else {})  # type: ignore[arg-type]
        for name, word in zip(NAMES, whole, strict=True)
    )


def judged(found: tuple[Stage, ...]) -> Outcome:
    hit = all(stage.outcome == "passed" for stage in found)
    return Outcome(Reply("r"), (Score(hit, stages=found),), stages=found)


def unexecuted(found: tuple[Stage, ...]) -> Outcome:
    return Outcome(Reply("r"), skip="no CUDA device", stages=found)


FINE: tuple[StageOutcome, ...] = ("passed",) * 5


def counted(of: Gate, *outcomes: Outcome) -> dict[str, tuple[Rate, Rate]]:
    rates = stage_rates(of, dict(zip(of.samples, outcomes, strict=True)))
    return {one.name: (one.with_, one.without) for one in rates}


def test_a_miss_counts_at_its_stage_and_at_those_that_it_did_not_reach() -> None:
    found = counted(gate(), judged(stages(*FINE)), judged(stages("passed", "missed")))
    assert found["extract"] == (Rate(1, 1), Rate(1, 1))
    assert found["compile"] == found["correct"] == found["robust"] == (Rate(1, 1), Rate(0, 1))


def test_without_a_device_only_the_stages_that_were_gone_through_count() -> None:
    fine, broken = stages("passed", "passed")[:2], stages("missed")[:2]
    found = counted(gate(), unexecuted(fine), unexecuted(broken))
    assert found == {"extract": (Rate(1, 1), Rate(0, 1)), "compile": (Rate(1, 1), Rate(0, 1))}


def test_an_error_counts_for_what_was_seen_before_it() -> None:
    found = stages("passed", "passed", "error")
    assert counted(gate(), Outcome(error="x", stages=found), judged(stages("missed"))) == {
        "extract": (Rate(1, 1), Rate(0, 1)),
        "compile": (Rate(1, 1), Rate(0, 1)),
        "correct": (Rate(), Rate(0, 1)),
        "robust": (Rate(), Rate(0, 1)),
        "fast": (Rate(), Rate(0, 1)),
        "fast_0": (Rate(), Rate(0, 1)),
        "fast_1": (Rate(), Rate(0, 1)),
    }


def test_checks_without_stages_have_no_row() -> None:
    assert counted(gate(), Outcome(Reply("r"), (Score(True),)), Outcome(error="x")) == {}


@pytest.mark.parametrize(
    ("speedup", "fast"),
    [(0.5, (1, 0, 0)), (1.0, (1, 0, 0)), (1.2, (1, 1, 0)), (1.5, (1, 1, 0)), (2.0, (1, 1, 1))],
)
def test_fast_p_counts_what_is_right_and_more_than_p_times_as_fast(
    speedup: float, fast: tuple[int, int, int]
) -> None:
    with_ = judged(stages(*FINE, speedup=speedup, wanted=1.5))
    wrong = judged(stages("passed", "passed", "missed"))
    found = counted(gate(), with_, wrong)
    assert [found[f"fast_{p}"][0].passed for p in ("0", "1", "1.5")] == list(fast)
    assert found["fast_0"][1] == Rate(0, 1)


def test_a_right_kernel_that_is_too_slow_still_counts_for_the_speeds_that_it_reaches() -> None:
    slow = judged(stages("passed", "passed", "passed", "passed", "missed", speedup=1.2, wanted=1.5))
    found = counted(gate(), slow, slow)
    assert (found["fast"][0], found["fast_1"][0], found["fast_1.5"][0]) == (
        Rate(0, 1),
        Rate(1, 1),
        Rate(0, 1),
    )


def test_rates_are_fractions() -> None:
    of = gate(suite(case("a"), case("b"), case("c")))
    hit, miss = judged(stages("passed", "passed")), judged(stages("passed", "missed"))
    found = counted(of, hit, miss, hit, miss, miss, miss)
    assert found["compile"] == (Rate(2, 3), Rate(0, 3))
    assert (found["compile"][0].rate, Rate().rate) == (Fraction(2, 3), None)
