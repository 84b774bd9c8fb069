"""What the facts of a compiled kernel have to be: the signature's, within limits, with no place to stash answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_upskill.errors import listing, one_line
from pytest_upskill.kernels.data import Facts, Miss
from pytest_upskill.kernels.spec import SpecGates

# Enough for counters, flags and small tables; a place for answers is larger.
MOST_GLOBALS = 65536
# A failed assertion stops the kernel and tells nobody anything else.
_HARMLESS = frozenset({"__assertfail"})
_REASONS = {
    "vprintf": "printf writes to the output of whoever launches it; take the printf out",
    "malloc": "memory is given to a kernel by its caller; take a workspace instead of malloc or new",
    "free": "memory is given to a kernel by its caller; take a workspace instead of free or delete",
}
_LIBRARIES = ("_ZN3cub", "_ZN6thrust", "_ZN4cuda")
_MOST_NAMES = 6
_OTHER = "a kernel may call only what it holds itself"


def check_facts(
    facts: Facts, sizes: Sequence[int], gates: SpecGates, entry: str, names: Sequence[str] = ()
) -> None:
    """Check a compiled kernel against its signature and the limits of the case.

    Args:
        facts: of the kernel.
        sizes: bytes of each parameter of the signature, in order.
        gates: of the case.
        entry: the name that the kernel must have.
        names: of the parameters, for messages.

    Raises:
        Miss: at the stage "facts", with one sentence.
    """
    _check_entry(facts.entries, entry)
    _check_parameters(facts.parameters, sizes, names)
    _check_outside(facts)
    _check_stack(facts)
    _check_limit("registers a thread", facts.registers, gates.max_registers)
    _check_limit("bytes of spilled registers a thread", _spilled(facts), gates.max_spill)
    _check_limit("bytes of stack a thread", facts.stack, gates.max_stack)


def _spilled(facts: Facts) -> int:
    return max(facts.spill_stores, facts.spill_loads)


def _check_entry(entries: Sequence[str], entry: str) -> None:
    # CUB and Thrust bring kernels of their own with their headers: nobody launches them.
    others = [_shown(name) for name in entries if name != entry and not name.startswith(_LIBRARIES)]
    if entry not in entries:
        has = f"it has: {_these(others)}" if others else "it has no kernel at all"
        raise Miss(
            "facts",
            f"there is no kernel '{entry}' in the compiled code; {has}. Declare it extern \"C\" __global__.",
        )
    if others:
        raise Miss(
            "facts", f"the code has more kernels than '{entry}': {_these(others)}; it must be the only one"
        )


def _check_parameters(found: Sequence[tuple[int, int]], sizes: Sequence[int], names: Sequence[str]) -> None:
    if len(found) != len(sizes):
        raise Miss("facts", f"the kernel has {_count(len(found))}, and its signature {_count(len(sizes))}")
    for number, ((_, size), expected) in enumerate(zip(found, sizes, strict=True), 1):
        if size != expected:
            name = f" ({names[number - 1]})" if number <= len(names) else ""
            raise Miss(
                "facts",
                f"parameter {number}{name} of the kernel has {size} bytes, and in its signature {expected}",
            )


def _check_stack(facts: Facts) -> None:
    if facts.dynamic_stack:
        raise Miss(
            "facts",
            "the kernel takes stack while it runs (alloca), which no limit sees: take an array of fixed size",
        )


def _check_outside(facts: Facts) -> None:
    """Check that the code is all there is, and no place to keep answers in."""
    called = [name for name in facts.externs if name not in _HARMLESS]
    if called:
        reason = _REASONS.get(called[0], _OTHER)
        raise Miss("facts", f"the kernel calls {_these(called)} of the device's runtime: {reason}")
    if facts.managed:
        raise Miss(
            "facts", f"the kernel has managed variables, which the host shares: {_these(facts.managed)}"
        )
    if facts.textures:
        raise Miss(
            "facts", f"the kernel uses textures or surfaces, which it is not given: {_these(facts.textures)}"
        )
    if facts.globals_ > MOST_GLOBALS:
        raise Miss(
            "facts",
            f"the kernel has {facts.globals_} bytes of global variables (__device__), of at most {MOST_GLOBALS}; "
            "larger ones could keep answers: take a workspace",
        )


def _check_limit(what: str, found: int, limit: int | None) -> None:
    if limit is not None and found > limit:
        raise Miss("facts", f"the kernel uses {found} {what}; the case allows {limit}")


def _these(names: Iterable[str]) -> str:
    shown = [_shown(name) for name in names]
    more = f" and {len(shown) - _MOST_NAMES} more" if len(shown) > _MOST_NAMES else ""
    return listing(shown[:_MOST_NAMES]) + more


def _shown(name: str) -> str:
    return one_line(name[:100])


def _count(number: int) -> str:
    return f"{number} parameter{'' if number == 1 else 's'}"
