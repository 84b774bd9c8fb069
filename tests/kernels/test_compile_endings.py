"""What becomes of a compiler that does not come to its end, and of one that does not work at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels.artefacts import Artefacts
from pytest_upskill.kernels.compile import Compiler
from pytest_upskill.kernels.data import Miss
from pytest_upskill.kernels.prelude import prelude
from pytest_upskill.kernels.sandbox import Ended, Limits, Ran
from tests.kernels.compiling import COPY, Counting, toolchain

BF16 = prelude("bf16")


ANOTHER = "install another CUDA toolkit: pip install 'pytest-upskill[cuda]'"


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture
def untried(tmp_path: Path, counting: Counting) -> Compiler:
    return Compiler(toolchain(), counting, Artefacts(tmp_path))


def refusal(compiler: Compiler, source: str) -> str:
    with pytest.raises(Miss) as caught:
        compiler.compile(source, BF16, "sm_90a", "copy")
    assert caught.value.stage == "compile"
    return caught.value.evidence


ENDLESS = """
constexpr long long spin(long long n) { long long s = 0; for (long long i = 0; i < n; ++i) s += i % 7; return s; }
template <int N, int M> struct Tree { static constexpr long long value =
    Tree<N - 1, 2 * M>::value + Tree<N - 1, 2 * M + 1>::value; };
template <int M> struct Tree<0, M> { static constexpr long long value = spin(100); };
__device__ long long x = Tree<22, 0>::value;
"""


def test_a_source_that_the_compiler_never_ends_with_is_stopped(tmp_path: Path) -> None:
    short = Counting(Limits(cpu_seconds=1, wall_seconds=3))
    compiler = Compiler(toolchain(), short, Artefacts(tmp_path))
    compiler._sound.add(("sm_90a", BF16))
    words = refusal(compiler, ENDLESS + COPY)
    assert words in (
        "the compiler was stopped after 120 s",
        "the compiler was stopped after 60 s of processor time",
    )


def ran(ended: Ended = "exited", code: int | None = 1, signal: int | None = None, errors: str = "") -> Ran:
    return Ran(code if ended == "exited" else None, signal, b"", errors.encode(), ended, 1.0)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (ran("wall"), "the compiler was stopped after 120 s"),
        (ran("cpu"), "the compiler was stopped after 60 s of processor time"),
        (ran("memory"), "the compiler was stopped: it needed more than 4 GiB of memory"),
        (
            ran(errors="a.h(4): catastrophic error: out of memory\n"),
            "the compiler was stopped: it needed more than 4 GiB of memory",
        ),
        (ran("disk"), "the compiler failed: it was stopped at its limit of disk space"),
        (ran("processes"), "the compiler failed: it was stopped at its limit of processes"),
        (ran("signal", signal=11), "the compiler failed: it was ended by SIGSEGV"),
        (
            ran(errors="nvcc error   : 'cicc' died due to signal 11 (Invalid memory reference)\n"),
            "the compiler crashed (died due to signal 11)",
        ),
        (
            ran(errors="kernel.cu(9): error: no\n  catch (std::bad_alloc&) { /* died due to signal 3 */ }\n"),
            "line 9: no",
        ),
        (ran(code=3), "the compiler refused it: it ended with exit code 3"),
    ],
)
def test_what_became_of_the_compiler_is_a_miss_that_says_so(tmp_path: Path, answer: Ran, words: str) -> None:
    compiler = Compiler(toolchain(), Counting(answer=answer), Artefacts(tmp_path))
    compiler._sound.add(("sm_90a", BF16))
    assert refusal(compiler, COPY) == words


def test_a_compiler_that_is_stopped_with_the_test_run_is_an_error(tmp_path: Path) -> None:
    compiler = Compiler(toolchain(), Counting(answer=ran("killed")), Artefacts(tmp_path))
    with pytest.raises(ScorerError, match=r"^the compiler was stopped because the test run ends$"):
        compiler.compile(COPY, BF16, "sm_90a", "copy")


def test_a_compiler_that_refuses_even_an_empty_kernel_is_an_error_and_no_miss(untried: Compiler) -> None:
    where = f"{toolchain().name} at {toolchain().nvcc} cannot compile even an empty kernel for"
    with pytest.raises(ScorerError) as caught:
        untried.compile(COPY, "#include <gone.h>\n", "sm_90a", "copy")
    assert str(caught.value) == f"{where} sm_90a: prelude.cuh:1: gone.h: No such file or directory; {ANOTHER}"
    with pytest.raises(ScorerError) as caught:
        untried.compile(COPY, BF16, "sm_20", "copy")
    assert str(caught.value) == f"{where} sm_20: nvcc: Unsupported gpu architecture 'compute_20'; {ANOTHER}"


class Garbled(Counting):
    """A sandbox in which the compiler leaves what cannot be read, of the reply or of all."""

    def __init__(self, what: str, also_empty: bool) -> None:
        super().__init__()
        self._what, self._also_empty = what, also_empty

    def run(self, command: Sequence[str], *, workdir: Path, **others: Any) -> Ran:
        done = super().run(command, workdir=workdir, **others)
        if self._also_empty or "empty" not in (workdir / "kernel.cu").read_text():
            (workdir / self._what).write_bytes(b"no such thing")
        return done


UNREADABLE = "what the compiler made of it cannot be read:"
BAD = [
    ("kernel.cubin", "the cubin is cut off: 64 bytes at 0, of 13"),
    (
        "ptxas.txt",
        "the report of ptxas does not fit the cubin that it made: 0 times registers and 0 times a kernel, "
        "of 1 in the cubin, 0 stack frames of 0 functions, 0 times global variables",
    ),
]


@pytest.mark.parametrize(("what", "words"), BAD)
def test_what_cannot_be_read_of_one_reply_alone_is_a_miss(tmp_path: Path, what: str, words: str) -> None:
    compiler = Compiler(toolchain(), Garbled(what, also_empty=False), Artefacts(tmp_path))
    assert refusal(compiler, COPY) == f"{UNREADABLE} {words}"


@pytest.mark.parametrize(("what", "words"), BAD)
def test_what_cannot_be_read_of_any_kernel_is_an_error(tmp_path: Path, what: str, words: str) -> None:
    compiler = Compiler(toolchain(), Garbled(what, also_empty=True), Artefacts(tmp_path))
    with pytest.raises(ScorerError) as caught:
        compiler.compile(COPY, BF16, "sm_90a", "copy")
    assert str(caught.value) == (
        f"{toolchain().name} at {toolchain().nvcc} cannot compile even an empty kernel for sm_90a: "
        f"{UNREADABLE} {words}; {ANOTHER}"
    )


def test_the_compiler_is_tried_at_the_first_refusal_alone(untried: Compiler, counting: Counting) -> None:
    for starts in (2, 3):
        refusal(untried, "int n = x;")
        assert len(counting.starts) == starts


def test_after_a_success_it_is_not_tried(untried: Compiler, counting: Counting) -> None:
    untried.compile(COPY, BF16, "sm_90a", "copy")
    refusal(untried, "int n = x;")
    assert len(counting.starts) == 2
