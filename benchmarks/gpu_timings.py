"""Our launcher's times of three kernels, beside those of triton's do_bench and of CUPTI, on the same cubin."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from statistics import median
from typing import Any

from benchmarks.common import HERE
from benchmarks.gpu_common import Part, Place, data_of, impossible, judged
from pytest_upskill.kernels.data import Argument, Launch, Tensor, Workload
from pytest_upskill.kernels.extract import extract
from pytest_upskill.kernels.launcher import Call, Fault
from pytest_upskill.kernels.prelude import prelude
from pytest_upskill.kernels.timings import mad

DTYPE = "bf16"
CALLS = 64
_WARM = 8
_PART, _MICROSECONDS = 0.03, 0.002
_PATIENCE = 900


def check(place: Place) -> Part:
    """Compare the times of rmsnorm, softmax and a matrix product whose tensors do not fit in the L2 cache."""
    lines: list[str] = []
    figures: dict[str, Any] = {}
    wrong = 0
    for name, sizes in _sizes(place.device.l2).items():
        try:
            found = _times(place, name, sizes)
        except (Fault, subprocess.SubprocessError) as error:
            lines.append(f"BAD {name}: {error}")
            wrong += 1
            continue
        figures[name] = found
        verdicts = {other: _near(found["ours"], found[other]) for other in ("do_bench", "cupti")}
        wrong += sum(near is False for near in verdicts.values())
        lines.append(_line(name, found, verdicts))
    if not any(figures[name]["do_bench"] or figures[name]["cupti"] for name in figures) and not wrong:
        return impossible("timings", "; ".join(lines) or "nothing could be timed")
    return judged("timings", wrong, lines, figures)


def near(ours: float, theirs: float) -> bool:
    """Tell whether two times in milliseconds are within 3 % or 2 us of one another, whichever is more."""
    return abs(ours - theirs) <= max(_PART * theirs, _MICROSECONDS)


def _near(ours: float, theirs: float | None) -> bool | None:
    return None if theirs is None else near(ours, theirs)


def _sizes(l2: int) -> Mapping[str, Mapping[str, int]]:
    """Return sizes beyond the cache: each tensor of a norm has four times its bytes, a product's have twice."""
    rows = max(4096, -(-4 * l2 // (8192 * 2)))
    side = 256 * max(8, -(-int((l2 / 3) ** 0.5) // 256))
    return {
        "rmsnorm": {"rows": rows, "cols": 8192},
        "softmax": {"rows": rows, "cols": 8192},
        "matmul": {"m": side, "n": side, "k": side},
    }


def _times(place: Place, name: str, sizes: Mapping[str, int]) -> dict[str, Any]:
    from tests.kernels.zoo import HONEST

    kernel = next(honest for honest in HONEST if honest.name == name)
    spec = kernel.task.spec((DTYPE,), (" ".join(f"{key}={value}" for key, value in sizes.items()),))
    workload = Workload(sizes, DTYPE, name)
    arguments = spec.signature.arguments(workload)
    declared = extract(kernel.reply, spec).declaration
    launch = declared.launch(spec.signature.numbers(workload), DTYPE)
    cubin = place.compiled(kernel.code, prelude(DTYPE), name)
    ours = _ours(place, cubin, name, arguments, launch)
    request = {
        "mode": "kernel",
        "entry": name,
        "cubin": base64.b64encode(cubin).decode(),
        "arguments": [asdict(argument) for argument in arguments],
        "launch": asdict(launch),
    }
    return {"sizes": dict(sizes), "ours": median(ours), "mad": mad(ours), **by_torch(place, request)}


def _ours(
    place: Place, cubin: bytes, entry: str, arguments: tuple[Argument, ...], launch: Launch
) -> list[float]:
    given = [each for each in arguments if isinstance(each, Tensor) and each.role in ("in", "inout")]
    with place.launcher() as launcher:
        launcher.load(cubin, entry)
        launcher.put(0, [data_of(tensor) for tensor in given])
        call = Call(arguments, launch, 0, keep=False, flush=True, check=False)
        return [launcher.call(call).milliseconds for _ in range(CALLS + _WARM)][_WARM:]


def by_torch(place: Place, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the times that a process with torch measures. Raises `SubprocessError` where it fails as a whole."""
    done = subprocess.run(
        [sys.executable, str(HERE / "gpu_torch_times.py")],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": place.device.uuid},
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise subprocess.SubprocessError(f"the process with torch ended with {done.returncode}: {last}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _line(name: str, found: Mapping[str, Any], verdicts: Mapping[str, bool | None]) -> str:
    parts = [f"{name}: ours {found['ours']:.4f} ms (MAD {found['mad']:.4f})"]
    for other, verdict in verdicts.items():
        if verdict is None:
            parts.append(f"{other} could not: {found.get(f'{other}_error')}")
        else:
            apart = found["ours"] / found[other] - 1
            parts.append(f"{other} {found[other]:.4f} ms ({apart:+.1%}{'' if verdict else ', TOO FAR'})")
    return ("BAD " if False in verdicts.values() else "ok  ") + ", ".join(parts)
