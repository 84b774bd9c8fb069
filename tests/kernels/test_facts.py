"""The facts of a compiled kernel against its signature, the limits of the case, and what none may have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_upskill.kernels.data import Facts, Miss
from pytest_upskill.kernels.facts import MOST_GLOBALS, check_facts
from pytest_upskill.kernels.spec import SpecGates
from tests.kernels.compiling import compiled

FACTS = Facts("sm_90a", ("k",), ((0, 8), (8, 8), (16, 4)), 40, 16, 8, 12, 256, 400, 100)
SIZES = (8, 8, 4)
NAMES = ("x", "y", "n")


def refusal(facts: Facts, gates: SpecGates | None = None) -> str:
    with pytest.raises(Miss) as caught:
        check_facts(facts, SIZES, gates or SpecGates(), "k", NAMES)
    assert caught.value.stage == "facts"
    return caught.value.evidence


def test_a_kernel_as_its_signature_says_passes() -> None:
    check_facts(FACTS, SIZES, SpecGates(max_registers=40, max_spill=12, max_stack=16), "k", NAMES)


def test_a_kernel_of_another_name_is_a_miss_that_names_it() -> None:
    assert refusal(replace(FACTS, entries=("_Z1kPf", "b"))) == (
        "there is no kernel 'k' in the compiled code; it has: _Z1kPf, b. Declare it extern \"C\" __global__."
    )
    assert refusal(replace(FACTS, entries=())) == (
        "there is no kernel 'k' in the compiled code; it has no kernel at all. "
        'Declare it extern "C" __global__.'
    )


def test_a_second_kernel_is_a_miss() -> None:
    assert refusal(replace(FACTS, entries=("k", "z", "a"))) == (
        "the code has more kernels than 'k': a, z; it must be the only one"
    )


def test_a_name_with_what_does_not_print_is_escaped_and_cut() -> None:
    words = refusal(replace(FACTS, entries=("\x1b[31m" + "a" * 5000,)))
    assert "\\x1b[31m" in words
    assert len(words) < 300


def test_a_parameter_of_another_size_is_named_with_both_sizes() -> None:
    assert refusal(replace(FACTS, parameters=((0, 8), (8, 8), (16, 8)))) == (
        "parameter 3 (n) of the kernel has 8 bytes, and in its signature 4"
    )


def test_without_names_a_parameter_has_its_number() -> None:
    with pytest.raises(Miss, match=r"^parameter 1 of the kernel has 8 bytes, and in its signature 4$"):
        check_facts(FACTS, (4, 8, 4), SpecGates(), "k")


def test_another_number_of_parameters_is_a_miss() -> None:
    assert refusal(replace(FACTS, parameters=((0, 8),))) == (
        "the kernel has 1 parameter, and its signature 3 parameters"
    )


@pytest.mark.parametrize(
    ("externs", "sentence"),
    [
        (
            ("vprintf",),
            "the kernel calls vprintf of the device's runtime: printf writes to the output of whoever launches it; "
            "take the printf out",
        ),
        (
            ("free", "malloc"),
            "the kernel calls free, malloc of the device's runtime: memory is given to a kernel by its caller; "
            "take a workspace instead of free or delete",
        ),
        (
            ("cudaLaunchDeviceV2",),
            "the kernel calls cudaLaunchDeviceV2 of the device's runtime: a kernel may call only what it holds itself",
        ),
    ],
)
def test_a_call_into_the_device_s_runtime_is_a_miss(externs: tuple[str, ...], sentence: str) -> None:
    assert refusal(replace(FACTS, externs=externs)) == sentence


def test_an_assertion_is_no_miss() -> None:
    check_facts(replace(FACTS, externs=("__assertfail",)), SIZES, SpecGates(), "k")


def test_a_place_to_keep_answers_in_is_a_miss() -> None:
    check_facts(replace(FACTS, globals_=MOST_GLOBALS), SIZES, SpecGates(), "k")
    assert refusal(replace(FACTS, globals_=MOST_GLOBALS + 1)) == (
        "the kernel has 65537 bytes of global variables (__device__), of at most 65536; "
        "larger ones could keep answers: take a workspace"
    )


def test_managed_variables_and_textures_are_a_miss() -> None:
    assert refusal(replace(FACTS, managed=("m",))) == (
        "the kernel has managed variables, which the host shares: m"
    )
    assert refusal(replace(FACTS, textures=("t", "s"))) == (
        "the kernel uses textures or surfaces, which it is not given: s, t"
    )


@pytest.mark.parametrize(
    ("gates", "sentence"),
    [
        (SpecGates(max_registers=39), "the kernel uses 40 registers a thread; the case allows 39"),
        (SpecGates(max_spill=8), "the kernel uses 12 bytes of spilled registers a thread; the case allows 8"),
        (SpecGates(max_stack=0), "the kernel uses 16 bytes of stack a thread; the case allows 0"),
    ],
)
def test_a_limit_of_the_case_is_held(gates: SpecGates, sentence: str) -> None:
    assert refusal(FACTS, gates) == sentence


def test_real_kernels_are_judged_by_what_was_compiled() -> None:
    check_facts(compiled("rich").facts, (8, 8, 1, 2, 8, 4), SpecGates(max_spill=0), "rich")
    with pytest.raises(Miss, match="more kernels than 'talks': _Z5otherPf"):
        check_facts(compiled("talks").facts, (8, 4), SpecGates(), "talks")
    with pytest.raises(Miss, match=r"\d+ bytes of spilled registers a thread; the case allows 0"):
        check_facts(compiled("spills").facts, (8, 4), SpecGates(max_spill=0), "spills")
    with pytest.raises(Miss, match="400 bytes of stack a thread; the case allows 100"):
        check_facts(compiled("local").facts, (8, 4), SpecGates(max_stack=100), "local")


def test_kernels_that_a_library_brings_are_no_second_ones() -> None:
    names = ("k", "_ZN3cub17CUB_300001_SM_9006detail11EmptyKernelIvEEvv", "_ZN6thrust4copyEv")
    check_facts(replace(FACTS, entries=names), SIZES, SpecGates(), "k", NAMES)


def test_many_names_are_cut() -> None:
    assert refusal(replace(FACTS, entries=("k", *(f"z{n}" for n in range(9))))) == (
        "the code has more kernels than 'k': z0, z1, z2, z3, z4, z5 and 3 more; it must be the only one"
    )


def test_stack_that_is_taken_at_run_time_is_a_miss() -> None:
    assert refusal(replace(FACTS, dynamic_stack=True)) == (
        "the kernel takes stack while it runs (alloca), which no limit sees: take an array of fixed size"
    )
