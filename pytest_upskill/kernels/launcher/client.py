"""The launcher of a device, from its parent's side."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from pytest_upskill.kernels.data import Device, Tensor
from pytest_upskill.kernels.launcher.process import LauncherProcess
from pytest_upskill.kernels.launcher.wire import Call, Called, Fault, Head, Loaded, is_output, pack_call

if TYPE_CHECKING:
    from pytest_upskill.kernels.devices import Lock
    from pytest_upskill.kernels.sandbox import Sandbox

START_LIMIT = 60.0
LIMIT = 10.0
_YEAR = 3.2e10  # milliseconds


class Launcher:
    """Starts kernels on one device, in a process of its own that is there within a `with` statement.

    One thread at a time may use it. After a fault that is sticky it does nothing any more. All methods raise `Fault`.

    Args:
        device: the one to use.
        sandbox: where the process runs.
        driver: the driver's library; None is the system's.
        lock: what `hold` gave: the device stays held until the process has ended, whatever becomes of this one.
        limit: seconds that a call may take, beside the time that its data needs.
    """

    def __init__(
        self,
        device: Device,
        sandbox: Sandbox,
        driver: str | os.PathLike[str] | None = None,
        lock: Lock | None = None,
        *,
        limit: float = LIMIT,
    ) -> None:
        self._device = device
        self._sandbox = sandbox
        self._driver = driver
        self._lock = lock
        self._limit = limit
        self._process: LauncherProcess | None = None
        self._last = 0

    def __enter__(self) -> Self:
        inherit = () if self._lock is None else (self._lock.descriptor,)
        self._process = LauncherProcess(self._sandbox, self._driver, inherit)
        if self._lock is not None:
            self._lock.users += 1
        try:
            self._ask({"op": "open", "uuid": self._device.uuid}, limit=START_LIMIT)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def load(self, cubin: bytes, entry: str) -> Loaded:
        """Load a kernel to see that the device takes it; each call loads it anew."""
        answer, _ = self._ask({"op": "load", "entry": entry}, [cubin])
        with self._understanding():
            loaded = Loaded(*(_whole(answer[name]) for name in ("number", "registers", "shared", "threads")))
        self._last = loaded.number
        return loaded

    def put(self, key: int, blocks: Sequence[bytes]) -> None:
        """Hand over the tensors `in` and `inout` of a problem, in order, for calls to come."""
        self._ask({"op": "put", "key": key}, blocks)

    def drop(self, key: int) -> None:
        """Let go of the tensors under a key."""
        self._ask({"op": "drop", "key": key})

    def call(self, call: Call) -> Called:
        """Launch a kernel once, on buffers that no earlier call has touched."""
        head = pack_call(call)
        if call.kernel is None:
            head["kernel"] = self._last
        tensors = [argument for argument in call.arguments if isinstance(argument, Tensor)]
        sizes = [tensor.nbytes for tensor in tensors if is_output(tensor)] if call.keep else []
        answer, outputs = self._ask(head, most=sum(sizes), data=sum(tensor.nbytes for tensor in tensors))
        with self._understanding():
            if [len(output) for output in outputs] != sizes:
                raise ValueError("the outputs have not the size that they should have")
            broken, changed = _names(answer["broken_guards"]), _names(answer["changed_inputs"])
            return Called(outputs, broken, changed, _time(answer["milliseconds"]))

    def close(self) -> None:
        """End the process. May be called again."""
        process, self._process = self._process, None
        if process is not None and process.close() and self._lock is not None:
            self._lock.users -= 1

    @contextmanager
    def _understanding(self) -> Iterator[None]:
        """Raise a `Fault` where an answer is not one that a launcher gives."""
        try:
            yield
        except KeyError as missing:
            said = f"the answer has no {missing}"
        except ValueError as error:
            said = str(error)
        else:
            return
        self.close()
        raise Fault("garbled", sticky=True, said=said)

    def _ask(
        self,
        head: Head,
        blocks: Sequence[bytes] = (),
        *,
        most: int = 0,
        data: int = 0,
        limit: float | None = None,
    ) -> tuple[Head, list[bytes]]:
        if self._process is None:
            raise Fault("ended", sticky=True, said="the launcher was ended before")
        try:
            return self._process.ask(head, blocks, limit=limit or self._limit, data=data, most=most)
        except Fault as fault:
            if fault.sticky:
                self.close()
            if fault.word in ("timeout", "ended"):
                # In these nothing but the kernel can have kept it, or brought it down; unless the machine ended it.
                meets = head["op"] in ("load", "call") and (fault.word == "timeout" or fault.of_kernel)
                raise Fault(fault.word, sticky=True, said=fault.said, of_kernel=meets) from None
            raise


def _whole(value: object) -> int:
    if type(value) is not int:
        raise ValueError("the answer has something else where a whole number belongs")
    return value


def _time(value: object) -> float:
    # No comparison holds of what is no number; and no call takes a year.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _YEAR:
        raise ValueError("the answer has something else where a time belongs")
    return float(value)


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError("the answer has something else where names belong")
    return tuple(value)
