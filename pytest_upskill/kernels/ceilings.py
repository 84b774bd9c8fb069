"""What a device can do at most, measured once for each device, driver and number of bytes, and kept in a folder."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from statistics import median
from typing import Protocol

from pytest_upskill.calls.locks import alone
from pytest_upskill.kernels.data import Launch
from pytest_upskill.kernels.roofline import Ceiling, Fingerprint, Traffic
from pytest_upskill.kernels.timings import FEWEST_CALLS

PROBE_ENTRY = "upskill_probe"
# A thread reads and writes 16 bytes at a time, and has four reads under way. What is only read must have a use, or the
# compiler leaves it out: hence the sum, which as good as never is that number.
PROBE = """\
struct alignas(16) Chunk { unsigned a, b, c, d; };

extern "C" __global__ void upskill_probe(const Chunk* __restrict__ x, Chunk* __restrict__ y, long long reads,
                                         long long writes) {
    long long step = (long long)gridDim.x * blockDim.x;
    long long most = reads > writes ? reads : writes;
    unsigned sum = 0;
    #pragma unroll 1
    for (long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x; at < most; at += 4 * step) {
        Chunk value[4];
        #pragma unroll
        for (int k = 0; k < 4; ++k) value[k] = at + k * step < reads ? x[at + k * step] : Chunk{1, 2, 3, 4};
        #pragma unroll
        for (int k = 0; k < 4; ++k) {
            sum ^= value[k].a ^ value[k].b ^ value[k].c ^ value[k].d;
            if (at + k * step < writes) y[at + k * step] = value[k];
        }
    }
    if (sum == 0x9e3779b9u) y[0].a = sum;
}
"""
CHUNK = 16
# Beyond so many bytes, and so many times the L2 cache, the rate no longer depends on how many there are.
LARGE = 2**30
LARGE_CACHES = 4
NOTHING = Traffic(0, 0)
_THREADS = (256, 512)
_CHUNKS_A_THREAD = (1, 4, 16)
_TRIED = 7
_MOST_KEPT = 512


class Probe(Protocol):
    """The probe kernel, ready to be launched on the device that is measured."""

    def times(self, launch: Launch, traffic: Traffic, count: int) -> list[float]:
        """Return the milliseconds of so many launches that read and write so many bytes, each on a flushed cache."""


class Products(Protocol):
    """Who multiplies matrices on the device that is measured."""

    def rate(self, dtype: str, *, loose: bool) -> float | None:
        """Return the operations a millisecond, None for a type that has no product of matrices.

        With `loose` it is that of the arithmetic which the hardware has beside the type's own: TF32 for f32.
        """


class Ceilings:
    """The ceilings of one device; what was measured before is not measured again.

    Args:
        kept: where they are kept between runs.
        l2: bytes of the device's L2 cache.
        probe: starts the probe where bytes have to be measured; None where they cannot be.
        products: None where there is nobody who multiplies.
    """

    def __init__(
        self,
        kept: KeptFigures,
        l2: int,
        probe: Callable[[], AbstractContextManager[Probe]] | None,
        products: Products | None,
    ) -> None:
        self._kept = kept
        self._large = max(LARGE, LARGE_CACHES * l2)
        self._probe = probe
        self._products = products

    def ceiling(self, traffic: Traffic, flops: int, dtype: str, *, loose: bool) -> Ceiling:
        """Return the ceiling of a problem: its bytes, its operations, its element type.

        `loose` tells that the case allows the looser arithmetic. Raises what probe and products raise.
        """
        compute = self._compute(flops, dtype, loose=loose)
        fewest = self._compute(flops, dtype, loose=True)
        floor = self._measured(NOTHING) or 0.0
        memory = self._moved(traffic, floor) if traffic.total else None
        return Ceiling(memory, compute, fewest, floor, str(self._kept.path))

    def _compute(self, flops: int, dtype: str, *, loose: bool) -> float | None:
        products = self._products
        if not flops or products is None:
            return None
        name = f"product {dtype}{' loose' if loose else ''}"
        rate = self._kept.get(name) or self._kept.put(name, products.rate(dtype, loose=loose))
        return flops / rate if rate else None

    def _moved(self, traffic: Traffic, floor: float) -> float | None:
        asked, factor = scaled(traffic, self._large)
        found = self._measured(asked)
        # A launch is paid once, however much it moves.
        return None if found is None else floor + factor * (found - floor) if factor > 1 else found

    def _measured(self, traffic: Traffic) -> float | None:
        name = f"moved {traffic.read}:{traffic.written}"
        found = self._kept.get(name)
        if found is None and self._probe is not None:
            with self._probe() as probe:
                return self._kept.put(name, fastest(probe, traffic))
        return found


class KeptFigures:
    """Numbers by name that hold for one fingerprint: a JSON file in a folder, which other processes may write too."""

    def __init__(self, folder: Path, mark: Fingerprint) -> None:
        self.path = folder / f"ceilings-{mark.digest}.json"
        self._mark = mark

    def get(self, name: str) -> float | None:
        return self._read().get(name)

    def put(self, name: str, value: float | None) -> float | None:
        """Keep a number, unless it is None, and return it. Where nothing can be written it is measured again."""
        if value is not None:
            with suppress(OSError):
                self._write(name, value)
        return value

    def _write(self, name: str, value: float) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with alone(self.path.with_suffix(".lock")):
            figures = self._read()
            # The oldest go first: drawn sizes add new ones with every run.
            figures = dict([*figures.items(), (name, value)][-_MOST_KEPT:])
            part = self.path.with_suffix(f".{os.getpid()}.part")
            part.write_text(json.dumps({"fingerprint": self._mark.plain(), "figures": figures}, indent=1))
            part.replace(self.path)

    def _read(self) -> dict[str, float]:
        """Return what is kept; a file that is damaged, or of somebody else, holds nothing."""
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
            if found["fingerprint"] != self._mark.plain():
                return {}
            figures = {str(name): float(value) for name, value in found["figures"].items()}
            return {name: value for name, value in figures.items() if 0 < value < math.inf}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}


def scaled(traffic: Traffic, large: int) -> tuple[Traffic, float]:
    """Return what is measured in place of a traffic, in whole chunks, and by what its time is multiplied."""
    part = min(1.0, large / traffic.total) if traffic.total else 1.0
    asked = Traffic(_chunks(traffic.read * part), _chunks(traffic.written * part))
    return asked, 1.0 / part


def fastest(probe: Probe, traffic: Traffic) -> float:
    """Return the median time of the probe, launched in the way that was the fastest of several."""
    tried = {way: median(probe.times(way, traffic, _TRIED)) for way in ways(traffic)}
    return median(probe.times(min(tried, key=lambda way: tried[way]), traffic, FEWEST_CALLS))


def ways(traffic: Traffic) -> Iterator[Launch]:
    """Return the ways in which the probe may be launched: threads a block, chunks a thread."""
    chunks = max(traffic.read, traffic.written) // CHUNK
    if not chunks:
        yield Launch((1, 1, 1), (32, 1, 1))
        return
    seen = set()
    for threads in _THREADS:
        for each in _CHUNKS_A_THREAD:
            blocks = max(1, -(-chunks // (threads * each)))
            if (blocks, threads) not in seen:
                seen.add((blocks, threads))
                yield Launch((blocks, 1, 1), (threads, 1, 1))


def _chunks(count: float) -> int:
    return -(-int(count) // CHUNK) * CHUNK
