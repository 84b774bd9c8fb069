"""How the time of a piece of torch code is taken: the seam between the baseline and the device it runs on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch

# As long as Python takes for the launches of a reference of some ten operations, in cycles at about 1.5 GHz.
_HEAD_START = 1_000_000
_MEBIBYTE = 2**20
# As many times the cache as the launcher writes before a call.
_FLUSH = 4
# Sides of the matrices, and the milliseconds of one product from which on larger ones are no faster.
_SMALLEST, _LARGEST, _LONG_ENOUGH = 1024, 8192, 20.0


class Watch(Protocol):
    """A device and its clock. `device` is torch's name of it."""

    device: str

    def time(self, work: Callable[[], object]) -> float:
        """Return the milliseconds of one call on caches that hold nothing of it."""


class CudaWatch:
    """The first GPU that this process sees, timed by its own events.

    Raises:
        LookupError: torch is missing or cannot use a GPU; the sentence says what to do.
    """

    def __init__(self) -> None:
        try:
            import torch
        except ImportError as error:
            raise LookupError(
                f"torch cannot be imported ({error}), and so there is nothing to compare the kernel with: "
                "install torch"
            ) from None
        if not torch.cuda.is_available():
            raise LookupError(
                f"torch {torch.__version__} cannot use a GPU here, and so there is nothing to compare the kernel "
                "with: install a torch that is built for CUDA"
            )
        self._torch = torch
        self.device = "cuda:0"
        cache = torch.cuda.get_device_properties(0).L2_cache_size
        self._scratch = torch.empty(
            max(_FLUSH * cache, 64 * _MEBIBYTE), dtype=torch.uint8, device=self.device
        )

    def time(self, work: Callable[[], object]) -> float:
        cuda = self._torch.cuda
        start, end = (cuda.Event(enable_timing=True) for _ in range(2))
        cuda.synchronize()
        self._scratch.zero_()
        # The device waits while Python enqueues: its time is the baseline's at its best, without Python's own.
        cuda._sleep(_HEAD_START)  # noqa: SLF001 - torch has no public way to keep the device busy
        start.record()
        kept = work()
        end.record()
        cuda.synchronize()
        del kept
        milliseconds: float = start.elapsed_time(end)
        return milliseconds


def product_rate(watch: Watch, dtype: torch.dtype, *, loose: bool) -> float:
    """Return the operations a millisecond of torch's product of large square matrices, the best of several sizes.

    With `loose` the hardware may use TF32 for float32, and sum up in float16 for that.
    """
    best, size = 0.0, _SMALLEST
    with _arithmetic(loose=loose):
        while size <= _LARGEST:
            took = _product(watch, dtype, size)
            best = max(best, 2.0 * size**3 / took)
            if took > _LONG_ENOUGH:
                break
            size *= 2
    return best


@contextmanager
def _arithmetic(*, loose: bool) -> Iterator[None]:
    import torch

    matmul, precision = torch.backends.cuda.matmul, torch.get_float32_matmul_precision()
    # Since torch 2.7.
    knows = hasattr(matmul, "allow_fp16_accumulation")
    sums = knows and matmul.allow_fp16_accumulation
    try:
        torch.set_float32_matmul_precision("high" if loose else "highest")
        if knows:
            matmul.allow_fp16_accumulation = loose
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
        if knows:
            matmul.allow_fp16_accumulation = sums


def _product(watch: Watch, dtype: torch.dtype, size: int) -> float:
    import torch

    # Random numbers and no zeros: a device draws less power for zeros, and then runs faster than it can for long.
    a, b = (torch.randn(size, size, device=watch.device).to(dtype) for _ in range(2))
    taken = sorted(watch.time(lambda: a @ b) for _ in range(24))
    return taken[len(taken) // 2]
