"""What the launcher is asked and what it answers: frozen data, and the JSON heads that carry it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

from pytest_upskill.kernels.data import Argument, Device, Launch, Scalar, Tensor

Head: TypeAlias = dict[str, Any]
# What a device says when the trouble lies with it, or with the machine, whatever runs on it.
_TROUBLE = frozenset(
    f"CUDA_ERROR_{name}"
    for name in (
        "NO_DEVICE", "INVALID_DEVICE", "DEVICE_UNAVAILABLE", "DEVICE_NOT_LICENSED", "NOT_INITIALIZED", "DEINITIALIZED",
        "ECC_UNCORRECTABLE", "NVLINK_UNCORRECTABLE", "OPERATING_SYSTEM", "SYSTEM_NOT_READY", "SYSTEM_DRIVER_MISMATCH",
        "STUB_LIBRARY", "COMPAT_NOT_SUPPORTED_ON_DEVICE", "MPS_CONNECTION_FAILED", "CONTAINED",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Loaded:
    """A kernel that the launcher has: registers a thread, static shared bytes, the most threads of a block."""

    number: int
    registers: int
    shared: int
    threads: int


@dataclass(frozen=True, slots=True)
class Call:
    """One launch of a kernel on buffers of its own.

    Attributes:
        arguments: in the order of the signature.
        launch: grid, block, dynamic shared memory.
        inputs: the key under which the tensors `in` and `inout` were put.
        misaligned: each tensor begins one element past a boundary of 256 bytes. A workspace never does.
        keep: the outputs come back.
        flush: the cache is emptied first, as a call that is timed needs it.
        check: the tensors `in` are compared with what was put there.
        kernel: the one to start; None is the one that was loaded last.
    """

    arguments: tuple[Argument, ...]
    launch: Launch
    inputs: int
    misaligned: bool = False
    keep: bool = True
    flush: bool = False
    check: bool = True
    kernel: Loaded | None = None


@dataclass(frozen=True, slots=True)
class Called:
    """What became of a call.

    Attributes:
        outputs: the tensors `out`, `out zero` and `inout` in order; empty where they were not kept.
        broken_guards: where the kernel wrote outside of its buffers, in words: `right past the end of y`.
        changed_inputs: the names of tensors `in` that are not as they were.
        milliseconds: between the events around the launch.
    """

    outputs: list[bytes] = field(repr=False)
    broken_guards: tuple[str, ...]
    changed_inputs: tuple[str, ...]
    milliseconds: float


class Fault(Exception):
    """A launcher that could not do what it was asked.

    Attributes:
        word: the driver's name of the error, or `timeout`, `ended`, `garbled`, `refused`.
        said: what is told of it.
        sticky: the launcher has ended: nothing more can be asked of it.
        of_kernel: the kernel, its image or how it is launched is to blame, and not the device.
    """

    def __init__(self, word: str, sticky: bool, said: str = "", *, of_kernel: bool = False) -> None:
        super().__init__(f"{word}: {said}" if said else word)
        self.word = word
        self.sticky = sticky
        self.said = said
        self.of_kernel = of_kernel and word not in _TROUBLE


def pack_call(call: Call) -> Head:
    return {
        "op": "call",
        "arguments": [_pack_argument(argument) for argument in call.arguments],
        "launch": asdict(call.launch),
        "kernel": call.kernel.number if call.kernel else -1,
        **{name: getattr(call, name) for name in ("inputs", "misaligned", "keep", "flush", "check")},
    }


def unpack_arguments(head: Head) -> list[Argument]:
    return [_unpack_argument(**argument) for argument in head["arguments"]]


def unpack_launch(head: Head) -> Launch:
    launch = head["launch"]
    (gx, gy, gz), (bx, by, bz) = launch["grid"], launch["block"]
    return Launch((gx, gy, gz), (bx, by, bz), launch["shared"])


def pack_device(device: Device) -> Head:
    return asdict(device)


def unpack_device(fields: Mapping[str, Any]) -> Device:
    major, minor = fields["capability"]
    return Device(**{**fields, "capability": (major, minor)})


def is_output(tensor: Tensor) -> bool:
    return tensor.role in ("out", "out zero", "inout")


def is_input(tensor: Tensor) -> bool:
    return tensor.role in ("in", "inout")


def _pack_argument(argument: Argument) -> Head:
    if isinstance(argument, Scalar):
        return {"name": argument.name, "dtype": argument.dtype, "value": argument.value}
    return {
        "name": argument.name,
        "dtype": argument.dtype,
        "role": argument.role,
        "shape": list(argument.shape),
    }


def _unpack_argument(name: str, dtype: str, **rest: Any) -> Argument:  # noqa: ANN401 - JSON
    if "value" in rest:
        return Scalar(name, dtype, rest["value"])
    return Tensor(name, rest["role"], dtype, tuple(rest["shape"]))
