"""The CUDA devices of this machine, and who may use one: nobody else, as long as it is held."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels.data import Device
from pytest_upskill.kernels.launcher.client import START_LIMIT, Launcher
from pytest_upskill.kernels.launcher.process import LauncherProcess
from pytest_upskill.kernels.launcher.wire import Fault, unpack_device

if TYPE_CHECKING:
    from pytest_upskill.kernels.sandbox import Level, Sandbox

# One for all users of the machine: a device does not care whose job it is.
LOCKS = Path("/tmp/pytest-upskill-locks")  # noqa: S108 - see _opened for what that asks
NODES = Path("/dev")
DRIVER_MODULE = Path("/proc/driver/nvidia/version")
_PAUSE = 0.05
_IN_USE = frozenset(("CUDA_ERROR_DEVICE_UNAVAILABLE", "CUDA_ERROR_OUT_OF_MEMORY"))


@dataclass(slots=True)
class Lock:
    """A device that is held: the descriptor of its lock, and how many launchers have it too."""

    descriptor: int
    users: int = 0


class Blocked(ScorerError):
    """The driver does not work in this sandbox; it may in another one."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The devices of this machine, and the level of the sandbox in which their driver works."""

    level: Level
    devices: tuple[Device, ...]


def look(sandboxes: Sequence[Sandbox], driver: str | os.PathLike[str] | None = None) -> Seen:
    """Return what the driver sees in the first of these sandboxes in which it works.

    Raises:
        ScorerError: it works in none, and the words are those of the first; or it is slow, or the device is in use:
            another sandbox would mend neither.
    """
    failures: list[Blocked] = []
    for sandbox in sandboxes:
        try:
            return Seen(sandbox.level, tuple(devices(sandbox, driver)))
        except Blocked as error:
            failures.append(error)
    raise failures[0]


def devices(sandbox: Sandbox, driver: str | os.PathLike[str] | None = None) -> list[Device]:
    """Return the devices of this machine, none where there is no driver. A process of its own looks.

    The first of them is opened, unless somebody holds it: that asks more of the machine than to count them.

    Raises:
        Blocked: there is a driver or a GPU, and it does not work here.
        ScorerError: it did not answer in time, or answered what is no description.
    """
    process = LauncherProcess(sandbox, driver)
    try:
        found = _described(process)
    finally:
        process.close()
    if found:
        _try_to_open(found[0], sandbox, driver)
    if not found:
        _check_nodes()
    # The library tells the version of CUDA alone, and one CUDA has had many drivers of different speeds.
    module = _driver_module()
    return [replace(each, driver=f"{module}, CUDA {each.driver}") if module else each for each in found]


def _described(process: LauncherProcess) -> list[Device]:
    try:
        answer, _ = process.ask({"op": "describe"}, limit=START_LIMIT)
    except Fault as fault:
        kind = Blocked if _is_of_the_place(fault) else ScorerError
        raise kind(
            f"the CUDA devices of this machine cannot be told: {fault}; see whether nvidia-smi works"
        ) from None
    try:
        return [unpack_device(fields) for fields in answer["devices"]]
    except (KeyError, TypeError, ValueError):
        raise ScorerError(
            "the CUDA devices of this machine cannot be told: what came is no description of them; see whether "
            "nvidia-smi works"
        ) from None


def _try_to_open(device: Device, sandbox: Sandbox, driver: str | os.PathLike[str] | None) -> None:
    with ExitStack() as stack:
        try:
            lock = stack.enter_context(hold(device, 0))
        except ScorerError:
            return  # somebody has it, so that it can be opened
        try:
            # As every launcher it holds the lock too: nobody is let at a device that is not closed yet.
            with Launcher(device, sandbox, driver, lock):
                pass
        except Fault as fault:
            if _is_of_the_place(fault):
                raise Blocked(
                    f"{device.name} cannot be opened: {fault}; see whether other CUDA programs can use it"
                ) from None


def _is_of_the_place(fault: Fault) -> bool:
    """Tell whether it may be the sandbox that keeps something from the driver."""
    return fault.word == "ended" or (fault.word.startswith("CUDA_ERROR_") and fault.word not in _IN_USE)


def _check_nodes() -> None:
    """Raise `Blocked` where there is a GPU that CUDA does not find: that is no machine without one."""
    nodes = sorted(NODES.glob("nvidia[0-9]*"))
    if nodes and os.environ.get("CUDA_VISIBLE_DEVICES") not in ("", "-1"):
        raise Blocked(
            f"there is a GPU ({nodes[0]}) and CUDA finds none: see whether nvidia-smi works; where "
            "/dev/nvidia-uvm is missing, 'nvidia-modprobe -u -c=0' as root makes it"
        )


