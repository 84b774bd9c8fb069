"""The launcher in each level of the sandbox with the device's nodes, and that CUDA bears no limit of address space."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from benchmarks.gpu_common import Part, Place, data_of, judged
from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels.ceilings import CHUNK, PROBE, PROBE_ENTRY
from pytest_upskill.kernels.data import Launch, Scalar, Tensor
from pytest_upskill.kernels.devices import devices
from pytest_upskill.kernels.launcher import Call, Fault, Launcher
from pytest_upskill.kernels.sandbox import Sandbox, at_level, reports

_SIZE = 2**20
_LIMIT = 8 * 2**30
# Opens a context under a limit; the exit code is the driver's.
_SCRIPT = """
import ctypes, resource, sys
if sys.argv[1] != "none":
    limit = int(sys.argv[2])
    resource.setrlimit(getattr(resource, sys.argv[1]), (limit, limit))
cuda = ctypes.CDLL("libcuda.so.1")
context, device = ctypes.c_void_p(), ctypes.c_int()
code = cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), 0)
sys.exit(min(code or cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device), 255))
"""


def check(place: Place) -> Part:
    """Copy a buffer in each level that works here, and open a context without and under a limit."""
    lines: list[str] = []
    figures: dict[str, Any] = {}
    wrong = 0
    cubin = place.compiled(PROBE, "", PROBE_ENTRY)
    for report in reports():
        level = at_level(report.level)
        if level is None:
            lines.append(f"    {report.level} could not be tried: {report.why}")
            figures[report.level] = "not there"
            continue
        with level as sandbox:
            said = _copied(place, sandbox, cubin)
        wrong += bool(said)
        figures[report.level] = said or "works"
        lines.append(f"{'BAD' if said else 'ok '} launcher under {report.level}: {figures[report.level]}")
    return judged("sandbox", wrong + _limits(lines, figures), lines, figures)


def _copied(place: Place, sandbox: Sandbox, cubin: bytes) -> str:
    """Return what went wrong with a copy in a sandbox, or nothing."""
    x, y = Tensor("x", "in", "u8", (_SIZE,)), Tensor("y", "out", "u8", (_SIZE,))
    reads, writes = (Scalar(name, "i64", _SIZE // CHUNK) for name in ("reads", "writes"))
    given = data_of(x)
    try:
        if place.device.uuid not in {device.uuid for device in devices(sandbox)}:
            return "the device is not seen from within"
        with Launcher(place.device, sandbox) as launcher:
            launcher.load(cubin, PROBE_ENTRY)
            launcher.put(0, [given])
            called = launcher.call(Call((x, y, reads, writes), Launch((64, 1, 1), (256, 1, 1)), 0))
    except (Fault, ScorerError) as error:
        return str(error)
    return "" if bytes(called.outputs[0]) == given and not called.broken_guards else "what came back is wrong"


def _limits(lines: list[str], figures: dict[str, Any]) -> int:
    codes = {name: _opened(name) for name in ("none", "RLIMIT_AS")}
    figures["limits"] = codes
    if codes["none"]:
        lines.append(f"    limits could not be tried: without any, the driver says {codes['none']}")
        return 0
    breaks = codes["RLIMIT_AS"] != 0
    lines.append(
        f"{'ok ' if breaks else 'BAD'} RLIMIT_AS of {_LIMIT // 2**30} GiB "
        f"{'breaks' if breaks else 'does not break'} CUDA"
    )
    return int(not breaks)


def _opened(limit: str) -> int:
    command = [sys.executable, "-c", _SCRIPT, limit, str(_LIMIT)]
    return subprocess.run(command, stderr=subprocess.DEVNULL, timeout=120, check=False).returncode
