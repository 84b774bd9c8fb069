"""What `ptxas -v` prints of a kernel, held against what the cubin says.

ptxas prints words of the PTX as they stand, such as those of a pragma that it does not know, line ends included. So a
report is believed only where it speaks once of each kernel in the cubin.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels.data import Facts
from pytest_upskill.kernels.elf import Cubin, Entry

_ENTRY = re.compile(r"ptxas info\s*: Compiling entry function '(.*)' for 'sm_\w+'")
_FUNCTION = re.compile(r"ptxas info\s*: Function properties for (.*)")
_FRAME = re.compile(r"\s+(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"ptxas info\s*: Used (\d+) registers(.*)")
_CUMULATIVE = re.compile(r"(\d+) bytes cumulative stack size")
_SHARED = re.compile(r"(\d+)(?:\+\d+)? bytes smem")
_GLOBALS = re.compile(r"ptxas info\s*: (\d+) bytes gmem.*")
# Since sm_90 the section of a block's shared memory begins with as many bytes of the system's.
_SYSTEM_SHARED = 1024


@dataclass(frozen=True, slots=True)
class Report:
    """What ptxas says of one kernel and the functions that it calls, in bytes.

    `stack` is that of the kernel with all calls, and where ptxas cannot tell (recursion), with one call of each
    function. The spills are those of all functions.
    """

    registers: int = 0
    stack: int = 0
    spill_stores: int = 0
    spill_loads: int = 0
    shared: int = 0
    globals_: int = 0


def read_report(printed: str, entry: str) -> Report:
    """Return what is said of the kernel `entry`; zeros where nothing is."""
    lines = printed.splitlines()
    frames = [tuple(map(int, match.groups())) for match in map(_FRAME.fullmatch, lines) if match]
    used = _used(lines, entry)
    largest = max((frame[0] for frame in frames), default=0)
    return Report(
        registers=int(used[1]) if used else 0,
        stack=max(largest, _first(_CUMULATIVE, used[2] if used else "") or sum(frame[0] for frame in frames)),
        spill_stores=sum(frame[1] for frame in frames),
        spill_loads=sum(frame[2] for frame in frames),
        shared=_first(_SHARED, used[2] if used else ""),
        globals_=max((int(match[1]) for match in map(_GLOBALS.fullmatch, lines) if match), default=0),
    )


def _used(lines: list[str], entry: str) -> re.Match[str] | None:
    name = ""
    for line in lines:
        if match := _ENTRY.fullmatch(line):
            name = match[1]
        elif name == entry and (match := _USED.fullmatch(line)):
            return match
    return None


def _first(pattern: re.Pattern[str], text: str) -> int:
    match = pattern.search(text)
    return int(match[1]) if match else 0


def gather(cubin: Cubin, printed: str, arch: str, entry: str) -> Facts:
    """Return the facts of a kernel from the cubin and from what ptxas printed when it made it.

    Raises:
        ScorerError: the two disagree, or there is more in the report than ptxas has to say.
    """
    _check_lines(printed.splitlines(), [each.name for each in cubin.entries])
    report = read_report(printed, entry)
    of_entry = next((each for each in cubin.entries if each.name == entry), Entry(entry, (), 0, 0, 0, 0))
    _compare("bytes of global variables", cubin.globals_, report.globals_)
    _compare("the registers", of_entry.registers, report.registers)
    if of_entry.shared != report.shared + _SYSTEM_SHARED:
        _compare("the static shared memory", of_entry.shared, report.shared)
    _compare("the architecture", cubin.sm, int("".join(filter(str.isdigit, arch))))
    return Facts(
        arch=arch,
        entries=tuple(each.name for each in cubin.entries),
        parameters=of_entry.parameters,
        registers=report.registers,
        # Which of them holds the functions that are called through a pointer differs.
        stack=max(report.stack, of_entry.frame, of_entry.stack),
        spill_stores=report.spill_stores,
        spill_loads=report.spill_loads,
        shared=report.shared,
        constant=cubin.constant,
        globals_=cubin.globals_,
        externs=cubin.externs,
        managed=cubin.managed,
        textures=cubin.textures,
    )


def _check_lines(lines: list[str], entries: list[str]) -> None:
    """Check that each kernel is spoken of once, and nothing else. Raises `ScorerError`."""
    begun = [match[1] for match in map(_ENTRY.fullmatch, lines) if match]
    used, functions, frames, globals_ = (
        sum(1 for line in lines if shape.fullmatch(line)) for shape in (_USED, _FUNCTION, _FRAME, _GLOBALS)
    )
    if sorted(begun) != sorted(entries) or used != len(entries) or functions != frames or globals_ > 1:
        raise ScorerError(
            "the report of ptxas does not fit the cubin that it made: "
            f"{used} times registers and {len(begun)} times a kernel, of {len(entries)} in the cubin, "
            f"{frames} stack frames of {functions} functions, {globals_} times global variables"
        )


def _compare(what: str, in_cubin: int, printed: int) -> None:
    if in_cubin != printed:
        raise ScorerError(f"ptxas and the cubin that it made disagree on {what} ({printed} and {in_cubin})")
