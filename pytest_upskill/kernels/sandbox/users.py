"""Whether root can run a command as a user of its own, and what that user needs to reach its folders."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from pytest_upskill.kernels.sandbox.plan import FIRST_OWN_UID

CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, SETGID, SETUID = 0, 1, 2, 6, 7
_MOST_PIDS = 2**22


@cache
def own_uid_works() -> bool:
    """Return whether this process can become users that the machine gives to nobody.

    In a container without them (a map of 65536 users) or without the capabilities, root stays who it is.
    """
    return os.geteuid() == 0 and _has(CHOWN, SETGID, SETUID) and _mapped()


def reach_of(folders: Iterable[str]) -> int:
    """Return the capability with which another user reaches all of these, -1 where everybody does.

    Root's own folders are closed to others (`/root`, pytest's temporary folders). Landlock still bounds what is read.
    """
    if all(_open_to_all(Path(folder)) for folder in folders):
        return -1
    return reach()


@cache
def reach() -> int:
    """Return the capability of this process with which one reaches any folder, -1 where it has none."""
    return next((capability for capability in (DAC_READ_SEARCH, DAC_OVERRIDE) if _has(capability)), -1)


def _open_to_all(folder: Path) -> bool:
    real = folder.resolve()
    return all(place.stat().st_mode & 0o005 == 0o005 for place in (real, *real.parents))


def _has(*capabilities: int) -> bool:
    effective = int(_status()["CapEff"], 16)
    return all(effective >> capability & 1 for capability in capabilities)


@cache
def _status() -> dict[str, str]:
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _mapped() -> bool:
    for line in Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines():
        first, _, count = (int(word) for word in line.split())
        if first <= FIRST_OWN_UID and first + count > FIRST_OWN_UID + _MOST_PIDS:
            return True
    return False
