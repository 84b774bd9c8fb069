"""Jobs for the judge, and operations whose honest answers are computed here by PyTorch in place of a kernel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_upskill.kernels.data import (
    Argument,
    Job,
    Launch,
    Problem,
    Role,
    Scalar,
    Tensor,
    Workload,
)
from pytest_upskill.kernels.judge.tensors import from_bytes, to_bytes
from pytest_upskill.kernels.judge.trial import Trial
from pytest_upskill.kernels.judge.wire import Judgement, task_of

if TYPE_CHECKING:
    import torch

SEED = b"0123456789abcdef"
DTYPES = ("f32", "f16", "bf16")
Given = Mapping[str, "torch.Tensor"]


def tensor(name: str, role: Role, dtype: str, *shape: int) -> Tensor:
    return Tensor(name, role, dtype, shape)


def problem(dtype: str, *arguments: Argument, label: str = "", **sizes: int) -> Problem:
    words = " ".join((*(f"{name}={size}" for name, size in sizes.items()), dtype))
    return Problem(Workload(sizes, dtype, label or words), arguments, Launch((1, 1, 1), (1, 1, 1)))


def job(
    reference: str, *problems: Problem, seed: bytes = SEED, tolerance: Mapping[str, float] | None = None
) -> Job:
    return Job(
        "case",
        "kernel",
        "correct",
        {},
        problems,
        reference,
        "op.py",
        seed,
        {"f64": 1e-12, "f32": 1e-5, "f16": 1e-3, "bf16": 5e-3} if tolerance is None else tolerance,
        {},
        {},
    )


def trial(
    reference: str, *problems: Problem, seed: bytes = SEED, tolerance: Mapping[str, float] | None = None
) -> Trial:
    return Trial(task_of(job(reference, *problems, seed=seed, tolerance=tolerance)))


def drawn(judge: Trial, posed: Problem, number: int = 0, copy: int = 0) -> dict[str, torch.Tensor]:
    """Return the inputs that a kernel would be given."""
    given = [each for each in posed.arguments if isinstance(each, Tensor) and each.role in ("in", "inout")]
    blocks = judge.inputs(number, copy)
    return {each.name: from_bytes(block, each) for each, block in zip(given, blocks, strict=True)}


def verdict(judge: Trial, outputs: Sequence[torch.Tensor], number: int = 0, copy: int = 0) -> Judgement:
    return judge.verdict(number, copy, [to_bytes(each.contiguous()) for each in outputs])


def poisoned(like: torch.Tensor, dtype: str) -> torch.Tensor:
    """Return a buffer as the launcher fills it before a call."""
    size = like.numel() * like.element_size()
    block = (b"\xff" if dtype in ("f64", "f32", "f16", "bf16") else b"\x9c") * size
    return from_bytes(block, Tensor("p", "out", dtype, tuple(like.shape)))


@dataclass(frozen=True)
class Op:
    """An operation: its problem in a type, its reference, and an honest answer in that type."""

    name: str
    problem: Callable[[str], Problem]
    reference: str
    answer: Callable[[Given], torch.Tensor]


def rows_by_cols(dtype: str, *more: Argument, rows: int = 24, cols: int = 200) -> Problem:
    x, y = tensor("x", "in", dtype, rows, cols), tensor("y", "out", dtype, rows, cols)
    return problem(dtype, x, *more, y, rows=rows, cols=cols)


def _rmsnorm(dtype: str) -> Problem:
    return rows_by_cols(dtype, tensor("w", "in", dtype, 200), Scalar("eps", "f32", 1e-6))


def _norm_by_two(dtype: str) -> Problem:
    weights = (tensor("w", "in", dtype, 200), tensor("b", "in", dtype, 200))
    return rows_by_cols(dtype, *weights, Scalar("eps", "f32", 1e-5))


def _matmul(dtype: str) -> Problem:
    a, b = tensor("a", "in", dtype, 48, 256), tensor("b", "in", dtype, 256, 72)
    return problem(dtype, a, b, tensor("c", "out", dtype, 48, 72), m=48, n=72, k=256)


def _row_sum(dtype: str) -> Problem:
    return problem(
        dtype, tensor("x", "in", dtype, 300, 500), tensor("y", "out", dtype, 300), rows=300, cols=500
    )


def _transpose(dtype: str) -> Problem:
    return problem(
        dtype, tensor("x", "in", dtype, 48, 48), tensor("y", "out", dtype, 48, 48), rows=48, cols=48
    )


def _residual(dtype: str) -> Problem:
    return problem(dtype, tensor("x", "in", dtype, 5000), tensor("r", "inout", dtype, 5000), n=5000)


def _attention(dtype: str) -> Problem:
    names = (tensor(name, "in", dtype, 64, 32) for name in "qkv")
    return problem(dtype, *names, tensor("o", "out", dtype, 64, 32), n=64, d=32)


def _scatter(dtype: str) -> Problem:
    return problem(
        dtype,
        tensor("x", "in", dtype, 4000),
        tensor("at", "in", "i32", 4000),
        tensor("y", "out zero", dtype, 100),
        n=4000,
        bins=100,
    )


def _rms(given: Given) -> torch.Tensor:
    x, w = given["x"].float(), given["w"].float()
    y = x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt() * w
    return y.to(given["x"].dtype)


def _layer_norm(given: Given) -> torch.Tensor:
    import torch

    x = given["x"]
    y = torch.nn.functional.layer_norm(x.float(), (200,), given["w"].float(), given["b"].float(), 1e-5)
    return y.to(x.dtype)


def _gelu(given: Given) -> torch.Tensor:
    import torch

    return torch.nn.functional.gelu(given["x"].float(), approximate="tanh").to(given["x"].dtype)


def _attend(given: Given) -> torch.Tensor:
    q, k, v = (given[name].float() for name in "qkv")
    p = (q @ k.T / 32**0.5).softmax(-1)
    # As the tensor cores take it: the weights in the type of the values.
    return (p.to(given["v"].dtype).float() @ v).to(given["v"].dtype)


def _add_up(given: Given) -> torch.Tensor:
    import torch

    y = torch.zeros(100).index_add_(0, given["at"].long(), given["x"].float())
    return y.to(given["x"].dtype)


SCATTER_INPUTS = """
import torch

