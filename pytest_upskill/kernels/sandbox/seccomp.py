"""A filter of system calls: what neither namespaces nor Landlock close, as a program for the kernel."""

from __future__ import annotations

import errno
import struct
import sys
from collections.abc import Iterable

from pytest_upskill.kernels.sandbox.syscalls import MACHINES, number

# linux/filter.h and linux/seccomp.h: classic BPF over `struct seccomp_data`.
_LOAD, _MASK, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
_AT_NUMBER, _AT_MACHINE, _AT_ARGUMENTS = 0, 4, 16
_ALLOW, _ERROR, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
# On x86_64 the x32 calls share the machine's mark and have this bit set.
_X32 = 0x40000000
_ALL = 0xFFFFFFFF

# CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID, NET: in a user namespace of its own a process has all capabilities, and
# so reaches far more of the kernel.
_NEW_NAMESPACES = 0x7E020000
_AF_UNIX, _SOCK_STREAM, _SOCK_SEQPACKET, _SOCK_KIND = 1, 1, 5, 0xF
_SOL_SOCKET, _SO_PASSCRED = 1, 16
_TIOCSTI, _TIOCLINUX, _FIOSETOWN, _SIOCSPGRP = 0x5412, 0x541C, 0x8901, 0x8902
# FS_IOC_SETFLAGS, its 32-bit twin, FSSETXATTR, SETVERSION, ENABLE_VERITY, SET_ENCRYPTION_POLICY: whoever owns a file
# changes it by these, though it is open for reading alone.
_OF_FILES = (0x40086602, 0x40046602, 0x401C5820, 0x40087602, 0x40806685, 0x800C6613)
# Is it a terminal and how large (TCGETS, TCGETS2, TIOCGPGRP, TIOCGWINSZ), what is to be read (FIONREAD), and how a
# descriptor is kept (FIONBIO, FIONCLEX, FIOCLEX): all that compilers and Python ask for.
_HARMLESS = (0x5401, 0x802C542A, 0x540F, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
# A process that cannot be dumped hides its files from the watch; one without a death signal outlives its supervisor.
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4
_F_SETOWN, _F_SETSIG, _F_SETOWN_EX = 8, 10, 15
# A lease keeps others from writing to a file that can only be read here; the other one watches a folder.
_F_SETLEASE, _F_NOTIFY = 1024, 1026

_NEVER = (
    # Other processes.
    "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp", "process_madvise",
    "process_mrelease", "migrate_pages", "move_pages",
    # Mounts, namespaces, and files that are reached without a path.
    "mount", "umount2", "pivot_root", "chroot", "unshare", "setns", "move_mount", "fsopen", "fsconfig", "fsmount",
    "fspick", "open_tree", "mount_setattr", "open_by_handle_at", "name_to_handle_at", "fanotify_init", "quotactl",
    "quotactl_fd", "swapon", "swapoff", "acct",
    # The user's keys, and what the kernel says of itself.
    "add_key", "request_key", "keyctl", "syslog", "bpf", "perf_event_open", "userfaultfd",
    # io_uring does what a filter of system calls refuses.
    "io_uring_setup", "io_uring_enter", "io_uring_register",
    # Memory that belongs to no process, so that no limit counts it; and what others of the same user keep there, which
    # a number reaches as well as a name.
    "shmget", "shmat", "shmctl", "semget", "semop", "semtimedop", "semctl", "msgget", "msgsnd", "msgrcv", "msgctl",
    "mq_open", "mq_unlink", "memfd_secret",
    # Whom a socket leads to, and descriptors on their way that no limit counts.
    "accept", "accept4", "sendmsg", "sendmmsg",
    # What others do with files that can be read.
    "inotify_add_watch",
    # The machine.
    "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot", "iopl", "ioperm",
    "modify_ldt", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname",
    "vhangup",
)  # fmt: skip
# Sockets that lead out, and their buffers, that no limit counts.
_OF_SOCKETS = ("connect", "bind", "listen", "setsockopt")
# Landlock does not know of these: they change files anywhere that belong to the user.
_BESIDE_LANDLOCK = (
    "chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat", "utime", "utimes",
    "futimesat", "utimensat", "setxattr", "lsetxattr", "fsetxattr", "setxattrat", "removexattr", "lremovexattr",
    "fremovexattr", "removexattrat", "file_setattr", "truncate", "setpriority", "ioprio_set",
)  # fmt: skip
# With another process' id these slow or end it where it belongs to the same user.
_OF_ITSELF = ("prlimit64", "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler")
_SIGNALS = ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal")


def known(machine: str) -> bool:
    """Return whether there is a filter for this machine (`platform.machine()`)."""
    # The numbers are those of a 64-bit process of either machine in little-endian order.
    return machine in MACHINES and sys.byteorder == "little" and sys.maxsize > 2**32


def program(machine: str, *, landlock: bool, signals: bool = True, devices: bool = False) -> bytes:
    """Return the filter as `struct sock_filter`s.

    Args:
        machine: `x86_64` or `aarch64`.
        landlock: no namespace parts the command from the user's files and processes.
        signals: False where nothing else keeps it from signalling the user's other processes.
        devices: a driver's library runs in it.
    """
    rules = _Rules(machine)
    rules.refuse(_NEVER)
    # With ENOSYS the C library falls back to clone, whose flags a filter can see.
    rules.refuse(("clone3",), errno.ENOSYS)
    rules.bits("clone", 0, _NEW_NAMESPACES)
    rules.where("prctl", 0, (_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE))
    owners = () if signals else (_F_SETOWN, _F_SETSIG, _F_SETOWN_EX)
    rules.where("fcntl", 1, (_F_SETLEASE, _F_NOTIFY, *owners))
    if devices:
        _let_a_driver_start(rules)
        rules.where("ioctl", 1, (_TIOCSTI, _TIOCLINUX, _FIOSETOWN, _SIOCSPGRP, *_OF_FILES))
    else:
        rules.refuse(("socket", "socketpair"), errno.EAFNOSUPPORT)
        rules.refuse((*_OF_SOCKETS, "sendto"))
        rules.where("ioctl", 1, _HARMLESS, errno.ENOTTY, but=True)
        # Files without a name in no folder of ours: neither the disk's limit nor that of memory counts them.
        rules.refuse(("memfd_create",))
    if landlock:
        rules.refuse(_BESIDE_LANDLOCK)
        for name in _OF_ITSELF:
            rules.where(name, 0, (0,), but=True)
    if not signals:
        rules.refuse(_SIGNALS)
    return rules.done()


def _let_a_driver_start(rules: _Rules) -> None:
    """Let sockets through that lead nowhere: without them cuInit ends with CUDA_ERROR_OPERATING_SYSTEM.

    It binds one to an abstract name and listens, for other processes of a program that would share its memory; nobody
    is ever accepted. And it asks for the server that parts a device between processes, of which there is none here.
    """
    kind = (1, _SOCK_KIND, _SOCK_SEQPACKET)
    rules.only("socket", (0, _ALL, _AF_UNIX), kind, error=errno.EAFNOSUPPORT)
    rules.only("setsockopt", (1, _ALL, _SOL_SOCKET), (2, _ALL, _SO_PASSCRED))
    rules.refuse(("connect",), errno.ENOENT)
    # A pair of another kind sends to any address by name. The launcher talks over one that it is given.
    kind = (1, _SOCK_KIND, _SOCK_STREAM)
    rules.only("socketpair", (0, _ALL, _AF_UNIX), kind, error=errno.EAFNOSUPPORT)
    rules.null("sendto", 4)


class _Rules:
    def __init__(self, machine: str) -> None:
        self._machine = machine
        self._code = [
            _step(_LOAD, _AT_MACHINE),
            _step(_EQUAL, MACHINES[machine], 1, 0),
            _step(_RETURN, _KILL),
            _step(_LOAD, _AT_NUMBER),
            _step(_AT_LEAST, _X32, 0, 1),
            _step(_RETURN, _ERROR | errno.ENOSYS),
        ]

    def refuse(self, names: Iterable[str], error: int = errno.EPERM) -> None:
        for name in names:
            call = number(name, self._machine)
            if call is not None:
                self._code += [_step(_EQUAL, call, 0, 1), _step(_RETURN, _ERROR | error)]

    def where(
        self, name: str, index: int, values: Iterable[int], error: int = errno.EPERM, *, but: bool = False
    ) -> None:
        """Refuse a call whose argument is one of the values, or with `but` one whose argument is none of them."""
        found, other = (_ALLOW, _ERROR | error) if but else (_ERROR | error, _ALLOW)
        tests = [step for value in values for step in (_step(_EQUAL, value, 0, 1), _step(_RETURN, found))]
        self._about(name, index, [*tests, _step(_RETURN, other)])

    def bits(self, name: str, index: int, mask: int) -> None:
        self._about(name, index, [_step(_ANY_BIT, mask, 0, 1), _refusal(), _step(_RETURN, _ALLOW)])

    def only(self, name: str, *wanted: tuple[int, int, int], error: int = errno.EPERM) -> None:
        """Refuse a call but where each of these arguments has a value: (index, mask, value)."""
        steps = [
            step
            for index, mask, value in wanted
            for step in (
                _argument(index),
                _step(_MASK, mask),
                _step(_EQUAL, value, 1, 0),
                _step(_RETURN, _ERROR | error),
            )
        ]
        self._decide(name, [*steps, _step(_RETURN, _ALLOW)])

    def null(self, name: str, index: int) -> None:
        """Refuse a call whose argument, a pointer, is not null."""
        steps = [
            _argument(index),
            _step(_ANY_BIT, _ALL, 2, 0),
            _argument(index, 4),
            _step(_ANY_BIT, _ALL, 0, 1),
        ]
        self._decide(name, [*steps, _refusal(), _step(_RETURN, _ALLOW)])

    def _about(self, name: str, index: int, tests: list[bytes]) -> None:
        # The arguments looked at are ints to the kernel, which ignores their upper halves: so does the filter.
        self._decide(name, [_argument(index), *tests])

    def _decide(self, name: str, steps: list[bytes]) -> None:
        """Add steps for one call; the last of them decides."""
        call = number(name, self._machine)
        if call is not None:
            self._code += [_step(_EQUAL, call, 0, len(steps)), *steps]

    def done(self) -> bytes:
        return b"".join([*self._code, _step(_RETURN, _ALLOW)])


def _step(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("<HBBI", code, then, otherwise, value)


def _argument(index: int, half: int = 0) -> bytes:
    """Load the lower half of an argument, or with 4 the upper one."""
    return _step(_LOAD, _AT_ARGUMENTS + 8 * index + half)


def _refusal() -> bytes:
    return _step(_RETURN, _ERROR | errno.EPERM)
