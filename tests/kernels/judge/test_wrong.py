"""Each wrong answer is rejected in every type."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.kernels.judge.jobs import BY_NAME, DTYPES, OPS, Given, Op, drawn, poisoned, trial, verdict

if TYPE_CHECKING:
    import torch
else:
    torch = pytest.importorskip("torch")

Spoil = Callable[["torch.Tensor", Given], "torch.Tensor"]


def narrower(right: torch.Tensor) -> torch.Tensor:
    """Return a right answer that went through the next narrower type."""
    down = {torch.float32: torch.bfloat16, torch.float16: torch.bfloat16, torch.bfloat16: torch.float8_e4m3fn}
    return right.to(down[right.dtype]).to(right.dtype)


def with_one(right: torch.Tensor, at: int, value: float) -> torch.Tensor:
    wrong = right.clone()
    wrong.view(-1)[at] = value
    return wrong


def one_wrong(right: torch.Tensor, given: Given) -> torch.Tensor:
    size = float(right.float().square().mean().sqrt())
    return with_one(right, right.numel() // 2, float(right.view(-1)[right.numel() // 2]) + size)


def one_row_wrong(right: torch.Tensor, given: Given) -> torch.Tensor:
    wrong = right.clone()
    wrong[-2] = wrong[-2].roll(1)
    return wrong


def tail_skipped(right: torch.Tensor, given: Given) -> torch.Tensor:
    wrong = right.clone()
    wrong.view(-1)[-3:] = 0
    return wrong


def never_written(right: torch.Tensor, given: Given) -> torch.Tensor:
    wrong = poisoned(right, {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16"}[right.dtype])
    wrong.view(-1)[:-3] = right.view(-1)[:-3]
    return wrong


WRONG: dict[str, Spoil] = {
    "zeros": lambda right, given: torch.zeros_like(right),
    "ones": lambda right, given: torch.ones_like(right),
    "copied input": lambda right, given: (
        next(iter(given.values())).reshape(-1)[: right.numel()].view(right.shape)
    ),
    "skipped tail": tail_skipped,
    "one wrong element": one_wrong,
    "one wrong row": one_row_wrong,
    "the first NaN": lambda right, given: with_one(right, 0, float("nan")),
    "the last infinite": lambda right, given: with_one(right, right.numel() - 1, float("inf")),
    "scaled by 1.01": lambda right, given: (right.float() * 1.01).to(right.dtype),
    "negated": lambda right, given: -right,
    "row means": lambda right, given: right.float().mean(-1, keepdim=True).to(right.dtype).expand_as(right),
    "never written": never_written,
    "all NaN": lambda right, given: torch.full_like(right, float("nan")),
    "rows reversed": lambda right, given: right.flip(0),
    "columns reversed": lambda right, given: right.flip(-1),
    "narrower": lambda right, given: narrower(right),
}
FLAT = ("row_sum", "residual", "scatter")
TABLE = [op for op in OPS if op.name not in FLAT]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("op", TABLE, ids=lambda op: op.name)
def test_a_wrong_answer_is_rejected(op: Op, name: str, dtype: str) -> None:
    judge = trial(op.reference, op.problem(dtype))
    given = drawn(judge, op.problem(dtype))
    found = verdict(judge, [WRONG[name](op.answer(given), given)])
    assert not found.hit
    assert found.figures["of_allowed"] > 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [name for name in WRONG if name not in ("rows reversed", "one wrong row")])
@pytest.mark.parametrize("op", FLAT)
def test_a_wrong_answer_of_one_dimension_is_rejected(op: str, name: str, dtype: str) -> None:
    made = BY_NAME[op]
    judge = trial(made.reference, made.problem(dtype))
    given = drawn(judge, made.problem(dtype))
    assert not verdict(judge, [WRONG[name](made.answer(given), given)]).hit
