"""The author's code is timed in a process of its own; here on the CPU, with the clock of a test."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pytest_upskill.errors import NotApplicable, ScorerError
from pytest_upskill.kernels import frames
from pytest_upskill.kernels.baseline.parent import Baseline, baseline
from pytest_upskill.kernels.baseline.process import serve
from pytest_upskill.kernels.data import Device, Job, Launch, Problem, Scalar, Tensor, Workload

torch = pytest.importorskip("torch")

REFERENCE = """\
def reference(x, w, cols, eps):
    import torch
    assert x.shape[-1] == cols
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * w
"""
SEEN = """\
import json

def reference(x, w):
    raise AssertionError("eager is there")

def eager(x, w, rows, eps):
    seen = {{"dtype": str(x.dtype), "first": float(x[0, 0]), "rows": rows, "eps": eps}}
    x.fill_(-1.0)
    with open({path!r}, "a") as lines:
        print(json.dumps(seen), file=lines)
"""
DEVICE = Device(0, "NVIDIA H100", "GPU-none", (9, 0), 80 * 2**30, 50 * 2**20, "580.1")


class HostWatch:
    """The CPU and its clock."""

    device = "cpu"

    def time(self, work: Callable[[], object]) -> float:
        start = time.perf_counter()
        work()
        return 1000 * (time.perf_counter() - start) + 1e-6


def job(reference: str = REFERENCE, dtype: str = "f32", tolerance: float = 1e-5) -> Job:
    arguments = (
        Tensor("x", "in", dtype, (2, 4)),
        Tensor("w", "in", dtype, (4,)),
        Tensor("y", "out", dtype, (2, 4)),
        Scalar("cols", "i32", 4),
        Scalar("eps", "f32", 1e-6),
    )
    problem = Problem(
        Workload({"rows": 2, "cols": 4}, dtype, f"rows=2 {dtype}"), arguments, Launch((2, 1, 1), (32, 1, 1))
    )
    return Job(
        case="norm",
        entry="norm",
        require="fast",
        cubins={},
        problems=(problem,),
        reference=reference,
        reference_name="norm.py",
        seed=b"secret",
        tolerance={"f32": tolerance},
        moved={},
        flops={},
    )


def draw(start: float) -> list[bytes]:
    return [array("f", [start + n for n in range(8)]).tobytes(), array("f", [1.0] * 4).tobytes()]


class Near:
    """Asks over a socket, as a child's parent does."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link

    def ask(
        self, head: dict[str, Any], blocks: Sequence[bytes], limit: float, what: str, advice: str
    ) -> tuple[dict[str, Any], list[bytes]]:
        frames.send(self._link, head, blocks)
        answer, back = frames.receive(self._link, 0)
        if "error" in answer:
            raise ScorerError(answer["error"])
        return answer, back


@contextmanager
def served(of: Job) -> Iterator[Baseline]:
    """Serve a baseline on the CPU from a thread."""
    before = torch.get_default_dtype()
    here, there = socket.socketpair()
    thread = threading.Thread(target=serve, args=(there, HostWatch()))
    thread.start()
    try:
        yield Baseline(of, Near(here))
    finally:
        here.close()
        thread.join()
        there.close()
        torch.set_default_dtype(before)


def test_so_many_times_come_back_as_were_asked_for() -> None:
    with served(job()) as ours:
        ours.prepare(0, [draw(0.0)])
        found = ours.times(5)
    assert len(found) == 5
    assert all(time > 0 for time in found)


def test_eager_is_preferred_and_gets_every_draw_in_turn_in_a_copy(tmp_path: Path) -> None:
    path = tmp_path / "seen"
    with served(job(SEEN.format(path=os.fspath(path)))) as ours:
        ours.prepare(0, [draw(0.0), draw(100.0)])
        ours.times(3)
    calls = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(call["dtype"], call["first"], call["rows"]) for call in calls] == [
        ("torch.float32", first, 2) for first in (0.0, 100.0, 0.0, 100.0)
    ]
    assert calls[0]["eps"] == pytest.approx(1e-6)


