"""Times a compiled kernel, or a copy, as others do: triton's do_bench, and CUPTI's own kernel times.

A process of its own with torch's context: it reads one JSON object from stdin and writes one to stdout.
"""

from __future__ import annotations

import base64
import ctypes
import json
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.gpu_common import data_of
from pytest_upskill.kernels.data import Tensor
from pytest_upskill.kernels.launcher.driver import Driver
from pytest_upskill.kernels.launcher.scalars import address, boxed

CALLS = 60
_FLUSH = 4


def main() -> None:
    """Answer the one request."""
    import torch

    request = json.load(sys.stdin)
    torch.cuda.init()
    torch.cuda.current_stream().synchronize()
    work = _kernel(request) if request["mode"] == "kernel" else _copy(request["bytes"])
    names = (
        [request["entry"]] if request["mode"] == "kernel" else ["Memcpy DtoD", "copy_kernel", "elementwise"]
    )
    found: dict[str, Any] = {}
    for name, measure in (
        ("do_bench", _do_bench),
        ("cupti", lambda work: _cupti(work, names)),
        ("events", _events),
    ):
        try:
            found[name] = measure(work)
        except Exception as error:
            found[name] = None
            found[f"{name}_error"] = f"{type(error).__name__}: {error}"
    json.dump(found, sys.stdout)


def _kernel(request: dict[str, Any]) -> Callable[[], object]:
    """Return what launches a cubin on torch's stream, in torch's context."""
    import torch

    driver = Driver("libcuda.so.1")
    module = driver.handle("cuModuleLoadData", base64.b64decode(request["cubin"]))
    launch = request["launch"]
    function = driver.function(module, request["entry"], launch["shared"])
    kept, boxes = [], []
    for argument in request["arguments"]:
        if "value" in argument:
            boxes.append(boxed(argument["dtype"], argument["value"]))
            continue
        tensor = Tensor(**{**argument, "shape": tuple(argument["shape"])})
        kept.append(torch.frombuffer(bytearray(data_of(tensor)), dtype=torch.uint8).cuda())
        boxes.append(address(kept[-1].data_ptr()))
    places = (ctypes.c_void_p * len(boxes))(*(ctypes.addressof(box) for box in boxes))
    stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)

    def start() -> object:
        driver.ask(
            "cuLaunchKernel",
            function,
            *launch["grid"],
            *launch["block"],
            launch["shared"],
            stream,
            places,
            None,
        )
        return kept, boxes

    start()
    torch.cuda.synchronize()
    return start


def _copy(size: int) -> Callable[[], object]:
    import torch

    source = torch.randint(0, 255, (size,), dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def _do_bench(work: Callable[[], object]) -> float:
    from triton.testing import do_bench

    return float(do_bench(work, warmup=100, rep=500, return_mode="median"))


def _events(work: Callable[[], object]) -> float:
    """Return the median between two events, on a flushed cache: as the launcher does it, by torch's means."""
    import torch

    scratch, taken = _scratch(), []
    for _ in range(CALLS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        scratch.zero_()
        start.record()
        work()
        end.record()
        torch.cuda.synchronize()
        taken.append(start.elapsed_time(end))
    return float(median(taken[5:]))


def _cupti(work: Callable[[], object], names: list[str]) -> float:
    """Return the median of the kernel's own time in milliseconds, as CUPTI gives it to torch's profiler."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    scratch = _scratch()
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        for _ in range(CALLS):
            scratch.zero_()
            work()
            torch.cuda.synchronize()
    events = [event for event in profiled.events() if any(name in event.name for name in names)]
    # Where fills are elementwise kernels too, the flush has as many events as the work: the work comes second.
    taken = [event.time_range.elapsed_us() / 1000 for event in events]
    if len(taken) == 2 * CALLS:
        taken = taken[1::2]
    if len(taken) < CALLS // 2:
        raise LookupError(f"the profiler saw {len(taken)} kernels of {names} in {CALLS} calls")
    return float(median(taken[5:]))


def _scratch() -> Any:  # noqa: ANN401 - a tensor
    import torch

    cache = torch.cuda.get_device_properties(0).L2_cache_size
    return torch.empty(_FLUSH * cache, dtype=torch.uint8, device="cuda")


if __name__ == "__main__":
    main()
