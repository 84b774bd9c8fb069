"""What of the machine a sandboxed command sees: the least with which compilers, Python and a driver work."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from stat import S_ISDIR

from pytest_upskill.errors import ScorerError

# By name and not /usr as a whole: under /usr/src people keep their work in containers.
SYSTEM = (
    "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libx32", "/usr/libexec", "/usr/include",
    "/usr/share", "/usr/local", "/nix/store", "/gnu/store",
    "/etc/ld.so.cache", "/etc/alternatives",
)  # fmt: skip
# Folders of their own, or links into /usr.
ROOTS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
NODES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
# What libcuda looks up beside its nodes. /dev/nvidia-uvm is made by the driver's own tool when the first program asks
# for it; nothing in a sandbox can make it.
DRIVER = (
    # Opened by the process that becomes the command: of all processes it sees itself alone.
    "/proc/self",
    "/proc/driver/nvidia", "/proc/driver/nvidia-uvm", "/proc/devices", "/proc/cpuinfo", "/proc/meminfo",
    "/proc/modules", "/proc/filesystems", "/proc/stat",
    "/proc/sys/vm/mmap_min_addr", "/proc/sys/vm/overcommit_memory",
    "/sys/bus/pci", "/sys/devices", "/sys/class/drm",
    "/sys/module/nvidia", "/sys/module/nvidia_uvm", "/sys/module/nvidia_modeset", "/sys/module/nvidia_drm",
)  # fmt: skip
# The driver writes the names of its threads there. All that can be written in it is of the process itself.
OWN_THREADS = "/proc/self/task"


def environment(workdir: Path, given: Mapping[str, str] | None) -> dict[str, str]:
    """Return the whole environment of a command: a few names, and what is given for it."""
    few = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C", "TMPDIR": str(workdir)}
    return few | dict(given or {})


def readable_folders(command: str, folders: Iterable[Path]) -> list[str]:
    """Return what is shown beside the system: each folder by the name it was given, and by its real one.

    Raises:
        ScorerError: one of them is not there.
    """
    names: dict[str, None] = {}
    for folder in folders:
        if not folder.exists():
            raise ScorerError(f"the sandbox cannot show {folder} to {command}: it is not there")
        names |= dict.fromkeys((os.path.abspath(folder), os.path.realpath(folder)))  # noqa: PTH100 - links stay
    return [name for name in names if not _within(name, SYSTEM)]


def device_nodes() -> list[str]:
    """Return the nodes of NVIDIA's driver that there are: cards, control, unified memory, and of parted cards.

    Under WSL 2 there is but one, for all.
    """
    return sorted(str(path) for path in (*Path("/dev").glob("nvidia*"), *Path("/dev").glob("dxg")))


def device_groups() -> list[int]:
    """Return the groups that one has to be in to use the nodes of a device, where not everybody may."""
    nodes = [Path(node).stat() for node in device_nodes()]
    return sorted(
        {node.st_gid for node in nodes if not S_ISDIR(node.st_mode) and node.st_mode & 0o006 != 0o006}
    )


def found(command: Sequence[str], path: str, workdir: Path) -> list[str]:
    """Return the command with the whole path of its program. Raises `ScorerError` where it is nowhere."""
    import shutil

    name = os.path.join(workdir, command[0]) if "/" in command[0] else command[0]  # noqa: PTH118
    program = shutil.which(name, path=path)
    if program is None:
        raise ScorerError(f"{command[0]} cannot be started in the sandbox: it is no program on {path}")
    return [os.path.abspath(program), *command[1:]]  # noqa: PTH100 - a venv's python is a link


def _within(name: str, folders: Iterable[str]) -> bool:
    return any(name == folder or name.startswith(f"{folder}/") for folder in folders)
