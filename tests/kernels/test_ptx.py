"""PTX that would make ptxas print a report of its own, and stack that no report shows."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels.artefacts import Artefacts
from pytest_upskill.kernels.compile import Compiler
from pytest_upskill.kernels.data import Artefact, Miss
from pytest_upskill.kernels.prelude import prelude
from pytest_upskill.kernels.ptx import check_ptx, takes_stack
from pytest_upskill.kernels.sandbox import Sandbox
from tests.kernels.compiling import compiler, sandbox, toolchain

FORGED = """
extern "C" __global__ void k(float* y) {
  float kept[300];
  for (int i = 0; i < 300; ++i) kept[i] = y[i] * i;
  asm volatile(".pragma \\"x\\nptxas info    : Compiling entry function 'k' for 'sm_90a'\\n"
               "ptxas info    : Used 8 registers, 1 bytes cumulative stack size\\n\\";");
  y[0] = kept[int(y[1])];
}
"""
TAKES = """
extern "C" __global__ void k(float* y, int n) {
  float* kept = static_cast<float*>(__builtin_alloca(n * sizeof(float)));
  for (int i = 0; i < n; ++i) kept[i] = y[i];
  y[0] = kept[int(y[1])];
}
"""
POINTER = """
__device__ __noinline__ float one(float x) {
  float kept[64];
  for (int i = 0; i < 64; ++i) kept[i] = x * i;
  return kept[int(x)];
}
__device__ __noinline__ float two(float x) { return x + 1; }
extern "C" __global__ void k(float* y, int n) {
  float (*chosen)(float) = n % 2 ? one : two;
  y[0] = chosen(y[0]);
}
"""


def made(source: str) -> Artefact:
    return compiler().compile(source, prelude(""), "sm_90a", "k")


def test_a_pragma_that_ptxas_would_print_is_refused() -> None:
    with pytest.raises(Miss) as miss:
        made(FORGED)
    assert (miss.value.stage, miss.value.evidence) == (
        "compile",
        "what the compiler made of it cannot be read: it has a .pragma of more than plain words, which would stand in "
        "what ptxas prints",
    )


@pytest.mark.parametrize("words", ["nounroll", "used_bytes_mask 0xff", "frequency 1.5", ""])
def test_the_compilers_own_pragmas_are_no_trouble(words: str) -> None:
    check_ptx(f'.pragma "{words}";\n')


@pytest.mark.parametrize("words", ["x\ny", "ptxas info : x", "x\\ny", "\x1b[31m"])
def test_others_are(words: str) -> None:
    with pytest.raises(ScorerError):
        check_ptx(f'\t.pragma  "{words}";\n')


def test_stack_that_is_taken_while_a_kernel_runs_is_a_fact() -> None:
    assert made(TAKES).facts.dynamic_stack
    assert not made('extern "C" __global__ void k(float* y) { y[0] = 1; }').facts.dynamic_stack
    assert takes_stack("alloca/**/.u64 x, 8;")
    assert not takes_stack("mov.u32 allocated, 8;")


def test_a_call_through_a_pointer_is_honest_and_its_stack_is_counted() -> None:
    facts = made(POINTER).facts
    assert facts.stack >= 256
    assert not facts.dynamic_stack


def test_what_was_compiled_without_a_sandbox_is_not_taken_for_what_was(tmp_path: Path) -> None:
    class Elsewhere:
        def __init__(self, level: str) -> None:
            self.level = level
            self.run = sandbox().run

    source = 'extern "C" __global__ void k(float* y) { y[0] = 2; }'
    levels = [cast("Sandbox", Elsewhere(level)) for level in ("none", "landlock")]
    compilers = [Compiler(toolchain(), level, Artefacts(tmp_path)) for level in levels]
    found = [one.compile(source, prelude(""), "sm_90a", "k").cached for one in (*compilers, *compilers)]
    assert found == [False, False, True, True]
