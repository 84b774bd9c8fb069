"""Which level of the sandbox is taken: the first that, when tried, runs a program and denies what it must."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from pytest_upskill.errors import ScorerError, one_line
from pytest_upskill.kernels.sandbox import landlock, seccomp, users
from pytest_upskill.kernels.sandbox.bubblewrap import Bubblewrap
from pytest_upskill.kernels.sandbox.levels import Bare, Kind, Landlock
from pytest_upskill.kernels.sandbox.limits import MIB, Level, LevelReport, Limits, SandboxMissing, ending
from pytest_upskill.kernels.sandbox.sandbox import Sandbox
from pytest_upskill.kernels.scratch import scratch

# The wall is wide: on a machine that is busy with other tests a start may wait long, and is no failure of the sandbox.
_PROBE = Limits(
    cpu_seconds=5, wall_seconds=60, memory_bytes=512 * MIB, file_bytes=MIB, disk_bytes=8 * MIB, processes=16
)
_LET_THROUGH = 9
# It must fork, write where it may, and not read what it may not.
_SCRIPT = f'if (read word < "$1") 2>/dev/null; then exit {_LET_THROUGH}; fi; (exit 0) && echo fine > written'
_APPARMOR = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")


class _Unusable(Exception):
    """A level does not work here; the text says why."""


def sandboxes(unsafe: bool) -> list[Sandbox]:
    """Return a sandbox of each level that works on this machine, the best first; each is tried once for each process.

    With `unsafe` the last is none at all.

    Raises:
        SandboxMissing: none works, and `unsafe` does not allow to do without. On another system than Linux always.
    """
    found = _tried()
    boxes = [Sandbox(kind) for kind, _ in found if kind]
    if unsafe and sys.platform == "linux":
        boxes.append(Sandbox(Bare()))
    if not boxes:
        raise SandboxMissing(report for _, report in found)
    return boxes


def at_level(level: Level) -> Sandbox | None:
    """Return the sandbox of one level, None where that does not work here."""
    kinds = [kind for kind, report in _tried() if report.level == level]
    return Sandbox(kinds[0]) if kinds and kinds[0] else None


def reports() -> list[LevelReport]:
    """Return for each level whether it works here, and why."""
    return [report for _, report in _tried()]


@cache
def _tried() -> tuple[tuple[Kind | None, LevelReport], ...]:
    return _try("bubblewrap"), _try("landlock")


def _try(level: str) -> tuple[Kind | None, LevelReport]:
    bubblewrap = level == "bubblewrap"
    try:
        _check_machine(level)
        kind, what = _bubblewrap() if bubblewrap else _landlock()
        _probe(kind, what)
    except _Unusable as why:
        return None, LevelReport("bubblewrap" if bubblewrap else "landlock", works=False, why=str(why))
    return kind, LevelReport(kind.level, works=True, why=f"{what} works")


def _check_machine(level: str) -> None:
    if sys.platform != "linux":
        raise _Unusable(f"{level} needs Linux")
    if not seccomp.known(platform.machine()):
        raise _Unusable(
            f"{level}: there is no filter of system calls for {platform.machine()}, only for x86_64 and aarch64"
        )


def _bubblewrap() -> tuple[Kind, str]:
    program = shutil.which("bwrap")
    if program is None:
        raise _Unusable("bubblewrap: bwrap is not installed (apt, dnf and pacman know it as bubblewrap)")
    own = users.own_uid_works()
    name = "setpriv" if own else "prlimit"
    helper = shutil.which(name, path="/usr/bin:/bin:/usr/local/bin")
    if helper is None:
        raise _Unusable(f"bubblewrap: {name}, which belongs to util-linux, is not installed")
    return Bubblewrap(program, helper, own), f"bubblewrap: {program} {_version(program)}"


def _version(program: str) -> str:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False)
    return one_line(said.stdout.strip().rpartition(" ")[2])


def _landlock() -> tuple[Kind, str]:
    from pytest_upskill.kernels.sandbox import kernel

    try:
        abi = kernel.landlock_abi()
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            raise _Unusable(
                "landlock: it is switched off (the kernel's command line has an lsm= without landlock)"
            ) from None
        why = "has no Landlock" if error.errno == errno.ENOSYS else f"refuses Landlock ({error.strerror})"
        raise _Unusable(f"landlock: the kernel {platform.release()} {why}") from None
    if abi < landlock.OLDEST:
        raise _Unusable(
            f"landlock: ABI {abi} of the kernel {platform.release()} does not guard truncate; Linux 6.2 does"
        )
    return Landlock(abi, users.own_uid_works()), f"landlock: ABI {abi} with a filter of system calls"


def _probe(kind: Kind, what: str) -> None:
    with scratch("upskill-probe-") as folder:
        workdir, secret = folder / "work", folder / "secret"
        workdir.mkdir()
        secret.write_text("secret\n", encoding="ascii")
        # Open to all: the sandbox must deny it, not the rights of the file.
        folder.chmod(0o755)
        with Sandbox(kind) as sandbox:
            try:
                ran = sandbox.run(
                    ["sh", "-c", _SCRIPT, "sh", str(secret)], workdir=workdir, readable=(), limits=_PROBE
                )
            except ScorerError as error:
                raise _Unusable(f"{what} does not work: {one_line(str(error))}{_hint(kind)}") from None
        if ran.code == _LET_THROUGH:
            raise _Unusable(f"{what} does not work: it let a program read what it was not shown")
        if ran.code or ran.ended != "exited" or not Path(workdir, "written").is_file():
            said = one_line(ran.stderr.decode(errors="replace").strip())
            raise _Unusable(f"{what} does not work: {said or ending(ran)}{_hint(kind)}")


def _hint(kind: Kind) -> str:
    if kind.level != "bubblewrap" or os.geteuid() == 0:
        return ""
    try:
        refused = _APPARMOR.read_text(encoding="ascii").strip() != "0"
    except OSError:
        refused = False
    return (
        " (user namespaces are refused by AppArmor: kernel.apparmor_restrict_unprivileged_userns)"
        if refused
        else ""
    )
