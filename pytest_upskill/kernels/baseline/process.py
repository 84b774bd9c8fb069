"""The baseline's process: it answers one message after the other until the other side is gone."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels import frames
from pytest_upskill.kernels.baseline.watch import CudaWatch, Watch, product_rate
from pytest_upskill.kernels.data import Tensor
from pytest_upskill.kernels.judge.reference import Reference
from pytest_upskill.kernels.judge.tensors import from_bytes, is_float, rounded, torch_type
from pytest_upskill.scorers.evidence import fold

MOST_BYTES = 2**40
Head: TypeAlias = Mapping[str, Any]


class Work:
    """The author's function with a pool of arguments, and the watch that times it."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._reference: Reference | None = None
        self._function = self._where = ""
        self._pool: list[dict[str, Any]] = []
        self._calls = 0

    def prepare(self, head: Head, blocks: Sequence[bytes]) -> dict[str, Any]:
        """Take the reference file and the pool, and call the function once. Raises `ScorerError` where that fails."""
        _set_types(head["tf32"], head["dtype"])
        self._reference = Reference(head["reference"], head["reference_name"])
        self._function = "eager" if self._reference.has("eager") else "reference"
        self._where = f"{self._watch.device} on {head['label']}"
        tensors = [Tensor(**{**packed, "shape": tuple(packed["shape"])}) for packed in head["tensors"]]
        scalars = {name: rounded(value, dtype) for name, dtype, value in head["scalars"]}
        self._pool = [
            head["sizes"] | scalars | self._draw(tensors, blocks[at : at + len(tensors)])
            for at in range(0, max(len(blocks), 1), max(len(tensors), 1))
        ]
        self._calls = 0
        self._one()
        return {"function": self._function}

    def time(self, head: Head, blocks: Sequence[bytes]) -> dict[str, Any]:
        """Return the milliseconds of so many calls on end, each with arguments at new places."""
        return {"milliseconds": [self._one() for _ in range(head["count"])]}

    def rate(self, head: Head, blocks: Sequence[bytes]) -> dict[str, Any]:
        """Return the operations a millisecond of a large matrix product in a type."""
        return {"rate": product_rate(self._watch, torch_type(head["dtype"]), loose=head["loose"])}

    def _draw(self, tensors: Sequence[Tensor], blocks: Sequence[bytes]) -> dict[str, Any]:
        pairs = zip(tensors, blocks, strict=True)
        return {tensor.name: from_bytes(block, tensor).to(self._watch.device) for tensor, block in pairs}

    def _one(self) -> float:
        if self._reference is None:
            raise ScorerError("no problem was handed over")
        values = _fresh(self._pool[self._calls % len(self._pool)])
        self._calls += 1
        return self._watch.time(lambda: self._called(values))

    def _called(self, values: Mapping[str, Any]) -> object:
        import torch

        # A tensor that the author's function makes itself lies where the others do.
        with torch.no_grad(), torch.device(self._watch.device):
            return self._reference and self._reference.call(self._function, values, self._where)


def serve(link: socket.socket, watch: Watch) -> None:
    """Answer until the other side is gone."""
    work = Work(watch)
    operations = {"prepare": work.prepare, "time": work.time, "rate": work.rate}
    with suppress(frames.Broken):
        while True:
            frames.send(link, _answer(operations, *frames.receive(link, MOST_BYTES)))


def main(descriptor: int) -> None:
    """Serve on a socket that was inherited; say first whether there is a GPU."""
    with socket.socket(fileno=descriptor) as link:
        try:
            watch = CudaWatch()
        except LookupError as error:
            frames.send(link, {"absent": str(error)})
            return
        frames.send(link, {})
        serve(link, watch)


def _answer(
    operations: Mapping[str, Callable[[Head, Sequence[bytes]], dict[str, Any]]],
    head: Head,
    blocks: list[bytes],
) -> dict[str, Any]:
    try:
        return operations[head["op"]](head, blocks)
    except ScorerError as error:
        words = str(error)
    except Exception as error:  # noqa: BLE001 - a device out of memory, a type that it has no product for
        words = f"{type(error).__name__}: {fold(str(error), 400)}"
    return {"error": f"the baseline could not be timed: {words}"}


def _fresh(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments with each tensor copied to a place of its own."""
    return {name: value.clone() if hasattr(value, "clone") else value for name, value in values.items()}


def _set_types(tf32: bool, dtype: str) -> None:
    import torch

    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    torch.set_default_dtype(torch_type(dtype) if is_float(dtype) else torch.float32)
