"""The instructions of a compiled kernel, for cases that ask for some of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pytest_upskill.errors import ScorerError, listing, one_line
from pytest_upskill.kernels.compile import left_behind
from pytest_upskill.kernels.data import Miss
from pytest_upskill.kernels.sandbox.limits import GIB, Limits, ending
from pytest_upskill.kernels.scratch import scratch
from pytest_upskill.kernels.toolchain import Toolchain

if TYPE_CHECKING:
    from pytest_upskill.kernels.sandbox import Sandbox

_LIMITS = Limits(cpu_seconds=30, wall_seconds=60, memory_bytes=2 * GIB)
# After the address, perhaps under a predicate: `@!P0 LDG.E.128 R4, ...`.
_LINE = re.compile(rb"^\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_]*(?:\.[\w?]+)*)", re.MULTILINE)
_FILE, _LISTING = "kernel.cubin", "kernel.sass"
_NEAREST = 3


def instructions(cubin: bytes, toolchain: Toolchain, sandbox: Sandbox) -> Counter[str]:
    """Return how often each instruction stands in a cubin, by its whole name (`LDG.E.128`).

    Raises:
        ScorerError: there is no disassembler, or it failed.
    """
    if toolchain.disassembler is None:
        raise ScorerError(
            "a case asks for instructions (sass_required, sass_forbidden), and there is no nvdisasm to find them; "
            "install it: pip install nvidia-cuda-nvdisasm"
        )
    with scratch("upskill-") as folder:
        (folder / _FILE).write_bytes(cubin)
        ran = sandbox.run(
            ["/bin/sh", "-c", f'exec "$0" -c {_FILE} > {_LISTING}', str(toolchain.disassembler)],
            workdir=folder,
            readable=[*toolchain.folders, toolchain.disassembler.parent],
            limits=_LIMITS,
            environment=toolchain.environment,
        )
        if ran.ended != "exited" or ran.code:
            said = one_line(ran.stderr.decode(errors="replace").strip())
            raise ScorerError(f"{toolchain.disassembler} cannot read the cubin: {said or ending(ran)}")
        listed = left_behind(folder / _LISTING)
    return Counter(match[1].decode() for match in _LINE.finditer(listed))


def check_instructions(found: Counter[str], required: Sequence[str], forbidden: Sequence[str]) -> None:
    """Check that a kernel has some instructions and has not others. `LDG.E` stands for `LDG.E.128` too.

    Raises:
        Miss: at the stage "facts".
    """
    missing = [name for name in required if not any(_matches(each, name) for each in found)]
    if missing:
        raise Miss(
            "facts", f"the compiled kernel has no instruction {listing(missing)}{_nearest(missing, found)}"
        )
    present = {name: sum(found[each] for each in found if _matches(each, name)) for name in forbidden}
    wrong = [f"{name} ({count} times)" for name, count in present.items() if count]
    if wrong:
        raise Miss("facts", f"the compiled kernel has what the case forbids: {listing(wrong)}")


def _matches(name: str, wanted: str) -> bool:
    parts = wanted.upper().split(".")
    return name.split(".")[: len(parts)] == parts


def _nearest(missing: Iterable[str], found: Counter[str]) -> str:
    """Return what of the same family the kernel has."""
    families = {name.upper().split(".")[0] for name in missing}
    near = [name for name, _ in found.most_common() if name.split(".")[0] in families][:_NEAREST]
    return f"; the nearest that it has: {listing(near)}" if near else ""
