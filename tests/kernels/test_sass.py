"""The instructions of a compiled kernel, and the cases that ask for some of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels.data import Miss
from pytest_upskill.kernels.sass import check_instructions, instructions
from tests.kernels.compiling import compiled, compiler, sandbox, toolchain

FOUND = Counter({"LDG.E.128.CONSTANT": 2, "LDG.E": 1, "HGMMA.64x8x16.F16": 4, "FFMA": 7})
WIDE = """
extern "C" __global__ void wide(const float4* x, float4* y, int n) {
    asm volatile("wgmma.fence.sync.aligned;\\n wgmma.commit_group.sync.aligned;");
    if (n == 3) y[threadIdx.x] = x[threadIdx.x];
}
"""


def found(cubin: bytes) -> Counter[str]:
    if toolchain().disassembler is None:
        pytest.skip("there is no nvdisasm here: pip install nvidia-cuda-nvdisasm")
    return instructions(cubin, toolchain(), sandbox())


def test_the_instructions_of_a_real_kernel_are_counted_by_their_whole_names() -> None:
    wide = found(compiler().compile(WIDE, "", "sm_90a", "wide").cubin)
    assert wide["LDG.E.128"] == wide["STG.E.128"] == 1
    assert any(name.startswith("HGMMA.") for name in wide)
    # One under a predicate.
    assert wide["EXIT"] == 2


def test_narrow_loads_are_not_taken_for_wide_ones() -> None:
    copy = found(compiled("copy").cubin)
    assert copy["LDG.E.U16"] == 1
    with pytest.raises(Miss) as caught:
        check_instructions(copy, ["LDG.E.128"], [])
    assert (caught.value.stage, caught.value.evidence) == (
        "facts",
        "the compiled kernel has no instruction LDG.E.128; the nearest that it has: LDG.E.U16",
    )


def test_what_is_no_cubin_is_an_error() -> None:
    with pytest.raises(ScorerError, match=r"nvdisasm cannot read the cubin: \w"):
        found(b"no cubin")


def test_without_a_disassembler_it_is_said_what_to_install() -> None:
    with pytest.raises(ScorerError) as caught:
        instructions(compiled("copy").cubin, replace(toolchain(), disassembler=None), sandbox())
    assert str(caught.value) == (
        "a case asks for instructions (sass_required, sass_forbidden), and there is no nvdisasm to find them; "
        "install it: pip install nvidia-cuda-nvdisasm"
    )


@pytest.mark.parametrize("name", ["LDG", "LDG.E", "LDG.E.128", "ldg.e.128.constant", "HGMMA", "FFMA"])
def test_a_name_stands_for_all_that_begin_with_its_parts(name: str) -> None:
    check_instructions(FOUND, [name], [])


@pytest.mark.parametrize("name", ["LD", "LDG.128", "LDG.E.12", "MMA", "FFMA.RN"])
def test_a_part_of_a_part_is_not_enough(name: str) -> None:
    with pytest.raises(Miss):
        check_instructions(FOUND, [name], [])


def test_what_is_missing_is_named() -> None:
    with pytest.raises(Miss) as caught:
        check_instructions(FOUND, ["UTMALDG", "FFMA", "LDGSTS"], [])
    assert caught.value.evidence == "the compiled kernel has no instruction LDGSTS, UTMALDG"


def test_what_is_forbidden_is_named_and_counted() -> None:
    check_instructions(FOUND, [], ["LDL", "STL"])
    with pytest.raises(Miss) as caught:
        check_instructions(FOUND, [], ["LDG.E", "STL"])
    assert caught.value.evidence == "the compiled kernel has what the case forbids: LDG.E (3 times)"
