"""The main of the launcher's process: it answers one message after another until its parent is gone."""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from pytest_upskill.kernels import frames
from pytest_upskill.kernels.data import Device
from pytest_upskill.kernels.launcher.device import OpenDevice, find, found
from pytest_upskill.kernels.launcher.driver import Driver, DriverError
from pytest_upskill.kernels.launcher.wire import Head, pack_device

_MOST = 2**40
# Where the driver meets the kernel, or tells what became of it; else it has to do with the device alone.
_OF_KERNEL = frozenset(
    f"cu{name}"
    for name in (
        "ModuleLoadData", "ModuleGetFunction", "FuncGetAttribute", "FuncSetAttribute", "LaunchKernel", "CtxSynchronize",
        "EventRecord",
    )
)  # fmt: skip
Answer = tuple[Head, Sequence[memoryview]]


def main(number: int, keep: Sequence[int], library: str) -> None:
    """Serve the socket of this number; other descriptors than those to keep are closed."""
    _close_others(number, keep)
    _keep_own_threads()
    with socket.socket(fileno=number) as parent:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
        with suppress(frames.Broken):
            _Service(library).serve(parent)
    os._exit(0)


class _Service:
    def __init__(self, library: str) -> None:
        self._library = library
        self._device: OpenDevice | None = None

    def serve(self, parent: socket.socket) -> None:
        while True:
            head, blocks = frames.receive(parent, _MOST)
            answer, back = self._answer(head, blocks)
            frames.send(parent, answer, back)
            if answer.get("fault", {}).get("sticky"):
                return

    def _answer(self, head: Head, blocks: Sequence[bytes]) -> Answer:
        operations: dict[str, Callable[[Head, Sequence[bytes]], Answer]] = {
            "describe": self._describe,
            "open": self._open,
            "load": lambda head, blocks: (self._opened.load(head, blocks[0]), ()),
            "put": lambda head, blocks: (self._opened.put(head, blocks), ()),
            "drop": lambda head, _: (self._opened.drop(head), ()),
            "call": lambda head, _: self._opened.call(head),
        }
        try:
            return operations[head["op"]](head, blocks)
        except DriverError as error:
            of_kernel = error.function in _OF_KERNEL
            return _fault(error.word, sticky=self._broken(), said=str(error), of_kernel=of_kernel), ()
        except Exception as error:  # noqa: BLE001 - whatever it is, the parent is to hear of it
            said = f"{type(error).__name__}: {error}"
            return _fault("refused", sticky=False, said=said, of_kernel=False), ()

    def _describe(self, head: Head, blocks: Sequence[bytes]) -> Answer:
        return {"devices": [pack_device(device) for device in self._devices()]}, ()

    def _devices(self) -> list[Device]:
        try:
            return found(Driver(self._library))
        except OSError:
            return []

    def _open(self, head: Head, blocks: Sequence[bytes]) -> Answer:
        self._device = OpenDevice(*find(self._library, head["uuid"]))
        return {}, ()

    @property
    def _opened(self) -> OpenDevice:
        if self._device is None:
            raise ValueError("no device is open")
        return self._device

    def _broken(self) -> bool:
        return self._device is None or self._device.broken


def _fault(word: str, *, sticky: bool, said: str, of_kernel: bool) -> Head:
    return {"fault": {"word": word, "sticky": sticky, "said": said, "of_kernel": of_kernel}}


def _close_others(number: int, keep: Sequence[int]) -> None:
    # What device code prints comes out on descriptor 1.
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    last = 3
    for kept in sorted({number, *keep}):
        os.closerange(last, kept)
        last = kept + 1
    os.closerange(last, os.sysconf("SC_OPEN_MAX"))


def _keep_own_threads() -> None:
    # Landlock lets the driver write there by what the kernel holds in its memory for the folder, and an open one is not
    # let go and made anew.
    with suppress(OSError):
        os.open("/proc/self/task", os.O_RDONLY | os.O_DIRECTORY)


def _end_with(parent: socket.socket) -> None:
    # A kernel that never ends keeps the main thread in the driver: nothing but this thread sees the parent go.
    poll = select.poll()
    poll.register(parent.fileno(), select.POLLRDHUP)
    poll.poll()
    os._exit(0)
