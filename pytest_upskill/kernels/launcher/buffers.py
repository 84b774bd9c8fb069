"""The buffers of one call: one piece of device memory, of which every byte that is no buffer is a guard."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from pytest_upskill.kernels.data import SIZES, Tensor
from pytest_upskill.kernels.launcher.driver import Driver, DriverError
from pytest_upskill.kernels.launcher.wire import is_input, is_output

# Memory is handed out in pages of 2 MiB: with whole pages, nobody else's bytes lie beside ours, and none of
# them can keep what an earlier call left behind.
_PAGE = 2**21
_GUARD = 4096
_ALIGNMENT = 256
_MOST_SHIFT = 16
_NAN = 0xFF


@dataclass(frozen=True, slots=True)
class Placed:
    """A tensor's first byte, counted from the beginning of the memory."""

    tensor: Tensor
    start: int

    @property
    def end(self) -> int:
        return self.start + self.tensor.nbytes


def place(tensors: Sequence[Tensor], misaligned: bool) -> tuple[list[Placed], int]:
    """Return where each tensor lies, at places that no call can foretell, and the bytes of it all."""
    placed, end = [], 0
    for tensor in tensors:
        free = end + _GUARD + secrets.randbelow(_MOST_SHIFT) * _ALIGNMENT
        start = -(-free // _ALIGNMENT) * _ALIGNMENT
        # A workspace is bytes that the kernel divides by itself: it needs the alignment.
        start += SIZES[tensor.dtype] if misaligned and tensor.role != "workspace" else 0
        placed.append(Placed(tensor, start))
        end = placed[-1].end
    return placed, -(-(end + _GUARD) // _PAGE) * _PAGE


class Buffers:
    """Device memory for the tensors of a call. `free` gives it back."""

    def __init__(self, driver: Driver, tensors: Sequence[Tensor], misaligned: bool) -> None:
        self._driver = driver
        self.placed, self._size = place(tensors, misaligned)
        self._nonce = os.urandom(_GUARD)
        # An integer that nobody wrote: a byte that is no flag and no small number, and another one each time. As a
        # float of any size it is -2 or less: a workspace must never look as good as zeroed.
        self._poison = 0xC1 + secrets.randbelow(0xFE - 0xC1 + 1)
        self._base = driver.allocate(self._size)

    def addresses(self) -> list[int]:
        return [self._base + placed.start for placed in self.placed]

    def fill(self, inputs: Sequence[bytes]) -> None:
        """Write guards, inputs (of the tensors `in` and `inout`, in order) and poison."""
        for start, end in self._gaps():
            self._driver.upload(self._base + start, self._guard(end - start))
        given = iter(inputs)
        for placed in self.placed:
            at, tensor = self._base + placed.start, placed.tensor
            if is_input(tensor):
                self._driver.upload(at, next(given))
            else:
                self._driver.fill(at, self._value(tensor), tensor.nbytes)

    def outputs(self) -> list[memoryview]:
        return [memoryview(self._read(placed)) for placed in self.placed if is_output(placed.tensor)]

    def changed(self, inputs: Sequence[bytes]) -> list[str]:
        """Return the names of the tensors `in` that are not as they were written."""
        given = zip((placed for placed in self.placed if is_input(placed.tensor)), inputs, strict=True)
        return [
            placed.tensor.name
            for placed, data in given
            if placed.tensor.role == "in" and self._read(placed) != data
        ]

    def broken(self) -> list[str]:
        """Return in words where the guards are not as they were written."""
        found: list[str] = []
        for number, (start, end) in enumerate(self._gaps()):
            there, written = self._driver.download(self._base + start, end - start), self._guard(end - start)
            if there != written:
                differs = [offset for offset in range(end - start) if there[offset] != written[offset]]
                found += self._words(number, differs, end - start)
        return found

    def free(self) -> None:
        with suppress(DriverError):
            self._driver.ask("cuMemFree_v2", self._base)

    def _words(self, number: int, differs: Sequence[int], size: int) -> Iterator[str]:
        first, last = differs[0], differs[-1]
        if number and (first < size // 2 or number == len(self.placed)):
            yield f"{_away(first)} past the end of {self.placed[number - 1].tensor.name}"
        if number < len(self.placed) and (last >= size // 2 or not number):
            yield f"{_away(size - 1 - last)} before the start of {self.placed[number].tensor.name}"

    def _gaps(self) -> list[tuple[int, int]]:
        ends = [0, *(placed.end for placed in self.placed)]
        starts = [*(placed.start for placed in self.placed), self._size]
        return list(zip(ends, starts, strict=True))

    def _guard(self, size: int) -> bytes:
        return (self._nonce * (size // _GUARD + 1))[:size]

    def _value(self, tensor: Tensor) -> int:
        if tensor.role == "out zero":
            return 0
        return _NAN if tensor.dtype in ("f64", "f32", "f16", "bf16") else self._poison

    def _read(self, placed: Placed) -> bytearray:
        return self._driver.download(self._base + placed.start, placed.tensor.nbytes)


def _away(distance: int) -> str:
    return f"{distance} byte{'s' if distance > 1 else ''}" if distance else "right"
