"""The calls to the Linux kernel that Python has no name for; loaded in a supervisor alone."""

from __future__ import annotations

import ctypes
import os
import struct

_LIBC = ctypes.CDLL(None, use_errno=True)
# linux/prctl.h, linux/capability.h; Landlock's numbers are the same on all machines.
_PDEATHSIG, _KEEPCAPS, _SECCOMP, _SECUREBITS, _SUBREAPER = 1, 8, 22, 28, 36
_NO_NEW_PRIVILEGES, _AMBIENT = 38, 47
_FILTER, _RAISE, _NO_SETUID_FIXUP = 2, 2, 4
_CAPABILITIES_3 = 0x20080522
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION, _PATH_BENEATH = 1, 1
_CAPSET = {"x86_64": 126, "aarch64": 91}
_KILL = 9
_IGNORED_BY_PYTHON = 13, 25


def landlock_abi() -> int:
    """Return the version of Landlock that the kernel has. Raises `OSError` where it has none or it is off."""
    return _syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))


def adopt_orphans() -> None:
    """Make this process the parent of all descendants that lose theirs."""
    _prctl(_SUBREAPER, 1)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, or end it at once if that was too late."""
    _prctl(_PDEATHSIG, _KILL)
    if os.getppid() != parent:
        os._exit(1)


def restore_signals() -> None:
    """Undo what Python ignores, and what it executes would then: a closed pipe and a file that is too large."""
    for number in _IGNORED_BY_PYTHON:
        _LIBC.signal(ctypes.c_int(number), None)


def become(uid: int, capability: int, groups: list[int]) -> None:
    """Become another user in these groups, who has no capability but at most one (-1: none), which is kept by exec."""
    if capability >= 0:
        _prctl(_KEEPCAPS, 1)
        try:  # noqa: SIM105 - contextlib costs the supervisor 3 ms
            # Or access(2), by which gcc finds its folder for temporary files, answers without the capability.
            _prctl(_SECUREBITS, _NO_SETUID_FIXUP)
        except OSError:
            pass
    os.setgroups(groups)
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    if capability >= 0:
        keep_capabilities(1 << capability)
        _prctl(_AMBIENT, _RAISE, capability)


def keep_capabilities(mask: int) -> None:
    """Give up all capabilities but those of the mask (of the first 32)."""
    head = struct.pack("<Ii", _CAPABILITIES_3, 0)
    _syscall(_CAPSET[os.uname().machine], head, struct.pack("<6I", mask, mask, mask, 0, 0, 0))


def gain_no_privileges() -> None:
    """Have no program that is executed from here on raise its rights; Landlock and seccomp ask for it."""
    _prctl(_NO_NEW_PRIVILEGES, 1)


def restrict(ruleset: bytes, rules: list[tuple[str, int]]) -> None:
    """Enter a Landlock domain that lets through what the rules say."""
    domain = _syscall(_CREATE_RULESET, ruleset, ctypes.c_size_t(len(ruleset)), ctypes.c_uint32(0))
    for path, rights in rules:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        _syscall(_ADD_RULE, domain, _PATH_BENEATH, struct.pack("<Qi", rights, descriptor), ctypes.c_uint32(0))
        os.close(descriptor)
    _syscall(_RESTRICT_SELF, domain, ctypes.c_uint32(0))
    os.close(domain)


def filter_calls(program: bytes) -> None:
    """Enter a seccomp filter."""
    code = ctypes.create_string_buffer(program, len(program))
    head = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(code)))
    _prctl(_SECCOMP, _FILTER, ctypes.c_void_p(ctypes.addressof(head)))


def _prctl(option: int, *values: int | ctypes.c_void_p) -> None:
    longs = [value if isinstance(value, ctypes.c_void_p) else ctypes.c_ulong(value) for value in values]
    # prctl refuses some options whose unused arguments are not zero, and a variadic call leaves them as they are.
    longs += [ctypes.c_ulong(0)] * (4 - len(longs))
    _check(_LIBC.prctl(ctypes.c_int(option), *longs), f"prctl {option}")


def _syscall(number: int, *values: object) -> int:
    longs = [ctypes.c_long(value) if isinstance(value, int) else value for value in values]
    return _check(_LIBC.syscall(ctypes.c_long(number), *longs), f"system call {number}")


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result
