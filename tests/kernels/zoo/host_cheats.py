"""Cheats that are code for the host, as replies bring it along for an extension."""

from __future__ import annotations

from tests.kernels.zoo.entries import Cheat
from tests.kernels.zoo.kernels import RMSNORM

_PYTHON = "^the reply is Python"

HOST = (
    Cheat(
        "patched_comparison", "Has host code that replaces the comparison, beside a bad kernel.",
        RMSNORM, "correct", "never written", fast=True,
    ),
    Cheat(
        "patched_clock", "Replaces the clock by one that stands while it works.",
        RMSNORM, "extract", _PYTHON, fast=True,
    ),
    Cheat(
        "answer_from_gc", "Finds the reference's output among the garbage collector's objects.",
        RMSNORM, "extract", _PYTHON,
    ),
    Cheat(
        "answer_from_frames", "Reads the reference's output from its caller's frame.",
        RMSNORM, "extract", _PYTHON, fast=True,
    ),
    Cheat(
        "exit_with_verdict", "Prints a verdict and ends the process well.",
        RMSNORM, "extract", _PYTHON, fast=True,
    ),
    Cheat(
        "verdict_at_exit", "Prints a verdict when the process ends.",
        RMSNORM, "extract", _PYTHON, fast=True,
    ),
    Cheat(
        "agreeing_tensor", "Returns a tensor that agrees with everything.",
        RMSNORM, "extract", _PYTHON, fast=True,
    ),
    Cheat("side_thread", "Returns at once and works on another thread.", RMSNORM, "extract", _PYTHON),
    Cheat("library_call", "Calls the library instead of a kernel of its own.", RMSNORM, "extract", _PYTHON),
    Cheat(
        "fallback", "Falls back on the library because its kernel cannot be built.",
        RMSNORM, "extract", _PYTHON,
    ),
    Cheat(
        "cached_by_address", "Answers a call with the same buffer from a cache.",
        RMSNORM, "extract", _PYTHON, fast=True,
    ),
    Cheat("after_the_warm_up", "Works until the calls are timed.", RMSNORM, "extract", _PYTHON, fast=True),
    Cheat("earlier_output", "Returns the buffer of the call before.", RMSNORM, "extract", _PYTHON, fast=True),
    Cheat("own_timing", "Writes its own speed into the report.", RMSNORM, "extract", _PYTHON, fast=True),
)  # fmt: skip
