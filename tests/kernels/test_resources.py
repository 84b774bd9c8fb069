"""A launch that no device takes is a miss before there is a device."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_upskill.kernels.data import Facts, Launch, Miss, Problem, Workload
from pytest_upskill.kernels.resources import check_launch, most_shared

FACTS = Facts("sm_90a", ("k",), (), 64, 0, 0, 0, 1024, 0, 0)


def problem(threads: int = 256, shared: int = 0) -> Problem:
    return Problem(Workload({"n": 9}, "f32", "n=9 f32"), (), Launch((1, 1, 1), (threads, 1, 1), shared))


@pytest.mark.parametrize(
    ("registers", "threads"), [(64, 1024), (32, 1024), (255, 256), (128, 512), (0, 1024)]
)
def test_a_block_may_take_all_registers(registers: int, threads: int) -> None:
    check_launch(replace(FACTS, registers=registers), problem(threads))


@pytest.mark.parametrize(
    ("registers", "threads", "taken"), [(65, 1024, 73728), (72, 1024, 73728), (255, 288, 73728)]
)
def test_a_block_that_takes_more_is_a_miss(registers: int, threads: int, taken: int) -> None:
    with pytest.raises(Miss) as miss:
        check_launch(replace(FACTS, registers=registers), problem(threads))
    assert (miss.value.stage, miss.value.evidence) == (
        "facts",
        f"n=9 f32: a block of {threads} threads with {registers} registers each takes {taken} registers of the 65536 "
        "that there are; launch fewer threads, or say so with __launch_bounds__",
    )


def test_static_and_dynamic_shared_memory_count_together() -> None:
    check_launch(FACTS, problem(shared=227 * 1024 - 1024))
    with pytest.raises(Miss) as miss:
        check_launch(FACTS, problem(shared=227 * 1024 - 1023))
    assert miss.value.evidence == (
        "n=9 f32: a block takes 232449 bytes of shared memory (1024 static, 231425 dynamic), and sm_90a has 232448"
    )


def test_each_architecture_has_its_own_shared_memory() -> None:
    found = {
        arch: most_shared(arch) // 1024 for arch in ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90a", "sm_100f")
    }
    assert found == {"sm_75": 64, "sm_80": 163, "sm_86": 99, "sm_89": 99, "sm_90a": 227, "sm_100f": 227}
