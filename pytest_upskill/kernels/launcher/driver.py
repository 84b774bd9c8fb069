"""The CUDA driver through ctypes: the functions that are needed, with the types of their arguments."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from contextlib import suppress
from ctypes import POINTER, c_char, c_char_p, c_float, c_int, c_size_t, c_ubyte, c_uint, c_uint64, c_void_p
from typing import Any

from pytest_upskill.kernels.data import Launch
from pytest_upskill.kernels.launcher.scalars import Box

# cuda.h: CUdevice_attribute, CUfunction_attribute, CUlimit.
L2_BYTES, MAJOR, MINOR = 38, 75, 76
MOST_THREADS, STATIC_SHARED, REGISTERS, MOST_DYNAMIC_SHARED = 0, 1, 4, 8
_PERSISTING_L2 = 0x06
_OPT_IN = 48 * 1024
_HANDLE = c_void_p
_OUT = POINTER(c_void_p)
_TYPES: dict[str, tuple[Any, ...]] = {
    "cuInit": (c_uint,),
    "cuDriverGetVersion": (POINTER(c_int),),
    "cuGetErrorName": (c_int, POINTER(c_char_p)),
    "cuGetErrorString": (c_int, POINTER(c_char_p)),
    "cuDeviceGetCount": (POINTER(c_int),),
    "cuDeviceGet": (POINTER(c_int), c_int),
    "cuDeviceGetName": (POINTER(c_char), c_int, c_int),
    "cuDeviceGetUuid_v2": (POINTER(c_ubyte), c_int),
    "cuDeviceGetAttribute": (POINTER(c_int), c_int, c_int),
    "cuDeviceTotalMem_v2": (POINTER(c_size_t), c_int),
    "cuDevicePrimaryCtxRetain": (_OUT, c_int),
    "cuCtxSetCurrent": (_HANDLE,),
    "cuCtxSynchronize": (),
    "cuCtxSetLimit": (c_int, c_size_t),
    "cuCtxResetPersistingL2Cache": (),
    "cuModuleLoadData": (_OUT, c_void_p),
    "cuModuleUnload": (_HANDLE,),
    "cuModuleGetFunction": (_OUT, _HANDLE, c_char_p),
    "cuFuncGetAttribute": (POINTER(c_int), c_int, _HANDLE),
    "cuFuncSetAttribute": (_HANDLE, c_int, c_int),
    "cuMemAlloc_v2": (POINTER(c_uint64), c_size_t),
    "cuMemFree_v2": (c_uint64,),
    "cuMemcpyHtoD_v2": (c_uint64, c_void_p, c_size_t),
    "cuMemcpyDtoH_v2": (c_void_p, c_uint64, c_size_t),
    "cuMemsetD8Async": (c_uint64, c_ubyte, c_size_t, _HANDLE),
    "cuEventCreate": (_OUT, c_uint),
    "cuEventRecord": (_HANDLE, _HANDLE),
    "cuEventElapsedTime": (POINTER(c_float), _HANDLE, _HANDLE),
    "cuLaunchKernel": (_HANDLE, *[c_uint] * 7, _HANDLE, POINTER(c_void_p), POINTER(c_void_p)),
}


class DriverError(Exception):
    """The driver refused: the function, the name of the error, what it says of it."""

    def __init__(self, function: str, word: str, text: str) -> None:
        super().__init__(f"{text} ({function})")
        self.function = function
        self.word = word


class Driver:
    """The functions of a driver's library. Raises OSError where there is no such library."""

    def __init__(self, path: str) -> None:
        self._library = ctypes.CDLL(path)
        self.emulated = hasattr(self._library, "upskill_emulated")
        for name, types in _TYPES.items():
            function = getattr(self._library, name)
            function.argtypes, function.restype = types, c_int

    def ask(self, name: str, *arguments: object) -> None:
        """Call a function. Raises `DriverError`."""
        code = getattr(self._library, name)(*arguments)
        if code:
            raise DriverError(name, self._text("cuGetErrorName", code), self._text("cuGetErrorString", code))

    def number(self, name: str, *arguments: object) -> int:
        """Return the whole number that a function writes to its first argument."""
        found = c_int()
        self.ask(name, ctypes.byref(found), *arguments)
        return found.value

    def handle(self, name: str, *arguments: object) -> c_void_p:
        """Return the handle that a function writes to its first argument."""
        found = c_void_p()
        self.ask(name, ctypes.byref(found), *arguments)
        return found

    @property
    def broken(self) -> bool:
        """Whether an error has made the context useless, for good."""
        try:
            self.ask("cuCtxSynchronize")
        except DriverError:
            return True
        return False

    def version(self) -> str:
        number = self.number("cuDriverGetVersion")
        return f"{number // 1000}.{number % 1000 // 10}"

    def name(self, device: int) -> str:
        text = ctypes.create_string_buffer(256)
        self.ask("cuDeviceGetName", text, 256, device)
        return text.value.decode("utf-8", "replace")

    def uuid(self, device: int, kind: str = "GPU") -> str:
        """Return what CUDA_VISIBLE_DEVICES calls a device, or a part of one (`MIG`)."""
        digits = (c_ubyte * 16)()
        self.ask("cuDeviceGetUuid_v2", digits, device)
        text = bytes(digits).hex()
        return f"{kind}-{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def memory(self, device: int) -> int:
        found = c_size_t()
        self.ask("cuDeviceTotalMem_v2", ctypes.byref(found), device)
        return found.value

    def allocate(self, size: int) -> int:
        found = c_uint64()
        self.ask("cuMemAlloc_v2", ctypes.byref(found), size)
        return found.value

    def upload(self, place: int, data: bytes) -> None:
        if data:
            self.ask("cuMemcpyHtoD_v2", place, data, len(data))

    def download(self, place: int, size: int) -> bytearray:
        data = bytearray(size)
        if size:
            self.ask("cuMemcpyDtoH_v2", (c_char * size).from_buffer(data), place, size)
        return data

    def fill(self, place: int, value: int, size: int) -> None:
        """Fill bytes with one value; it need not be done yet."""
        if size:
            self.ask("cuMemsetD8Async", place, value, size, None)

    def forbid_persisting(self) -> None:
        """Take the part of the L2 that outlives a kernel away; devices without one say that they have none."""
        with suppress(DriverError):
            self.ask("cuCtxSetLimit", _PERSISTING_L2, 0)
        with suppress(DriverError):
            self.ask("cuCtxResetPersistingL2Cache")

    def function(self, module: c_void_p, entry: str, shared: int) -> c_void_p:
        """Return an entry that may have so many bytes of dynamic shared memory."""
        found = self.handle("cuModuleGetFunction", module, entry.encode())
        if shared > _OPT_IN - self.number("cuFuncGetAttribute", STATIC_SHARED, found):
            self.ask("cuFuncSetAttribute", found, MOST_DYNAMIC_SHARED, shared)
        return found

    def timed_launch(
        self, function: c_void_p, launch: Launch, boxes: Sequence[Box], events: Sequence[c_void_p]
    ) -> None:
        """Start a kernel between two events. It need not have ended."""
        places = (c_void_p * max(1, len(boxes)))(*(ctypes.addressof(box) for box in boxes))
        arguments = (function, *launch.grid, *launch.block, launch.shared, None, places, None)
        self.ask("cuEventRecord", events[0], None)
        self.ask("cuLaunchKernel", *arguments)
        self.ask("cuEventRecord", events[1], None)

    def milliseconds(self, events: Sequence[c_void_p]) -> float:
        found = c_float()
        self.ask("cuEventElapsedTime", ctypes.byref(found), *events)
        return found.value

    def _text(self, name: str, code: int) -> str:
        found = c_char_p()
        getattr(self._library, name)(code, ctypes.byref(found))
        return (found.value or f"CUDA_ERROR_{code}".encode()).decode()
