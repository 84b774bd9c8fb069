"""The baseline from its parent's side: start it, hand it a problem, ask for times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Protocol, TypeGuard

from pytest_upskill.errors import NotApplicable
from pytest_upskill.kernels.child import Child
from pytest_upskill.kernels.data import Argument, Device, Job, Scalar, Tensor

# The relative error of a product in TF32: a case that allows so much lets both sides use it.
TF32_ERROR = 3e-4
_NAME = "the process that times the baseline"
_MODULE = "pytest_upskill.kernels.baseline.process"
_PATIENCE = 600.0
# What slows eager down, or changes its arithmetic, and never the kernel beside it.
_SLOWING = (
    "CUDA_LAUNCH_BLOCKING", "PYTORCH_NO_CUDA_MEMORY_CACHING", "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "CUDA_INJECTION64_PATH", "CUDA_DEVICE_MAX_CONNECTIONS",
)  # fmt: skip
_CHEAPER = "make what eager(...) of the reference file computes cheaper"
_FLOATS = ("f64", "f32", "f16", "bf16")


def allows_tf32(job: Job) -> bool:
    """Tell whether the case's tolerance leaves room for products in TF32."""
    return job.tolerance.get("f32", 0.0) >= TF32_ERROR


class Asked(Protocol):
    """Who answers. A child process does."""

    def ask(
        self, head: dict[str, Any], blocks: Sequence[bytes], limit: float, what: str, advice: str
    ) -> tuple[dict[str, Any], list[bytes]]: ...


class Baseline:
    """The author's `eager(...)`, else `reference(...)`, timed in another process."""

    def __init__(self, job: Job, process: Asked) -> None:
        self._job = job
        self._process = process

    def prepare(self, number: int, pool: Sequence[Sequence[bytes]]) -> None:
        """Hand over a problem of the job, and draws of its tensors that are read, each as the judge gives them.

        Raises:
            ScorerError: the reference does not take the signature's names, or the process is gone.
        """
        problem, job = self._job.problems[number], self._job
        head = {
            "op": "prepare",
            "reference": job.reference,
            "reference_name": job.reference_name,
            "label": problem.workload.label,
            "dtype": problem.workload.dtype or "f32",
            "tf32": allows_tf32(job),
            "sizes": dict(problem.workload.sizes),
            "scalars": [
                (each.name, each.dtype, each.value) for each in problem.arguments if isinstance(each, Scalar)
            ],
            "tensors": [asdict(each) for each in problem.arguments if _given(each)],
        }
        self._ask(head, [block for draw in pool for block in draw])

    def times(self, count: int) -> list[float]:
        """Return the milliseconds of so many calls on end. Raises `ScorerError` where the author's code fails."""
        return [float(time) for time in self._ask({"op": "time", "count": count})["milliseconds"]]

    def rate(self, dtype: str, *, loose: bool) -> float | None:
        """Return the operations a millisecond of a large matrix product; None for a type that has no such product."""
        if dtype not in _FLOATS:
            return None
        return float(self._ask({"op": "rate", "dtype": dtype, "loose": loose})["rate"])

    def _ask(self, head: dict[str, Any], blocks: Sequence[bytes] = ()) -> dict[str, Any]:
        what = f"it timed the baseline of {self._job.case}"
        return self._process.ask(head, blocks, _PATIENCE, what, _CHEAPER)[0]


@contextmanager
def baseline(job: Job, device: Device) -> Iterator[Baseline]:
    """Start the baseline's process on a device; it ends with the block.

    Raises:
        NotApplicable: torch is missing there or cannot use a GPU.
        ScorerError: the process did not start.
    """
    child = Child(_NAME, _MODULE, {"CUDA_VISIBLE_DEVICES": device.uuid}, {*job.hidden, *_SLOWING})
    try:
        greeting = child.greeting("look whether 'import torch' works in a new process")
        if "absent" in greeting:
            raise NotApplicable(greeting["absent"])
        yield Baseline(job, child)
    finally:
        child.stop()


def _given(argument: Argument) -> TypeGuard[Tensor]:
    # As the judge hands them to the reference: what is only written is no argument of it.
    return isinstance(argument, Tensor) and argument.role in ("in", "inout")
