"""Inputs: drawn from the secret seed, another draw for each copy, and such that no row is like the next."""

from __future__ import annotations

import math

import pytest

from tests.kernels.judge.jobs import drawn, problem, rows_by_cols, tensor, trial

torch = pytest.importorskip("torch")

COPY = "def reference(x):\n    return x\n"


def test_the_same_seed_problem_and_copy_give_the_same_inputs() -> None:
    posed = rows_by_cols("bf16")
    one, other = trial(COPY, posed, posed), trial(COPY, posed, posed)
    first = one.inputs(0, 0)
    assert one.inputs(0, 1) != first
    assert one.inputs(1, 0) != first
    assert one.inputs(0, 0) == first == other.inputs(0, 0)
    assert trial(COPY, posed, seed=b"another" * 3).inputs(0, 0) != first


def test_inputs_come_in_the_order_of_the_signature_and_outputs_are_none_of_them() -> None:
    posed = problem(
        "f32",
        tensor("z", "inout", "f32", 3),
        tensor("y", "out", "f32", 5),
        tensor("a", "in", "i64", 4, 2),
        tensor("s", "workspace", "u8", 100),
        tensor("c", "out zero", "i32", 7),
    )
    assert [len(block) for block in trial(COPY, posed).inputs(0, 0)] == [12, 64]


@pytest.mark.parametrize("dtype", ["f64", "f32", "f16", "bf16"])
def test_rows_differ_in_size_and_mean(dtype: str) -> None:
    posed = rows_by_cols(dtype, rows=400, cols=4096)
    x = drawn(trial(COPY, posed), posed)["x"].double()
    assert bool(x.isfinite().all())
    sizes, means = x.std(-1), x.mean(-1)
    assert float(sizes.min()) == pytest.approx(0.5, rel=0.1)
    assert float(sizes.max()) == pytest.approx(2, rel=0.1)
    assert float(sizes.log2().std()) == pytest.approx(1 / math.sqrt(3), rel=0.15)
    assert 0.1 < float((means / sizes).std()) < 0.2


@pytest.mark.parametrize(
    ("dtype", "low"),
    [("i64", 0), ("i32", 0), ("i16", -8), ("i8", -8), ("u64", 0), ("u32", 0), ("u16", 0), ("u8", 0)],
)
def test_integers_are_small_and_what_may_be_an_index_is_not_negative(dtype: str, low: int) -> None:
    posed = problem(dtype, tensor("x", "in", dtype, 2000), tensor("y", "out", dtype, 2000))
    x = drawn(trial(COPY, posed), posed)["x"].long()
    assert (int(x.min()), int(x.max())) == (low, low + 15)


def test_make_inputs_gets_sizes_type_and_generator_and_the_rest_is_drawn_by_default() -> None:
    text = (
        "import torch\n"
        "def make_inputs(sizes, dtype, generator):\n"
        "    assert dtype == torch.bfloat16\n"
        "    return {'w': torch.rand(sizes['cols'], generator=generator) + 5}\n" + COPY
    )
    posed = rows_by_cols("bf16", tensor("w", "in", "bf16", 200))
    judge = trial(text, posed)
    one, again, other = drawn(judge, posed), drawn(judge, posed), drawn(judge, posed, copy=1)
    assert one["w"].dtype == torch.bfloat16
    assert 5 <= float(one["w"].min()) <= float(one["w"].max()) <= 6
    assert one["w"].equal(again["w"])
    assert not one["w"].equal(other["w"])
    assert float(one["x"].min()) < -2


def test_a_view_that_make_inputs_returns_is_sent_in_the_order_of_its_elements() -> None:
    text = "import torch\ndef make_inputs():\n    return {'x': torch.arange(4800.0).view(200, 24).T}\n" + COPY
    posed = rows_by_cols("f32")
    x = drawn(trial(text, posed), posed)["x"]
    assert x[0, :3].tolist() == [0, 24, 48]


@pytest.mark.parametrize("copy", range(6))
@pytest.mark.parametrize("dtype", ["f32", "bf16"])
def test_half_of_a_row_never_stands_for_the_whole_of_it(dtype: str, copy: int) -> None:
    posed = rows_by_cols(dtype, rows=50, cols=65536)
    x = drawn(trial(COPY, posed), posed, copy=copy)["x"].double()
    half, whole = x[:, : x.shape[1] // 2].square().mean(-1).sqrt(), x.square().mean(-1).sqrt()
    # Ten times what bf16 is allowed.
    assert float(((half - whole) / whole).abs().min()) > 0.05