@pytest.mark.parametrize(("dtype", "name"), [("bf16", "bfloat16"), ("f16", "float16"), ("f64", "float64")])
def test_the_author_s_code_runs_in_the_workload_s_type_and_so_do_tensors_that_it_makes(
    dtype: str, name: str
) -> None:
    text = (
        "def reference(x, w):\n    import torch\n"
        f"    assert (x.dtype, w.dtype, torch.ones(2).dtype) == (torch.{name},) * 3\n"
    )
    size = 8 if dtype == "f64" else 2
    with served(job(text, dtype)) as ours:
        ours.prepare(0, [[bytes(8 * size), bytes(4 * size)]])


def test_a_reference_that_fails_there_is_an_error_with_its_line() -> None:
    with served(job("def reference(x, w):\n    return x @ x\n")) as ours, pytest.raises(ScorerError) as error:
        ours.prepare(0, [draw(0.0)])
    assert str(error.value).startswith(
        "the baseline could not be timed: norm.py:2: reference() failed on cpu on rows=2 f32: "
    )


def test_a_reference_that_takes_what_there_is_not_is_an_error() -> None:
    with served(job("def reference(x, v):\n    return x\n")) as ours, pytest.raises(ScorerError) as error:
        ours.prepare(0, [draw(0.0)])
    assert str(error.value) == (
        "the baseline could not be timed: norm.py:1: reference() takes 'v', and what it can take is rows, cols, eps, "
        "x, w"
    )


def test_after_an_error_it_goes_on_serving() -> None:
    with served(job()) as ours:
        with pytest.raises(
            ScorerError, match=r"^the baseline could not be timed: no problem was handed over$"
        ):
            ours.times(1)
        ours.prepare(0, [draw(0.0)])
        assert len(ours.times(1)) == 1


@pytest.mark.parametrize(("tolerance", "precision"), [(1e-5, "highest"), (1e-3, "high")])
def test_the_baseline_may_use_tf32_where_the_case_lets_the_kernel(tolerance: float, precision: str) -> None:
    text = (
        "def reference(x):\n    import torch\n"
        f"    assert torch.get_float32_matmul_precision() == {precision!r}\n"
        f"    assert torch.backends.cudnn.allow_tf32 is {precision == 'high'}\n"
    )
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    try:
        with served(job(text, tolerance=tolerance)) as ours:
            ours.prepare(0, [draw(0.0)])
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def test_a_type_without_a_product_of_matrices_has_no_rate() -> None:
    with served(job()) as ours:
        assert ours.rate("i32", loose=False) is None


def test_a_rate_is_what_the_best_size_reaches(monkeypatch: pytest.MonkeyPatch) -> None:
    from pytest_upskill.kernels.baseline import watch

    monkeypatch.setattr(watch, "_SMALLEST", 64)
    monkeypatch.setattr(watch, "_LARGEST", 128)
    sizes = []

    class Steady:
        """A clock on which the larger product is no slower."""

        device = "cpu"

        def time(self, work: Callable[[], object]) -> float:
            sizes.append(len(work()))  # type: ignore[arg-type]
            return 2.0

    assert watch.product_rate(Steady(), torch.float32, loose=True) == 2.0 * 128**3 / 2.0
    assert set(sizes) == {64, 128}
    assert torch.get_float32_matmul_precision() == "highest"


def test_without_a_gpu_the_process_says_so_and_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(NotApplicable) as error, baseline(job(), DEVICE):
        pass
    assert str(error.value) == (
        f"torch {torch.__version__} cannot use a GPU here, and so there is nothing to compare the kernel with: "
        "install a torch that is built for CUDA"
    )


def test_a_process_that_cannot_start_says_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [str(Path(os.__file__).parent)])
    with pytest.raises(ScorerError) as error, baseline(job(), DEVICE):
        pass
    assert str(error.value) == (
        "the process that times the baseline ended with exit code 1 while it started; its last words: "
        "ModuleNotFoundError: No module named 'pytest_upskill'"
    )
