"""The arithmetic of the roofline, without any device."""

from __future__ import annotations

import pytest

from pytest_upskill.kernels.data import Argument, Device, Launch, Problem, Scalar, Tensor, Workload
from pytest_upskill.kernels.roofline import Ceiling, Traffic, fingerprint, roofline, traffic

X = Tensor("x", "in", "bf16", (8, 32))
W = Tensor("w", "in", "f32", (32,))
Y = Tensor("y", "out", "bf16", (8, 32))
STATE = Tensor("state", "inout", "f32", (16,))
ROOM = Tensor("room", "workspace", "u8", (4096,))
EPS = Scalar("eps", "f32", 1e-6)
H100 = Device(0, "NVIDIA H100", "GPU-1", (9, 0), 80 * 2**30, 50 * 2**20, "580.1")


def problem(*arguments: Argument) -> Problem:
    return Problem(Workload({}, "bf16", "x"), arguments, Launch((1, 1, 1), (1, 1, 1)))


def test_each_tensor_is_read_or_written_once_and_inout_both_and_a_workspace_is_neither() -> None:
    assert traffic(problem(X, W, Y, STATE, ROOM, EPS), 0) == Traffic(512 + 128 + 64, 512 + 64)


def test_bytes_that_the_case_names_are_split_as_the_tensors_are() -> None:
    assert traffic(problem(X, Y), 10_000) == Traffic(5_000, 5_000)
    assert traffic(problem(X, W, Y), 1_000_001).total == 1_000_001


def test_bytes_of_a_problem_without_tensors_are_read() -> None:
    assert traffic(problem(EPS), 64) == Traffic(64, 0)


def test_what_takes_longer_at_the_ceiling_is_what_bounds_a_kernel() -> None:
    by_memory = roofline(Ceiling(memory_ms=0.8, compute_ms=0.1), 1.0, (1.0, 1.0))
    by_compute = roofline(Ceiling(memory_ms=0.1, compute_ms=0.5), 1.0, (1.0, 1.0))
    assert by_memory is not None
    assert by_compute is not None
    assert (by_memory.bound, by_memory.fraction) == ("memory", 0.8)
    assert (by_compute.bound, by_compute.fraction) == ("compute", 0.5)


def test_the_interval_of_the_fraction_is_that_of_the_time_turned_round_and_widened_by_the_clock() -> None:
    found = roofline(Ceiling(memory_ms=0.8), 1.0, (0.9, 1.1))
    assert found is not None
    assert found.interval == pytest.approx((0.8 / 1.1005, 0.8 / 0.8995))


def test_an_interval_of_which_nothing_is_known_goes_on_to_an_end() -> None:
    found = roofline(Ceiling(memory_ms=0.8), 1.0, (0.0, float("inf")))
    assert found is not None
    assert found.interval == (0.0, 0.8 / 0.0005)


def test_without_a_ceiling_there_is_no_roofline() -> None:
    assert roofline(Ceiling(), 1.0, (1.0, 1.0)) is None


@pytest.mark.parametrize(
    ("time", "possible"), [(1.0, True), (0.96, True), (1 / 1.05, True), (0.95, False), (0.25, False)]
)
def test_more_than_105_percent_of_the_ceiling_is_not_possible(time: float, *, possible: bool) -> None:
    found = roofline(Ceiling(memory_ms=1.0), time, (time, time))
    assert found is not None
    assert found.possible is possible


def test_what_the_clock_may_have_missed_is_held_against_nobody() -> None:
    found = roofline(Ceiling(memory_ms=0.0025), 0.0020, (0.0020, 0.0020))
    assert found is not None
    assert found.fraction == pytest.approx(1.25)
    assert found.possible


def test_a_kernel_that_is_faster_than_plain_f32_through_tensor_cores_is_possible() -> None:
    found = roofline(Ceiling(compute_ms=1.0, fewest_ms=0.15), 0.5, (0.5, 0.5))
    assert found is not None
    assert found.fraction == 2.0
    assert found.possible
    assert not getattr(roofline(Ceiling(compute_ms=1.0, fewest_ms=0.15), 0.1, (0.1, 0.1)), "possible", True)


def test_a_kernel_that_moves_less_than_it_must_is_not_possible_even_where_compute_bounds_it() -> None:
    found = roofline(Ceiling(memory_ms=0.5, compute_ms=1.0, fewest_ms=0.1), 0.4, (0.4, 0.4))
    assert found is not None
    assert not found.possible


def test_a_fingerprint_differs_where_device_driver_or_compiler_do() -> None:
    other_driver = Device(0, "NVIDIA H100", "GPU-1", (9, 0), 80 * 2**30, 50 * 2**20, "581.0")
    other_card = Device(1, "NVIDIA H100", "GPU-2", (9, 0), 80 * 2**30, 50 * 2**20, "580.1")
    marks = [
        fingerprint(H100, "nvcc 13.0.88"),
        fingerprint(H100, "nvcc 12.9.1"),
        fingerprint(other_driver, "nvcc 13.0.88"),
        fingerprint(other_card, "nvcc 13.0.88"),
    ]
    assert len({mark.digest for mark in marks}) == 4
    assert marks[0] == fingerprint(H100, "nvcc 13.0.88")
    assert marks[0].plain() == {
        "device": "NVIDIA H100",
        "uuid": "GPU-1",
        "driver": "580.1",
        "toolchain": "nvcc 13.0.88",
    }
