"""The launcher's process from its parent's side: started in a sandbox, asked, killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels import frames
from pytest_upskill.kernels.launcher.wire import Fault, Head
from pytest_upskill.kernels.scratch import scratch
from pytest_upskill.scorers.evidence import fold

if TYPE_CHECKING:
    from pytest_upskill.kernels.sandbox import Sandbox, Started

_PACKAGE = Path(__file__).parents[2]
_LIBRARY = "libcuda.so.1"
# Not by sys.path: what lies beside the package is nobody's business, and a sandbox may not let it be listed.
_BOOT = (
    "import json, sys, types; start = json.loads(sys.argv[1]); package = types.ModuleType('pytest_upskill'); "
    "package.__path__ = [start.pop('package')]; sys.modules['pytest_upskill'] = package; "
    "from pytest_upskill.kernels.launcher.main import main; main(**start)"
)
_BYTES_A_SECOND = 50e6
_END_LIMIT = 10.0
_LONGEST = 4 * 3600.0
_MEMORY = 64 * 2**30
_FILES = 4 * 2**30
_OPEN_FILES = 4096
_PROCESSES = 512
# What chooses among the devices of a machine.
_CHOOSING = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES", "LD_LIBRARY_PATH")
_ENVIRONMENT = {
    "CUDA_MODULE_LOADING": "EAGER",  # else the first launch of a kernel would load it, and be timed with that
    "CUDA_CACHE_DISABLE": "1",
    "CUDA_DISABLE_PTX_JIT": "1",  # what runs is what was compiled and looked at
}


class LauncherProcess:
    """A launcher's process; one thread at a time may ask it.

    Args:
        sandbox: where it runs.
        driver: the driver's library; None is the system's.
        inherit: descriptors that it keeps open as long as it lives.
    """

    def __init__(
        self, sandbox: Sandbox, driver: str | os.PathLike[str] | None, inherit: Sequence[int] = ()
    ) -> None:
        self._folder = ExitStack()
        folder = self._folder.enter_context(scratch("upskill-launcher-"))
        self._socket, theirs = socket.socketpair()
        self._timed_out = False
        try:
            with theirs:
                self._started = _start(sandbox, driver, folder, theirs.fileno(), inherit)
        except BaseException:
            self._socket.close()
            self._folder.close()
            raise

    def ask(
        self, head: Head, blocks: Sequence[bytes] = (), *, limit: float, data: int = 0, most: int = 0
    ) -> tuple[Head, list[bytes]]:
        """Return the answer to a message.

        Args:
            head: the message, in JSON.
            blocks: and its bytes.
            limit: seconds for an answer, beside the time that the bytes take which are moved for it.
            data: how many these are, beside those of the message.
            most: bytes that the answer may have.

        Raises:
            Fault: the process refused, did not answer in time, or ended.
        """
        seconds = limit + (sum(map(len, blocks)) + data + most) / _BYTES_A_SECOND
        watch = threading.Timer(seconds, self._time_out)
        watch.start()
        try:
            frames.send(self._socket, head, blocks)
            answer, back = frames.receive(self._socket, most)
        except frames.Broken as broken:
            raise self._gone(broken, seconds) from None
        finally:
            watch.cancel()
            watch.join()
        if "fault" in answer:
            raise self._refusal(answer["fault"])
        return answer, back

    def garbled(self, said: str) -> Fault:
        """End the process, whose answer is not one that it gives, and return the fault to raise."""
        self.close()
        return Fault("garbled", sticky=True, said=said)

    def _refusal(self, fault: Head) -> Fault:
        try:
            return Fault(fault["word"], fault["sticky"], fault["said"], of_kernel=fault["of_kernel"])
        except (KeyError, TypeError):
            return self.garbled("what came is no fault")

    def close(self) -> bool:
        """Kill the process; whether it has ended. May be called again."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._started.kill()
        self._folder.close()
        try:
            self._started.wait(_END_LIMIT)
        except (TimeoutError, ScorerError):
            # Processes that hang in the device cannot be killed.
            return False
        return True

    def _time_out(self) -> None:
        self._timed_out = True
        # First of all, whoever waits for the answer is let go: the process may outlive its end.
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._started.kill()

    def _gone(self, broken: frames.Broken, seconds: float) -> Fault:
        if self._timed_out:
            fault = Fault("timeout", sticky=True, said=f"no answer within {seconds:.3g} s")
        elif "no message" in str(broken):
            fault = Fault("garbled", sticky=True, said=str(broken))
        else:
            fault = self._ended()
        self.close()
        return fault

    def _ended(self) -> Fault:
        from pytest_upskill.kernels.sandbox.limits import ending

        try:
            ran = self._started.wait(_END_LIMIT)
        except (TimeoutError, ScorerError) as error:
            return Fault("ended", sticky=True, said=str(error))
        lines = ran.stderr.decode("utf-8", "replace").strip().splitlines()
        last = f"; its last words: {fold(lines[-1])}" if lines else ""
        said = f"the launcher {ending(ran).removeprefix('it ')}{last}"
        # The machine kills where its memory runs out, and we do where a limit is passed: no kernel did that.
        by_itself = ran.ended == "exited" or (ran.ended == "signal" and ran.signal != signal.SIGKILL)
        return Fault("ended", sticky=True, said=said, of_kernel=by_itself)


def _start(
    sandbox: Sandbox, driver: str | os.PathLike[str] | None, folder: Path, number: int, inherit: Sequence[int]
) -> Started:
    from pytest_upskill.kernels.sandbox.limits import Limits

    library = os.fspath(driver) if driver is not None else _LIBRARY
    start = {"package": str(_PACKAGE), "number": number, "keep": list(inherit), "library": library}
    beside = [Path(library).resolve().parent] if driver is not None else _elsewhere()
    return sandbox.start(
        [sys.executable, "-I", "-S", "-B", "-c", _BOOT, json.dumps(start)],
        workdir=folder,
        readable=[*dict.fromkeys((Path(sys.prefix), Path(sys.base_prefix), _PACKAGE, *beside))],
        limits=Limits(
            cpu_seconds=_LONGEST,
            wall_seconds=_LONGEST,
            memory_bytes=_MEMORY,
            # The driver keeps memory in files without a name, opens each device of the machine many times, and starts
            # threads where other programs of the same user have many.
            file_bytes=_FILES,
            disk_bytes=_FILES,
            open_files=_OPEN_FILES,
            processes=_PROCESSES,
        ),
        pass_fds=(number, *inherit),
        environment={**_ENVIRONMENT, **{name: os.environ[name] for name in _CHOOSING if name in os.environ}},
        devices=True,
    )


def _elsewhere() -> list[Path]:
    """Return the folders that the loader is told of and that have the driver's library, as some containers do."""
    told = [Path(part) for part in os.environ.get("LD_LIBRARY_PATH", "").split(":") if part]
    return [folder for folder in told if (folder / _LIBRARY).is_file()]
