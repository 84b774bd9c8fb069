"""Kernels that the real compiler made, each once for all tests of a process."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels.artefacts import Artefacts
from pytest_upskill.kernels.compile import Compiler
from pytest_upskill.kernels.data import Artefact
from pytest_upskill.kernels.prelude import prelude
from pytest_upskill.kernels.sandbox import Level, Limits, Ran, Sandbox, reports, sandboxes
from pytest_upskill.kernels.toolchain import Toolchain, find_toolchain

COPY = """
extern "C" __global__ void copy(const T* x, T* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = x[i];
}
"""
# A bit of everything that a cubin tells of.
RICH = """
#include <cassert>
__constant__ float table[100];
__device__ float state[50];
__device__ float weights[3] = {1, 2, 3};
namespace { __device__ int hidden; }
__device__ __noinline__ float twice(float x) { hidden = 3; return x * 2 + table[3]; }
extern "C" __global__ void rich(const T* x, T* y, signed char a, short b, double c, int n) {
    __shared__ float tile[64];
    extern __shared__ float dynamic[];
    int i = threadIdx.x;
    assert(n > 0);
    tile[i] = twice(float(x[i])) + state[i] + weights[n % 3];
    dynamic[i] = a + b + c;
    __syncthreads();
    y[i] = T(tile[63 - i] + dynamic[n] + table[n]);
    state[i] = i;
}
"""
SPILLS = """
extern "C" __global__ void __launch_bounds__(1024) spills(float* y, int n) {
    float a[200];
    for (int i = 0; i < 200; ++i) a[i] = y[i];
    for (int k = 0; k < 10; ++k)
        for (int i = 0; i < 200; ++i) a[i] = a[i] * a[(i + 7) % 200] + 1;
    for (int i = 0; i < 200; ++i) y[i] = a[i];
}
"""
LOCAL = """
extern "C" __global__ void local(float* y, int n) {
    volatile float a[100];
    for (int i = 0; i < n; ++i) a[i % 100] = y[i];
    for (int i = 0; i < n; ++i) y[i] = a[(i * 3) % 100];
}
"""
RECURSES = """
__device__ __noinline__ float deeper(const float* x, int n) {
    volatile float a[20];
    a[n % 20] = x[n];
    return n ? deeper(x, n - 1) + a[(n + 3) % 20] : a[n % 20];
}
extern "C" __global__ void recurses(float* y, int n) { y[0] = deeper(y, n); }
"""
TALKS = """
#include <cstdio>
__managed__ int shared_with_host;
extern "C" __global__ void talks(float* y, int n) {
    float* p = (float*)malloc(n);
    printf("%d", n);
    shared_with_host = n;
    y[0] = p[0];
    free(p);
}
__global__ void other(float* y) { y[0] = 1; }
"""
SOURCES = {
    "copy": COPY, "rich": RICH, "spills": SPILLS, "local": LOCAL, "recurses": RECURSES, "talks": TALKS,
}  # fmt: skip


@cache
def toolchain() -> Toolchain:
    """Return the real compiler; the test is skipped where there is none."""
    try:
        return find_toolchain()
    except ScorerError as error:
        pytest.skip(str(error))


def needs_compiler() -> None:
    """Skip the test where no kernel can be compiled: there is no compiler, or no sandbox works."""
    toolchain()
    if not any(report.works for report in reports()):
        pytest.skip("no level of the sandbox works here")


@cache
def sandbox() -> Sandbox:
    """Return the best sandbox that works here: these tests ask about compilers."""
    return sandboxes(unsafe=True)[0]


@cache
def compiler() -> Compiler:
    folder = tempfile.mkdtemp(prefix="upskill-tests-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Compiler(toolchain(), sandbox(), Artefacts(Path(folder)))


@cache
def compiled(entry: str, arch: str = "sm_90a", dtype: str = "bf16") -> Artefact:
    """Return one of the kernels of `SOURCES`, compiled."""
    return compiler().compile(SOURCES[entry], prelude(dtype), arch, entry)


class Counting(Sandbox):
    """The real sandbox, which counts what it starts and may change limits or answers."""

    def __init__(self, limits: Limits | None = None, answer: Ran | None = None) -> None:
        self.starts: list[Sequence[str]] = []
        self._limits, self._answer = limits, answer

    @property
    def level(self) -> Level:
        return sandbox().level

    def run(self, command: Sequence[str], *, workdir: Path, limits: Limits, **how: Any) -> Ran:
        self.starts.append(command)
        if self._answer and "empty" not in (workdir / "kernel.cu").read_text():
            return self._answer
        return sandbox().run(command, workdir=workdir, limits=self._limits or limits, **how)
