"""Jobs on the pretended device, as a process of its own does them: one line of a log for each.

The pretended driver refuses a second process at a time, so that a job which is not alone fails.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pytest_upskill.kernels import devices as of_devices
from pytest_upskill.kernels.data import Launch, Scalar, Tensor
from pytest_upskill.kernels.devices import devices, hold
from pytest_upskill.kernels.launcher import Call, Launcher
from tests.kernels.emulated.machine import floats, values
from tests.kernels.emulated.plain import PlainSandbox

if TYPE_CHECKING:
    from pytest_upskill.kernels.sandbox import Sandbox

SPIN = """
extern "C" __global__ void spin(const float* x, float* y, double milliseconds) {
    long long start = clock64();
    while (clock64() - start < milliseconds * 1e6) {}
    y[0] = x[0] + 1;
}"""


def job(folder: Path, driver: Path, image: bytes, milliseconds: float, *, alone: bool = True) -> None:
    """Do one job. The log says `begin` when the device is held, `spin` with the launcher's pid, `end`."""
    plain = PlainSandbox()
    sandbox = cast("Sandbox", plain)
    try:
        # Whoever looks for devices opens one too, under the same lock.
        of_devices.LOCKS = folder / "locks"
        (device,) = devices(sandbox, driver)
        if not alone:
            return _on_device(Launcher(device, sandbox, driver), plain, folder, image, milliseconds)
        with hold(device, 60) as lock:
            _say(folder, "begin")
            _on_device(Launcher(device, sandbox, driver, lock), plain, folder, image, milliseconds)
            _say(folder, "end")
    finally:
        plain.close()


def log(folder: Path) -> list[tuple[str, int]]:
    """Return what was said and by whom, in order."""
    path = folder / "log"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(line.split()[0], int(line.split()[1])) for line in lines]


def wait_for(folder: Path, word: str) -> int:
    """Return the process id of the first who said a word."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for said, pid in log(folder):
            if said == word:
                return pid
        time.sleep(0.01)
    raise TimeoutError(f"nobody said {word}: {log(folder)}")


def _on_device(
    launcher: Launcher, plain: PlainSandbox, folder: Path, image: bytes, milliseconds: float
) -> None:
    with launcher:
        launcher.load(image, "spin")
        launcher.put(1, [floats(41)])
        _say(folder, "spin", plain.started[-1].pid)
        arguments = (
            Tensor("x", "in", "f32", (1,)),
            Tensor("y", "out", "f32", (1,)),
            Scalar("milliseconds", "f64", milliseconds),
        )
        called = launcher.call(Call(arguments, Launch((1, 1, 1), (1, 1, 1)), 1))
        if list(values(called.outputs[0])) != [42]:
            raise ValueError("the kernel did not run")


def _say(folder: Path, word: str, pid: int | None = None) -> None:
    with (folder / "log").open("a") as file:
        file.write(f"{word} {pid or os.getpid()}\n")
