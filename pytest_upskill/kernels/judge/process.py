"""One judging process, from its parent's side."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from pytest_upskill.kernels.child import Child

_MODULE = "pytest_upskill.kernels.judge.main"
# The judge works on the CPU alone: a device is the launcher's, and what runs on it is timed. Large pages: a float64
# tensor of 4096 x 4096 is 32768 small ones, and most of the time goes into them.
_ENVIRONMENT = {"CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": "", "THP_MEM_ALLOC_ENABLE": "1"}
_CHEAPER = (
    "make what the reference file computes cheaper, or write 'def rows(inputs, index)' in it, so that of a large "
    "problem some rows are compared"
)


class JudgeProcess:
    """A child process that judges one job at a time. It starts at once and is ready after its greeting."""

    def __init__(self, hidden: Collection[str] = ()) -> None:
        self._child = Child("the judge", _MODULE, _ENVIRONMENT, hidden)

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def alive(self) -> bool:
        return self._child.alive

    def wait_ready(self) -> None:
        """Wait until the process can take a job. Raises `ScorerError` when it cannot start, as without PyTorch."""
        self._child.greeting("look whether 'import torch' works in a new process")

    def ask(
        self, head: dict[str, Any], blocks: Sequence[bytes | memoryview], limit: float, what: str
    ) -> tuple[dict[str, Any], list[bytes]]:
        """Return the answer to a question; `what` says in words what it does meanwhile. Raises `ScorerError`."""
        return self._child.ask(head, blocks, limit, what, _CHEAPER)

    def stop(self) -> None:
        """Kill the process with all that it started. May be called again, by any thread."""
        self._child.stop()
