"""What ptxas prints of a kernel, and that the cubin says the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels.elf import Cubin, Entry
from pytest_upskill.kernels.ptxas import Report, gather, read_report
from tests.kernels.compiling import SOURCES, compiled

PRINTED = """\
ptxas info    : 216 bytes gmem
ptxas info    : Compiling entry function 'k' for 'sm_90a'
ptxas info    : Function properties for k
    464 bytes stack frame, 872 bytes spill stores, 904 bytes spill loads
ptxas info    : Used 64 registers, used 1 barriers, 480 bytes cumulative stack size, 256 bytes smem
ptxas info    : Compile time = 50.745 ms
ptxas info    : Function properties for helper
    16 bytes stack frame, 8 bytes spill stores, 4 bytes spill loads
"""
CUBIN = Cubin(90, (Entry("k", ((0, 8),), 64, 464, 464, 1280),), 400, 216, ("vprintf",), (), ())


def test_a_report_is_read_with_the_spills_of_all_functions() -> None:
    assert read_report(PRINTED, "k") == Report(64, 480, 880, 908, 256, 216)


def test_a_report_of_another_kernel_says_nothing_of_this_one() -> None:
    assert read_report(PRINTED, "other") == Report(0, 480, 880, 908, 0, 216)


def test_without_a_cumulative_size_each_function_counts_once() -> None:
    recursive = PRINTED.replace(", 480 bytes cumulative stack size", "")
    assert read_report(recursive, "k").stack == 464 + 16


def test_the_stack_is_never_less_than_the_largest_frame() -> None:
    less = PRINTED.replace("480 bytes cumulative", "1 bytes cumulative")
    assert read_report(less, "k").stack == gather(CUBIN, less, "sm_90a", "k").stack == 464
    indirect = replace(CUBIN, entries=(replace(CUBIN.entries[0], frame=900, stack=950),))
    assert gather(indirect, PRINTED, "sm_90a", "k").stack == 950


FRAME = "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
BEGUN = "ptxas info    : Compiling entry function '{}' for 'sm_90a'\n"
USED = "ptxas info    : Used 64 registers, 1 bytes cumulative stack size, 256 bytes smem\n"


@pytest.mark.parametrize(
    ("printed", "counts"),
    [
        (BEGUN.format("k") + USED + PRINTED, (2, 2, 2, 2, 1)),
        (USED + PRINTED, (2, 1, 2, 2, 1)),
        (BEGUN.format("z") + PRINTED, (1, 2, 2, 2, 1)),
        (FRAME + PRINTED, (1, 1, 3, 2, 1)),
        ("ptxas info    : 216 bytes gmem\n" + PRINTED, (1, 1, 2, 2, 2)),
        (PRINTED.replace("function 'k'", "function 'z'"), None),
        ("", (0, 0, 0, 0, 0)),
    ],
)
def test_a_report_with_lines_too_many_or_too_few_is_an_error(
    printed: str, counts: tuple[int, int, int, int, int] | None
) -> None:
    used, begun, frames, functions, globals_ = counts or (1, 1, 2, 2, 1)
    with pytest.raises(ScorerError) as caught:
        gather(CUBIN, printed, "sm_90a", "k")
    assert str(caught.value) == (
        f"the report of ptxas does not fit the cubin that it made: {used} times registers and {begun} times a kernel, "
        f"of 1 in the cubin, {frames} stack frames of {functions} functions, {globals_} times global variables"
    )


def test_the_words_of_older_compilers_are_read_too() -> None:
    older = "ptxas info    : 216 bytes gmem, 400 bytes cmem[3]\n" + PRINTED.partition("\n")[2]
    older = older.replace("256 bytes smem", "256+0 bytes smem, 368 bytes cmem[0]")
    assert read_report(older, "k") == read_report(PRINTED, "k")


@pytest.mark.parametrize(
    "forged",
    [
        "ptxas info    : Compiling entry function 'k' for 'sm_90a' ptxas info    : Used 1 registers\n",
        "  ptxas info    : Used 1 registers\n",
        "kernel.cu:1:2: warning: ptxas info    : Used 1 registers\n",
    ],
)
def test_a_line_that_only_holds_such_words_is_not_read(forged: str) -> None:
    assert read_report(forged + PRINTED, "k") == read_report(PRINTED, "k")


def test_facts_are_those_of_the_cubin_and_the_report() -> None:
    facts = gather(CUBIN, PRINTED, "sm_90a", "k")
    assert (facts.arch, facts.entries, facts.parameters) == ("sm_90a", ("k",), ((0, 8),))
    assert (facts.registers, facts.stack, facts.shared) == (64, 480, 256)
    assert (facts.spill_stores, facts.spill_loads) == (880, 908)
    assert (facts.constant, facts.globals_, facts.externs) == (400, 216, ("vprintf",))


@pytest.mark.parametrize(
    ("printed", "what"),
    [
        (PRINTED.replace("64 registers", "1 registers"), "the registers (1 and 64)"),
        (PRINTED.replace("256 bytes smem", "64 bytes smem"), "the static shared memory (64 and 1280)"),
        (PRINTED.replace("216 bytes gmem", "0 bytes gmem"), "bytes of global variables (0 and 216)"),
    ],
)
def test_a_report_that_the_cubin_denies_is_an_error(printed: str, what: str) -> None:
    with pytest.raises(ScorerError) as caught:
        gather(CUBIN, printed, "sm_90a", "k")
    assert str(caught.value) == f"ptxas and the cubin that it made disagree on {what}"


def test_a_cubin_for_another_architecture_is_an_error() -> None:
    with pytest.raises(ScorerError, match=r"disagree on the architecture \(80 and 90\)"):
        gather(CUBIN, PRINTED, "sm_80", "k")
    assert gather(replace(CUBIN, sm=100), PRINTED, "sm_100f", "k").arch == "sm_100f"


@pytest.mark.parametrize(
    ("entry", "arch"), [*((entry, "sm_90a") for entry in SOURCES), ("rich", "sm_80"), ("rich", "sm_100")]
)
def test_the_real_compiler_and_its_cubin_agree(entry: str, arch: str) -> None:
    facts = compiled(entry, arch).facts
    assert entry in facts.entries
    assert facts.arch == arch
    assert facts.registers > 0


def test_spills_a_local_array_and_recursion_are_told_apart() -> None:
    spills, local, recurses = (compiled(entry).facts for entry in ("spills", "local", "recurses"))
    assert spills.spill_stores > 100
    assert spills.spill_loads > 100
    assert spills.registers == 64
    assert (local.stack, local.spill_stores, local.spill_loads) == (400, 0, 0)
    assert recurses.stack >= 80


def test_shared_memory_is_the_kernel_s_own_and_static() -> None:
    assert compiled("rich").facts.shared == 256
    assert compiled("copy").facts.shared == 0
