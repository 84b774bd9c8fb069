"""The queue of one model, turn by turn of the loop."""

from __future__ import annotations

import asyncio

import pytest

from pytest_upskill.calls.lane import Lane
from pytest_upskill.suite.matrix import Sample
from tests.calls.fakes import samples


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def _fails(error: BaseException) -> None:
    raise AssertionError(error)


@pytest.mark.parametrize("turns", range(8))
@pytest.mark.parametrize("waits", [0, 1])
def test_a_sample_finds_a_task_in_whichever_turn_it_is_pushed(turns: int, waits: int) -> None:
    measured: list[Sample] = []
    first, second = samples(2)

    async def measure(sample: Sample) -> None:
        await _turns(waits)
        measured.append(sample)

    async def push_two() -> None:
        lane = Lane(1, measure, _fails)
        lane.push(first, urgent=False)
        await _turns(turns)
        lane.push(second, urgent=False)
        await _turns(8)
        assert not lane.runners

    asyncio.run(push_two())
    assert measured == [first, second]


def test_a_sample_that_was_taken_is_not_taken_again() -> None:
    measured: list[Sample] = []
    (sample,) = samples(1)

    async def measure(sample: Sample) -> None:
        measured.append(sample)

    async def push() -> None:
        lane = Lane(2, measure, _fails)
        for urgent in (False, True, True, False):
            lane.push(sample, urgent=urgent)
        await _turns(8)
        lane.push(sample, urgent=True)
        await _turns(8)

    asyncio.run(push())
    assert measured == [sample]
