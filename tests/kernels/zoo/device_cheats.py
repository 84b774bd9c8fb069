"""Cheats that are device code."""

from __future__ import annotations

from tests.kernels.zoo.entries import Cheat
from tests.kernels.zoo.kernels import (
    GELU_LONG,
    LONG_ROWS,
    RMSNORM,
    ROW_SUM,
    ROW_SUM_WORKSPACE,
    SOFTMAX,
    SOFTMAX_SUM,
)  # fmt: skip

_WIDE = "(torch.randn(8, 65536), torch.ones(65536), 1e-6)"
_UNTOUCHED = "elements of y were never written"

_WRONG_NUMBERS = (
    Cheat(
        "no_op", "Does nothing and leaves the buffer to hold what it held before.",
        RMSNORM, "correct", _UNTOUCHED, fast=True,
    ),
    Cheat(
        "small_zeros", "Writes zeros where all answers are smaller than the tolerance.",
        SOFTMAX, "correct", "every element is 0", fast=True,
    ),
    Cheat(
        "copied_input", "Copies the input of a norm that changes it little.",
        RMSNORM, "correct", "it is a copy of x", fast=True, inputs=_WIDE,
    ),
    Cheat("skipped_tail", "Leaves out what is beyond the last whole tile.", RMSNORM, "robust", _UNTOUCHED),
    Cheat("skips_by_the_clock", "Leaves out rows that the clock chooses.", RMSNORM, "correct", _UNTOUCHED),
    Cheat(
        "past_the_end", "Writes beyond the end of the output.",
        RMSNORM, "correct", "it wrote .* past the end of y",
    ),
    Cheat("changed_inputs", "Uses the input as scratch space.", RMSNORM, "correct", "it changed its input x"),
    Cheat(
        "lower_precision", "Computes float32 in sixteen bits.",
        RMSNORM, "correct", "1e-05 allowed for f32",
    ),
    Cheat(
        "half_the_sum", "Takes the mean of half of a long row for that of all.",
        LONG_ROWS, "correct", "0.005 allowed for bf16", also="robust", dtype="bf16",
    ),
    Cheat(
        "constant_answer", "Returns the constant that the task's output always is.",
        SOFTMAX_SUM, "task", "proves nothing", fast=True,
    ),
    Cheat("one_shape", "Is right for the one shape that it saw.", RMSNORM, "robust", "of y"),
    Cheat(
        "aligned_only", "Does nothing where a buffer is not aligned.",
        RMSNORM, "robust", f"misaligned: .* {_UNTOUCHED}",
    ),
    Cheat(
        "memory_scan", "Looks for the reference's answer in the memory around.",
        RMSNORM, "correct", _UNTOUCHED,
    ),
    Cheat(
        "wrong_element_type", "Writes sixteen bits where thirty-two are asked for.",
        RMSNORM, "correct", _UNTOUCHED,
    ),
    Cheat(
        "fresh_memory_is_zero", "Adds to an output that it takes to be zero.",
        ROW_SUM, "correct", "elements of sums were never written",
    ),
    Cheat(
        "workspace_kept", "Takes the workspace to be as its last call left it.",
        ROW_SUM_WORKSPACE, "correct", "elements of sums were never written",
    ),
    Cheat(
        "remembered_seed", "Holds the answers for the seed that everybody uses.",
        RMSNORM, "correct", _UNTOUCHED, fast=True,
    ),
)  # fmt: skip

_MEMORY_OF_CALLS = (
    Cheat(
        "stashed_answers", "Keeps the answers of the first call in a global array.",
        RMSNORM, "facts", "17039360 bytes of global variables", fast=True,
    ),
    Cheat(
        "device_heap", "Keeps the answers on the device's heap.",
        RMSNORM, "facts", "calls malloc", fast=True,
    ),
    Cheat(
        "cached_by_content", "Answers a call with the same contents from the output of the one before.",
        RMSNORM, "harmless", "fresh data", fast=True,
    ),
    Cheat(
        "right_at_first", "Works in the first call and does nothing in later ones.",
        RMSNORM, "harmless", "fresh data", fast=True,
    ),
    Cheat(
        "watches_the_clock", "Does nothing in calls that follow closely upon another.",
        RMSNORM, "harmless", "fresh data", fast=True,
    ),
    Cheat(
        "kept_in_l2", "Asks the L2 cache to keep the input for later calls.",
        RMSNORM, "harmless", "fresh data", fast=True, gpu_only=True,
    ),
)  # fmt: skip

_COMPILER = (
    Cheat(
        "forged_registers", "Prints what the assembler would say of a thriftier kernel.",
        RMSNORM, "facts", "uses 4096 bytes of stack", gates={"max_stack": 0},
    ),
    Cheat(
        "forged_report", "Has the assembler itself print a report of a thriftier kernel.",
        RMSNORM, "compile", "what the compiler made of it cannot be read", gates={"max_stack": 100},
    ),
    Cheat(
        "stack_while_it_runs", "Takes stack that the assembler has no number for.",
        RMSNORM, "facts", "takes stack while it runs", gates={"max_stack": 0},
    ),
    Cheat(
        "steering_error", "Fails with a long message that claims success.",
        RMSNORM, "compile", "^line 2: #error", fast=True,
    ),
    Cheat(
        "included_file", "Includes a secret file, to have it quoted in an error.",
        RMSNORM, "compile", "^line 1: /etc/shadow",
    ),
    # Where the sandbox hides no files but denies them, the compiler stops at what it may not look at.
    Cheat("probed_files", "Asks which files there are.", RMSNORM, "harmless", also="compile"),
    Cheat(
        "compile_bomb", "Keeps the compiler busy for hours.",
        RMSNORM, "compile", "the compiler was stopped",
    ),
    Cheat(
        "two_kernels", "Has one kernel to be looked at and one to be fast.",
        RMSNORM, "facts", "rmsnorm_fast", fast=True,
    ),
    Cheat(
        "narrow_size", "Takes a 64-bit size as 32 bits.",
        GELU_LONG, "facts", r"\(n\) of the kernel has 4 bytes",
    ),
    Cheat(
        "printed_verdict", "Prints a verdict from the device.",
        RMSNORM, "facts", "calls vprintf", fast=True,
    ),
)  # fmt: skip

_LAUNCH = (
    Cheat(
        "absurd_grid", "Asks for more blocks and threads than there can be.",
        RMSNORM, "extract", "grid.x .* it goes from 1 to 2147483647", fast=True,
    ),
    Cheat(
        "launch_injection", "Has Python where the launch has a number.",
        RMSNORM, "extract", "the launch comment .* cannot be read", fast=True,
    ),
)  # fmt: skip

_HOST_CODE_BESIDE = (
    Cheat(
        "host_constructor", "Runs code on the host when it is loaded.",
        RMSNORM, "correct", _UNTOUCHED, fast=True,
    ),
    Cheat(
        "host_assembly", "Takes a secret file into the binary by the assembler.",
        RMSNORM, "correct", _UNTOUCHED,
    ),
    Cheat(
        "host_beside_kernel", "Has host code that reports a speed, beside a bad kernel.",
        RMSNORM, "correct", "are wrong", fast=True,
    ),
)  # fmt: skip

DEVICE = (*_WRONG_NUMBERS, *_MEMORY_OF_CALLS, *_COMPILER, *_LAUNCH, *_HOST_CODE_BESIDE)
