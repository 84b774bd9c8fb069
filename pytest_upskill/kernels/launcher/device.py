"""A device as the launcher has it open: what it can be asked."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from ctypes import c_void_p
from dataclasses import dataclass
from functools import cached_property

from pytest_upskill.kernels.data import Argument, Device, Launch, Tensor
from pytest_upskill.kernels.launcher import driver as cuda
from pytest_upskill.kernels.launcher.buffers import Buffers
from pytest_upskill.kernels.launcher.driver import Driver, DriverError
from pytest_upskill.kernels.launcher.scalars import Box, address, boxed
from pytest_upskill.kernels.launcher.wire import Head, is_input, unpack_arguments, unpack_launch

# So many times the cache is written to empty it, and so often that the time this takes hides the time to queue events
# and kernel behind it: half a millisecond on large devices.
_FLUSH, _FLUSHES = 4, 8


def found(driver: Driver) -> list[Device]:
    """Return the devices that a driver has; none where it finds none."""
    try:
        driver.ask("cuInit", 0)
    except DriverError as error:
        if error.word in ("CUDA_ERROR_NO_DEVICE", "CUDA_ERROR_STUB_LIBRARY"):
            return []
        raise
    return [_described(driver, index) for index in range(driver.number("cuDeviceGetCount"))]


def find(library: str, uuid: str) -> tuple[Driver, Device]:
    """Return a driver and its device of this UUID. Raises ValueError where it has none such."""
    driver = Driver(library)
    for device in found(driver):
        if device.uuid == uuid:
            return driver, device
    raise ValueError(f"there is no device {uuid} any more")


def _described(driver: Driver, index: int) -> Device:
    handle = driver.number("cuDeviceGet", index)
    name = driver.name(handle)
    major, minor, l2 = (
        driver.number("cuDeviceGetAttribute", attribute, handle)
        for attribute in (cuda.MAJOR, cuda.MINOR, cuda.L2_BYTES)
    )
    return Device(
        index=index,
        name=name,
        # A part of a device has a name such as "NVIDIA A100-SXM4-40GB MIG 1g.5gb".
        uuid=driver.uuid(handle, "MIG" if " MIG " in name else "GPU"),
        capability=(major, minor),
        memory=driver.memory(handle),
        l2=l2,
        driver=driver.version(),
        emulated=driver.emulated,
    )


@dataclass(frozen=True, slots=True)
class _Kernel:
    image: bytes
    entry: str


class OpenDevice:
    """A context on a device, the kernels and the inputs that came."""

    def __init__(self, driver: Driver, device: Device) -> None:
        self._driver = driver
        self._l2 = device.l2
        handle = driver.number("cuDeviceGet", device.index)
        driver.ask("cuCtxSetCurrent", driver.handle("cuDevicePrimaryCtxRetain", handle))
        self._events = [driver.handle("cuEventCreate", 0) for _ in range(2)]
        self._kernels: list[_Kernel] = []
        self._inputs: dict[int, list[bytes]] = {}

    @property
    def broken(self) -> bool:
        return self._driver.broken

    def load(self, head: Head, image: bytes) -> Head:
        kernel = _Kernel(image, head["entry"])
        with _Module(self._driver, kernel, 0) as function:
            attributes = (cuda.REGISTERS, cuda.STATIC_SHARED, cuda.MOST_THREADS)
            registers, shared, threads = (
                self._driver.number("cuFuncGetAttribute", attribute, function) for attribute in attributes
            )
        self._kernels.append(kernel)
        number = len(self._kernels) - 1
        return {"number": number, "registers": registers, "shared": shared, "threads": threads}

    def put(self, head: Head, blocks: Sequence[bytes]) -> Head:
        self._inputs[head["key"]] = list(blocks)
        return {}

    def drop(self, head: Head) -> Head:
        self._inputs.pop(head["key"], None)
        return {}

    def call(self, head: Head) -> tuple[Head, Sequence[memoryview]]:
        arguments, launch = unpack_arguments(head), unpack_launch(head)
        tensors = [argument for argument in arguments if isinstance(argument, Tensor)]
        inputs = self._inputs[head["inputs"]]
        _hold_to(tensors, inputs)
        # Loaded anew, so that nothing which the kernel keeps in variables of its own outlives a call.
        with _Module(self._driver, self._kernels[head["kernel"]], launch.shared) as function:
            buffers = Buffers(self._driver, tensors, head["misaligned"])
            try:
                buffers.fill(inputs)
                boxes = _boxes(arguments, buffers.addresses())
                milliseconds = self._launch(function, launch, boxes, head["flush"])
                answer: Head = {"milliseconds": milliseconds, "broken_guards": buffers.broken()}
                answer["changed_inputs"] = buffers.changed(inputs) if head["check"] else []
                return answer, buffers.outputs() if head["keep"] else ()
            finally:
                buffers.free()

    def _launch(self, function: c_void_p, launch: Launch, boxes: Sequence[Box], flush: bool) -> float:
        self._driver.ask("cuCtxSynchronize")
        self._driver.forbid_persisting()
        if flush:
            # Not waited for: while it runs, the events and the launch are queued behind it.
            for _ in range(_FLUSHES):
                self._driver.fill(self._scratch, 0, _FLUSH * self._l2)
        self._driver.timed_launch(function, launch, boxes, self._events)
        self._driver.ask("cuCtxSynchronize")
        return self._driver.milliseconds(self._events)

    @cached_property
    def _scratch(self) -> int:
        return self._driver.allocate(_FLUSH * self._l2)


class _Module:
    """An entry of a freshly loaded image, unloaded at the end."""

    def __init__(self, driver: Driver, kernel: _Kernel, shared: int) -> None:
        self._driver = driver
        self._kernel = kernel
        self._shared = shared
        self._module = c_void_p()

    def __enter__(self) -> c_void_p:
        self._module = self._driver.handle("cuModuleLoadData", self._kernel.image)
        try:
            return self._driver.function(self._module, self._kernel.entry, self._shared)
        except DriverError:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        with suppress(DriverError):
            self._driver.ask("cuModuleUnload", self._module)


def _boxes(arguments: Sequence[Argument], addresses: Sequence[int]) -> list[Box]:
    places = iter(addresses)
    return [
        address(next(places)) if isinstance(argument, Tensor) else boxed(argument.dtype, argument.value)
        for argument in arguments
    ]


def _hold_to(tensors: Sequence[Tensor], inputs: Sequence[bytes]) -> None:
    wanted = [tensor.nbytes for tensor in tensors if is_input(tensor)]
    if wanted != [len(data) for data in inputs]:
        raise ValueError(f"the inputs have {[len(data) for data in inputs]} bytes, the tensors {wanted}")
