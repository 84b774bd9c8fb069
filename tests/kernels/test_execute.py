"""A job on a device, from loading to fresh data; here on an emulated one."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_upskill.errors import NotApplicable, ScorerError
from pytest_upskill.kernels.ceilings import PROBE, PROBE_ENTRY
from pytest_upskill.kernels.data import Device, Job, Launch, Problem, Scalar, Tensor, Workload
from pytest_upskill.kernels.devices import hold
from pytest_upskill.kernels.execute import Executed, _held, execute, fitting
from tests.kernels.emulated import build
from tests.kernels.emulated.machine import needs

UUID = "e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0"
TWICE = """\
extern "C" __global__ void twice(const T* x, T* y, int n) {
    int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at < n) y[at] = x[at] + x[at];
}
"""
H100 = Device(0, "H100", "GPU-execute-1", (9, 0), 1, 1, "580")
A100 = Device(1, "A100", "GPU-execute-2", (8, 0), 1, 1, "580")


def problem(n: int, *, hidden: bool = False) -> Problem:
    work = Workload({"n": n}, "f32", f"n={n} f32", misaligned=hidden, drawn=hidden)
    arguments = (Tensor("x", "in", "f32", (n,)), Tensor("y", "out", "f32", (n,)), Scalar("n", "i32", n))
    return Problem(work, arguments, Launch((-(-n // 64), 1, 1), (64, 1, 1)))


JOB = Job(
    case="double",
    entry="twice",
    require="correct",
    cubins={},
    problems=(problem(1000), problem(333, hidden=True)),
    reference="def reference(x):\n    return x + x\n",
    reference_name="twice.py",
    seed=b"secret",
    tolerance={"f32": 1e-5},
    moved={},
    flops={},
    compiler="13.0.88",
)


@pytest.fixture(scope="module")
def driver() -> Path:
    needs()
    pytest.importorskip("torch")
    return build.driver(UUID)


def executed(source: str, driver: Path) -> Executed:
    job = replace(JOB, cubins={"f32": build.image(source, "f32", "twice")})
    return execute(job, driver=str(driver))


def test_a_right_kernel_passes_every_stage_with_evidence(driver: Path) -> None:
    found = executed(TWICE, driver)
    assert [(stage.name, stage.outcome) for stage in found.stages] == [
        ("load", "passed"),
        ("correct", "passed"),
        ("robust", "passed"),
    ]
    assert found.stages[0].evidence.startswith("emulated, driver ")
    assert found.stages[0].evidence.endswith(f", sandbox: {found.sandbox}")
    assert found.stages[1].evidence == "1 problem, error at most 0 of what is allowed"
    assert found.stages[2].evidence.endswith("; 6 calls with fresh data")
    assert found.device.emulated


@pytest.mark.parametrize(
    ("change", "stage", "evidence"),
    [
        (("x[at] + x[at]", "x[at]"), "correct", "n=1000 f32: "),
        (("n) y", "n && n > 500) y"), "robust", "n=333 f32: "),
        (("if (at < n) ", ""), "correct", "n=1000 f32: it wrote "),
    ],
)
def test_a_wrong_kernel_ends_at_the_stage_that_sees_it(
    driver: Path, change: tuple[str, str], stage: str, evidence: str
) -> None:
    last = executed(TWICE.replace(*change), driver).stages[-1]
    assert (last.name, last.outcome) == (stage, "missed")
    assert last.evidence.startswith(evidence)


def test_what_cannot_be_loaded_is_a_miss_where_our_own_kernel_can(driver: Path) -> None:
    probe = build.image(PROBE, "", PROBE_ENTRY)
    job = replace(JOB, cubins={"f32": b"\x7fELF, no cubin"}, probe=probe)
    (stage,) = execute(job, driver=str(driver)).stages
    assert (stage.name, stage.outcome) == ("load", "missed")


def test_a_driver_that_takes_nothing_is_no_fault_of_the_reply(driver: Path) -> None:
    job = replace(JOB, cubins={"f32": b"\x7fELF, no cubin"}, probe=b"\x7fELF, nor this")
    with pytest.raises(ScorerError) as error:
        execute(job, driver=str(driver))
    assert str(error.value).startswith("the driver of this device (")
    assert "does not take what nvcc 13.0.88 compiles, not even a kernel of ours (CUDA_ERROR_" in str(
        error.value
    )
    assert str(error.value).endswith("): update the driver, or use an older nvcc")
    assert [(stage.name, stage.outcome) for stage in error.value.stages] == [("load", "error")]


def test_without_a_device_it_does_not_apply() -> None:
    with pytest.raises(NotApplicable) as reason:
        fitting([], "sm_90a")
    assert str(reason.value) == "no CUDA device here: kernels are compiled and not executed"


def test_a_device_of_another_architecture_is_not_used() -> None:
    assert fitting([A100, H100], "sm_90a") == [H100]
    with pytest.raises(NotApplicable) as reason:
        fitting([A100, H100], "sm_100a")
    assert str(reason.value) == (
        "compiled for sm_100a and not executed: the device here is A100 (sm_80), H100 (sm_90)"
    )


def test_of_several_devices_one_that_is_free_is_taken() -> None:
    other = replace(H100, uuid="GPU-execute-3", index=1)
    with hold(H100, 0), ExitStack() as stack:
        assert _held([H100, other], stack)[0] == other
    with ExitStack() as stack:
        assert _held([H100, other], stack)[0] == H100
