"""What the launcher says to the driver, against NVIDIA's own header."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import pytest

from pytest_upskill.kernels.launcher import driver as cuda
from tests.kernels.emulated import build
from tests.kernels.emulated.machine import needs

NUMBERS = {
    "CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE": cuda.L2_BYTES,
    "CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR": cuda.MAJOR,
    "CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR": cuda.MINOR,
    "CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK": cuda.MOST_THREADS,
    "CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES": cuda.STATIC_SHARED,
    "CU_FUNC_ATTRIBUTE_NUM_REGS": cuda.REGISTERS,
    "CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES": cuda.MOST_DYNAMIC_SHARED,
    "CU_LIMIT_PERSISTING_L2_CACHE_SIZE": cuda._PERSISTING_L2,
}
PROGRAM = """
#include <cuda.h>
#include <cstdio>
template <class> struct Of;
template <class... A> struct Of<CUresult(A...)> {
    static void show(const char* name) {
        std::printf("%s", name);
        (std::printf(" %zu", sizeof(A)), ...);
        std::puts("");
    }
};
int main() {
"""


@pytest.fixture(scope="module")
def header() -> Path:
    needs()
    found = build.includes()
    if found is None or not (found / "cuda.h").is_file():
        pytest.skip("there is no cuda.h on this machine")
    return found


@pytest.fixture(scope="module")
def said(header: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[int]]:
    """By name: the sizes of a function's arguments, or a number alone."""
    folder = tmp_path_factory.mktemp("header")
    lines = [f'Of<decltype({name})>::show("{name}");' for name in cuda._TYPES]
    lines += [f'std::printf("{name} %d\\n", int({name}));' for name in NUMBERS]
    (folder / "said.cpp").write_text(f"{PROGRAM}{chr(10).join(lines)}\n}}\n")
    command = ["g++", "-std=c++17", "-I", str(header), "-o", str(folder / "said"), str(folder / "said.cpp")]
    subprocess.run(command, check=True, timeout=60)
    shown = subprocess.run([folder / "said"], capture_output=True, text=True, check=True, timeout=60).stdout
    return {words[0]: [int(word) for word in words[1:]] for words in map(str.split, shown.splitlines())}


@pytest.mark.parametrize("name", cuda._TYPES)
def test_a_function_gets_arguments_of_the_sizes_that_the_header_gives_them(
    name: str, said: dict[str, list[int]]
) -> None:
    assert [ctypes.sizeof(each) for each in cuda._TYPES[name]] == said[name]


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_is_the_header_s(name: str, said: dict[str, list[int]]) -> None:
    assert [NUMBERS[name]] == said[name]
