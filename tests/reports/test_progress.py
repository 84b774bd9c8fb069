"""How far a run is, said in the columns that there are."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.calls.status import Status
from pytest_upskill.reports.progress import Pace, progress_line, span

BUSY = Status(
    done=120,
    total=500,
    in_flight=16,
    calls=100,
    stored=20,
    spent=0.314,
    waiting=11.2,
    cause="haiku is limited",
)


def test_all_that_is_known_stands_in_one_sentence() -> None:
    assert progress_line(BUSY, 7.8, 200) == (
        "upskill: 120 of 500 samples, 16 in flight, 7.8/s, $0.31, about 50 s left; waiting on limits for 12 s: "
        "haiku is limited"
    )


def test_what_matters_least_goes_first_where_columns_are_few() -> None:
    lines = [progress_line(BUSY, 7.8, width) for width in (102, 84, 76, 69, 55, 45, 17, 10)]
    assert lines == [
        "upskill: 120/500, 16 in flight, 7.8/s, $0.31, 50 s left; waiting on limits for 12 s: haiku is limited",
        "upskill: 120/500, 16 in flight, 7.8/s, $0.31, 50 s left; waiting on limits for 12 s",
        "upskill: 120/500, 16 in flight, $0.31, 50 s left; waiting on limits for 12 s",
        "upskill: 120/500, 16 in flight, 50 s left; waiting on limits for 12 s",
        "upskill: 120/500, 50 s left; waiting on limits for 12 s",
        "upskill: 120/500; waiting on limits for 12 s",
        "upskill: 120/500",
        "upskill: 1",
    ]


@pytest.mark.parametrize(
    ("status", "rate", "line"),
    [
        (Status(0, 500), None, "upskill: 0 of 500 samples"),
        (Status(12, 0), 2.0, "upskill: 12 samples, 2.0/s"),
        (Status(500, 500, spent=1.0), 5.0, "upskill: 500 of 500 samples, 5.0/s, $1.00"),
        (Status(1, 3, spent=None), 0.5, "upskill: 1 of 3 samples, 30/min, about 4 s left"),
        (Status(1, 3, spent=0.0004), None, "upskill: 1 of 3 samples, under $0.01"),
        (Status(1, 9, batches="batch: 40 of 80"), None, "upskill: 1 of 9 samples; batch: 40 of 80"),
        (Status(1, 9, waiting=0.2), 250.4, "upskill: 1 of 9 samples, 250/s, about 1 s left; waiting on limits for 1 s"),
        (Status(1, 9, waiting=3, cause="haïku\n"), None, "upskill: 1 of 9 samples; waiting on limits for 3 s: "
         "ha\\xefku\\n"),
        (Status(1, 9, batches="batch: 40 of 80"), 4.0, "upskill: 1 of 9 samples, 4.0/s; batch: 40 of 80"),
    ],
)  # fmt: skip
def test_only_what_is_known_is_said(status: Status, rate: float | None, line: str) -> None:
    assert progress_line(status, rate, 200) == line


@given(
    status=st.builds(
        Status,
        done=st.integers(0, 10**6),
        total=st.integers(0, 10**6),
        in_flight=st.integers(0, 10**4),
        spent=st.none() | st.floats(0, 1e6),
        waiting=st.floats(0, 1e6),
        cause=st.text(max_size=20),
        batches=st.text(max_size=20),
    ),
    rate=st.none() | st.floats(1e-6, 1e4),
    width=st.integers(0, 120),
)
@settings(deadline=None)
def test_a_line_is_printable_ascii_and_never_too_wide(status: Status, rate: float | None, width: int) -> None:
    line = progress_line(status, rate, width)
    assert len(line) <= width
    assert line.isascii()
    assert not line or line.isprintable()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.1, "1 s"),
        (12, "12 s"),
        (48.7, "50 s"),
        (90, "90 s"),
        (91, "2 min"),
        (5400, "90 min"),
        (5401, "1 h 40 min"),
        (7200, "2 h"),
    ],
)
def test_a_span_is_rounded_up_and_the_more_so_the_longer(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_the_pace_is_unknown_until_a_second_with_a_call_has_passed() -> None:
    pace = Pace()
    assert [pace.add(100.0, 0), pace.add(100.5, 4), pace.add(105.0, 4)] == [None, None, 0.8]


def test_the_pace_is_that_of_the_last_half_minute() -> None:
    pace = Pace()
    for second in range(100):
        pace.add(float(second), 2 * second)
    fast = [pace.add(100.0 + second, 198 + 20 * second) for second in range(60)]
    assert fast[-1] == pytest.approx(20, rel=0.05)


def test_slow_calls_are_counted_over_as_long_as_ten_of_them_take() -> None:
    pace = Pace()
    paces = [pace.add(60.0 * minute, minute) for minute in range(30)]
    assert paces[-1] == pytest.approx(1 / 60)
    assert pace.add(60.0 * 29 + 59, 29) == pytest.approx(10 / 659, rel=0.02)
