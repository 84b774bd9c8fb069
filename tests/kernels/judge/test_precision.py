"""Less precision than was asked for is rejected, and more than that is not asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kernels.judge.jobs import BY_NAME, Given, drawn, problem, tensor, trial, verdict

if TYPE_CHECKING:
    import torch
else:
    torch = pytest.importorskip("torch")


def tf32(given: torch.Tensor) -> torch.Tensor:
    """Return numbers with the 10 bits of mantissa that TF32 keeps."""
    bits = given.contiguous().view(torch.int32)
    return ((bits + 0x1000) & ~0x1FFF).view(torch.float32)


def product(given: Given, wide: bool = True) -> torch.Tensor:
    return (given["a"].float() @ given["b"].float()).to(given["a"].dtype)


def judged(dtype: str, answer: object, tolerance: dict[str, float] | None = None) -> bool:
    op = BY_NAME["matmul"]
    judge = trial(op.reference, op.problem(dtype), tolerance=tolerance)
    given = drawn(judge, op.problem(dtype))
    return verdict(judge, [answer(given["a"], given["b"])]).hit  # type: ignore[operator]


def test_tf32_is_rejected_unless_the_case_allows_it() -> None:
    def answer(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return tf32(a) @ tf32(b)

    assert not judged("f32", answer)
    assert judged("f32", answer, {"f32": 1e-3})


def test_bf16_products_pass_neither_as_f32_nor_where_tf32_is_allowed() -> None:
    def answer(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a.bfloat16().float() @ b.bfloat16().float()

    assert not judged("f32", answer)
    assert not judged("f32", answer, {"f32": 1e-3})


def test_bf16_passes_not_as_f16() -> None:
    assert not judged("f16", lambda a, b: (a.float() @ b.float()).bfloat16().half())


def test_f32_passes_not_as_f64() -> None:
    assert judged("f64", lambda a, b: a @ b)
    assert not judged("f64", lambda a, b: (a.float() @ b.float()).double())


@pytest.mark.parametrize("dtype", ["f16", "bf16"])
@pytest.mark.parametrize("narrow", ["float16", "bfloat16"])
def test_a_long_sum_that_is_kept_in_16_bits_is_rejected(narrow: str, dtype: str) -> None:
    posed = problem(dtype, tensor("x", "in", dtype, 300, 4096), tensor("y", "out", dtype, 300))
    judge = trial("def reference(x):\n    return x.sum(-1)\n", posed)
    x = drawn(judge, posed)["x"]
    total = torch.zeros(300, dtype=getattr(torch, narrow))
    for column in x.T:
        total = total + column.to(total.dtype)
    assert not verdict(judge, [total.to(x.dtype)]).hit
    assert verdict(judge, [x.float().sum(-1).to(x.dtype)]).hit


def test_a_sum_in_f32_from_left_to_right_passes() -> None:
    posed = problem("f32", tensor("x", "in", "f32", 300, 4096), tensor("y", "out", "f32", 300))
    judge = trial("def reference(x):\n    return x.sum(-1)\n", posed)
    total = torch.zeros(300)
    for column in drawn(judge, posed)["x"].T:
        total = total + column
    assert verdict(judge, [total]).hit


@pytest.mark.parametrize("dtype", ["f16", "bf16"])
def test_a_kernel_that_skips_the_norm_of_long_rows_is_rejected(dtype: str) -> None:
    """Of standard normal numbers the root mean square is 1 within half a percent: the rows have to differ."""
    posed = problem(dtype, tensor("x", "in", dtype, 16, 32768), tensor("y", "out", dtype, 16, 32768))
    judge = trial("def reference(x):\n    return x / x.square().mean(-1, keepdim=True).sqrt()\n", posed)
    assert not verdict(judge, [drawn(judge, posed)["x"]]).hit
