"""Whether a compiled kernel can be launched as its reply says: what a block takes of a multiprocessor."""

from __future__ import annotations

from math import prod

from pytest_upskill.kernels.data import Facts, Miss, Problem

# Of a multiprocessor, on every device since Kepler; registers are given out by eights a thread.
REGISTERS = 65536
_REGISTER_UNIT = 8
# Bytes that one block may have, static and dynamic together, where the driver is asked for them (CUDA C++ Programming
# Guide, technical specifications by compute capability).
_SHARED = {
    75: 65536,
    80: 166912,
    86: 101376,
    87: 166912,
    89: 101376,
    90: 232448,
    100: 232448,
    103: 232448,
    120: 101376,
    121: 101376,
}
_MOST_SHARED = 232448


def check_launch(facts: Facts, problem: Problem) -> None:
    """Check that no launch asks for more than a device has. Raises `Miss` at the stage "facts"."""
    launch, label = problem.launch, problem.workload.label
    threads = prod(launch.block)
    taken = -(-facts.registers // _REGISTER_UNIT) * _REGISTER_UNIT * threads
    if taken > REGISTERS:
        raise Miss(
            "facts",
            f"{label}: a block of {threads} threads with {facts.registers} registers each takes {taken} registers of "
            f"the {REGISTERS} that there are; launch fewer threads, or say so with __launch_bounds__",
        )
    shared, most = facts.shared + launch.shared, most_shared(facts.arch)
    if shared > most:
        raise Miss(
            "facts",
            f"{label}: a block takes {shared} bytes of shared memory ({facts.shared} static, {launch.shared} dynamic), "
            f"and {facts.arch} has {most}",
        )


def most_shared(arch: str) -> int:
    """Return the bytes of shared memory that a block may have on an architecture such as `sm_90a`."""
    return _SHARED.get(int(arch.removeprefix("sm_").rstrip("af")), _MOST_SHARED)