def make_inputs(sizes, generator):
    return {"at": torch.randint(0, sizes["bins"], (sizes["n"],), generator=generator)}
"""
OPS = (
    Op(
        "rmsnorm",
        _rmsnorm,
        "import torch\n"
        "def reference(x, w, eps):\n"
        "    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * w\n",
        _rms,
    ),
    Op(
        "softmax",
        rows_by_cols,
        "def reference(x):\n    return x.softmax(-1)\n",
        lambda given: given["x"].float().softmax(-1).to(given["x"].dtype),
    ),
    Op(
        "layernorm",
        _norm_by_two,
        "import torch\n"
        "def reference(x, w, b, eps, cols):\n"
        "    return torch.nn.functional.layer_norm(x, (cols,), w, b, eps)\n",
        _layer_norm,
    ),
    Op(
        "gelu",
        rows_by_cols,
        "import torch\ndef reference(x):\n    return torch.nn.functional.gelu(x, approximate='tanh')\n",
        _gelu,
    ),
    Op(
        "matmul",
        _matmul,
        "def reference(a, b):\n    return {'c': a @ b}\n",
        lambda given: (given["a"].float() @ given["b"].float()).to(given["a"].dtype),
    ),
    Op(
        "row_sum",
        _row_sum,
        "def reference(x):\n    return x.sum(-1)\n",
        lambda given: given["x"].float().sum(-1).to(given["x"].dtype),
    ),
    Op(
        "transpose",
        _transpose,
        "def reference(x):\n    return x.T\n",
        lambda given: given["x"].T.contiguous(),
    ),
    Op(
        "scatter",
        _scatter,
        f"{SCATTER_INPUTS}\ndef reference(x, at, bins):\n    return torch.zeros(bins).index_add_(0, at, x)\n",
        _add_up,
    ),
    Op(
        "residual",
        _residual,
        "def reference(x, r):\n    return r + x\n",
        lambda given: (given["r"].float() + given["x"].float()).to(given["r"].dtype),
    ),
    Op(
        "attention",
        _attention,
        "def reference(q, k, v, d):\n    return (q @ k.T / d**0.5).softmax(-1) @ v\n",
        _attend,
    ),
)
BY_NAME = {op.name: op for op in OPS}
