"""The probe kernel on a launcher of its own: nothing that a candidate left behind is there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels.ceilings import CHUNK, PROBE_ENTRY, Ceilings, KeptFigures, Probe, Products
from pytest_upskill.kernels.data import Device, Job, Launch, Scalar, Tensor
from pytest_upskill.kernels.launcher import Call, Fault, Launcher
from pytest_upskill.kernels.roofline import Traffic, fingerprint

_KEY = 0
_PATTERN = 2**20


class LaunchedProbe:
    """The probe, loaded by a launcher."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher

    def times(self, launch: Launch, traffic: Traffic, count: int) -> list[float]:
        """Return the milliseconds of so many launches that read and write so many bytes, each on a flushed cache."""
        arguments = _arguments(traffic)
        call = Call(arguments, launch, _KEY, keep=False, flush=True, check=False)
        self._launcher.put(_KEY, [_filled(arguments[0].nbytes)])
        return [self._launcher.call(call).milliseconds for _ in range(count)]


def ceilings_of(
    job: Job,
    device: Device,
    start: Callable[[], Launcher],
    products: Products | None,
    folder: Path | None = None,
) -> Ceilings:
    """Return the ceilings of a device, for a job's probe.

    Args:
        job: brings the probe, and the compiler's version.
        device: what is measured.
        start: makes a launcher for it, where something has to be measured.
        products: the baseline, or None where there is none.
        folder: where figures are kept; None is the user's folder for what can be made again.
    """
    kept = KeptFigures(folder or default_folder(), fingerprint(device, job.compiler))
    return Ceilings(kept, device.l2, _starting(job.probe, start) if job.probe else None, products)


def default_folder() -> Path:
    """Return the folder where a user's figures are kept: they belong to the machine and to no project."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "pytest-upskill"


def _starting(cubin: bytes, start: Callable[[], Launcher]) -> Callable[[], AbstractContextManager[Probe]]:
    @contextmanager
    def opened() -> Iterator[Probe]:
        try:
            with start() as launcher:
                launcher.load(cubin, PROBE_ENTRY)
                yield LaunchedProbe(launcher)
        except Fault as fault:
            raise ScorerError(f"the ceilings of this device could not be measured: {fault}") from None

    return opened


def _arguments(traffic: Traffic) -> tuple[Tensor, Tensor, Scalar, Scalar]:
    # A buffer has at least one chunk, also where nothing is read or written.
    sizes = [max(count, CHUNK) for count in (traffic.read, traffic.written)]
    return (
        Tensor("x", "in", "u8", (sizes[0],)),
        Tensor("y", "out", "u8", (sizes[1],)),
        Scalar("reads", "i64", traffic.read // CHUNK),
        Scalar("writes", "i64", traffic.written // CHUNK),
    )


def _filled(size: int) -> bytes:
    # No zeros: a device draws less power for these.
    pattern = os.urandom(min(size, _PATTERN))
    return (pattern * (size // len(pattern) + 1))[:size]