def _driver_module() -> str:
    """Return the version of the kernel's driver, empty where it is not told."""
    try:
        text = DRIVER_MODULE.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    match = re.search(r"\b\d{3,4}\.\d+(?:\.\d+)?\b", text)
    return match.group() if match else ""


@contextmanager
def hold(device: Device, wait: float, folder: Path | None = None) -> Iterator[Lock]:
    """Hold a device: no other process and no other thread on this machine does at the same time.

    Args:
        device: the one to hold.
        wait: seconds to wait for it.
        folder: where the locks lie; None is `LOCKS`, for all users of the machine.

    Raises:
        ScorerError: somebody has it for longer, or its lock cannot be used.
    """
    deadline = time.monotonic() + wait
    path = (folder or LOCKS) / f"{device.uuid}.lock"
    while True:
        descriptor = _opened(path)
        try:
            _wait_for(descriptor, deadline, device, wait)
        except BaseException:
            os.close(descriptor)
            raise
        if _is_still(path, descriptor):
            break
        # Somebody has cleaned the folder meanwhile: this file is nobody's lock any more.
        os.close(descriptor)
    lock = Lock(descriptor)
    try:
        _sign(descriptor)
        yield lock
    finally:
        _let_go(lock)


def _wait_for(descriptor: int, deadline: float, device: Device, wait: float) -> None:
    import fcntl

    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise ScorerError(
                    f"device {device.index} ({device.name}) was in use for all of {wait:g} s by {_holder(descriptor)}; "
                    "wait for its end, or end it"
                ) from None
            time.sleep(_PAUSE)
        else:
            return


def _let_go(lock: Lock) -> None:
    import fcntl

    # Another process that was forked meanwhile may have the descriptor too: closing it would not be enough. But
    # where a launcher outlived its end, the lock stays with it.
    if not lock.users:
        with suppress(OSError):
            os.ftruncate(lock.descriptor, 0)
            fcntl.flock(lock.descriptor, fcntl.LOCK_UN)
    os.close(lock.descriptor)


def _opened(path: Path) -> int:
    """Return a descriptor of a lock file that others can use as well, whoever made it."""
    try:
        folder = _open_folder(path.parent)
        try:
            descriptor = _open(path.name, folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise ScorerError(f"the lock of a device cannot be used: {error}; remove what is there") from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        # What has another name may be any file: it would be emptied here.
        what = "has another name too" if stat.S_ISREG(status.st_mode) else "is no file"
        raise ScorerError(f"the lock of a device cannot be used: {path} {what}; remove it")
    return descriptor


def _open_folder(path: Path) -> int:
    """Return a descriptor of the folder of locks, in which nobody but root and this user may replace a lock."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    made = False
    with suppress(FileExistsError):
        # As in /tmp itself, anybody may add a file and nobody may remove another's.
        path.mkdir(mode=0o1777, parents=True)
        made = True
    try:
        folder = os.open(path, flags)
    except NotADirectoryError:
        raise NotADirectoryError(f"{path} is no folder") from None
    try:
        if made:
            # The mask must not count.
            os.fchmod(folder, 0o1777)
        _check_folder(path, os.fstat(folder))
    except BaseException:
        os.close(folder)
        raise
    return folder


def _check_folder(path: Path, status: os.stat_result) -> None:
    if status.st_uid not in (0, os.geteuid()):
        raise PermissionError(
            f"{path} belongs to the user {status.st_uid}, who can take a lock away from whoever holds it (root can "
            f"make it for all: install -d -m 1777 {path})"
        )
    if status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX:
        raise PermissionError(
            f"{path} lets others take a lock away from whoever holds it (chmod +t {path} forbids that)"
        )


def _open(name: str, folder: int) -> int:
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    for _ in range(10):
        # Not both in one: in a folder for all, the kernel may refuse to create what another user has made.
        with suppress(FileNotFoundError):
            return os.open(name, flags, dir_fd=folder)
        with suppress(FileExistsError):
            descriptor = os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=folder)
            os.fchmod(descriptor, 0o666)
            return descriptor
    raise FileNotFoundError(f"{name} comes and goes")


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _sign(descriptor: int) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)


def _holder(descriptor: int) -> str:
    text = os.pread(descriptor, 32, 0).strip()
    return f"process {int(text)}" if text.isdigit() else "another process"
