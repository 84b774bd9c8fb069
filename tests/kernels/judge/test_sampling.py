"""Of a large problem the first, the last and secret rows are compared, and all of it is looked through for gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels.data import Problem
from pytest_upskill.kernels.judge import sampling
from pytest_upskill.kernels.judge.trial import Trial
from tests.kernels.judge.jobs import drawn, poisoned, problem, tensor, trial, verdict

if TYPE_CHECKING:
    import torch
else:
    torch = pytest.importorskip("torch")

NORM = "def reference(x):\n    return x / x.square().mean(-1, keepdim=True).sqrt()\n"
ROWS = "def rows(inputs, index):\n    return {'x': inputs['x'].flatten(0, -2)[index]}\n"
SHAPE = (4, 250, 128)
POSED = problem("f32", tensor("x", "in", "f32", *SHAPE), tensor("y", "out", "f32", *SHAPE))


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "_LARGE", 1000)
    monkeypatch.setattr(sampling, "_ELEMENTS", 1000)


def normed(x: torch.Tensor) -> torch.Tensor:
    return x / x.square().mean(-1, keepdim=True).sqrt()


def answered(text: str = NORM + ROWS, posed: Problem = POSED) -> tuple[Trial, torch.Tensor]:
    judge = trial(text, posed)
    return judge, normed(drawn(judge, posed)["x"])


def chosen(copy: int = 0, text: str = NORM + ROWS) -> list[int]:
    judge, _ = answered(text)
    index = sampling.chosen_rows(judge._task, judge._reference, 0, copy)
    assert index is not None
    return [int(row) for row in index]


def test_the_rows_are_secret_and_others_for_each_copy() -> None:
    one = chosen()
    assert one == sorted(set(one)) == chosen()
    assert (one[0], one[-1]) == (0, 999)
    assert 50 < len(one) <= 66
    assert chosen(copy=1) != one


def test_a_right_answer_passes_and_says_how_much_was_compared() -> None:
    judge, out = answered()
    found = verdict(judge, [out])
    assert found.hit
    assert found.evidence.endswith(f" ({len(chosen())} of 1000 rows compared)")


@pytest.mark.parametrize("row", [0, 999])
def test_a_wrong_first_or_last_row_is_found(row: int) -> None:
    judge, out = answered()
    out.view(1000, 128)[row, 7] += 1
    found = verdict(judge, [out])
    assert f"in 1 of {len(chosen())} rows" in found.evidence
    assert f"first at y[{row // 250}, {row % 250}, 7]: expected " in found.evidence


@pytest.mark.parametrize("column", [0, 127])
def test_a_gap_in_a_row_that_is_not_compared_is_found(column: int) -> None:
    judge, out = answered()
    row = next(row for row in range(1000) if row not in chosen())
    place = f"y[{row // 250}, {row % 250}, {column}]"
    out.view(1000, 128)[row, column] = poisoned(torch.zeros(1), "f32")[0]
    assert verdict(judge, [out]).evidence == (
        f"1 of 128000 elements of y were never written, first at {place}"
    )
    out.view(1000, 128)[row, column] = float("inf")
    assert verdict(judge, [out]).evidence == (
        f"1 of 128000 elements of y are wrong by NaN or infinity, first at {place}: expected a number, got inf"
    )


def test_a_wrong_answer_is_rejected() -> None:
    judge, out = answered()
    for wrong in (
        torch.zeros_like(out),
        1.01 * out,
        out.bfloat16().float(),
        out.flip(0),
        drawn(judge, POSED)["x"],
    ):
        assert not verdict(judge, [wrong]).hit


def test_outputs_of_several_shapes_share_the_rows() -> None:
    posed = problem(
        "f32",
        tensor("x", "in", "f32", 1000, 128),
        tensor("y", "out", "f32", 1000, 128),
        tensor("m", "out", "f32", 1000),
        tensor("n", "out", "i32", 1000),
        rows=1000,
    )
    text = (
        "def reference(x, rows):\n    assert len(x) == rows\n    return 2 * x, x.mean(-1), (x > 0).sum(-1)\n"
    )
    cut = "def rows(inputs, index):\n    return {'x': inputs['x'][index], 'rows': len(index)}\n"
    judge = trial(text + cut, posed)
    x = drawn(judge, posed)["x"]
    right = [2 * x, x.mean(-1), (x > 0).sum(-1).int()]
    assert verdict(judge, right).hit
    right[2][999] += 1
    assert "first at n[999]: expected " in verdict(judge, right).evidence
    left = poisoned(right[2], "i32")
    left[1:] = right[2][1:]
    assert verdict(judge, [*right[:2], left]).evidence == (
        "1 of 1000 elements of n were never written, first at n[0]"
    )


def test_a_vector_is_sampled_by_its_elements() -> None:
    posed = problem("f32", tensor("x", "in", "f32", 100_000), tensor("y", "out", "f32", 100_000))
    judge = trial(
        "def reference(x):\n    return 2 * x\ndef rows(inputs, index):\n    return {'x': inputs['x'][index]}\n",
        posed,
    )
    out = 2 * drawn(judge, posed)["x"]
    assert verdict(judge, [out]).hit
    out[-1] += 5
    assert "first at y[99999]: expected " in verdict(judge, [out]).evidence


def test_without_rows_or_where_it_is_small_all_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    judge, out = answered(NORM)
    assert "compared" not in verdict(judge, [out]).evidence
    monkeypatch.setattr(sampling, "_LARGE", 2**22)
    judge, out = answered()
    assert "compared" not in verdict(judge, [out]).evidence


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("    return inputs['x']\n", "op.py:3: rows() returned Tensor and not a dict of inputs by name"),
        (
            "    return {}\n",
            "op.py:1: 'y' of reference() has shape [4, 250, 128] where {} chosen rows are [{}, 128]",
        ),
        ("    return inputs['z']\n", "op.py:4: rows() failed on f32: KeyError: 'z'"),
    ],
)
def test_a_mistake_in_rows_is_told(rows: str, words: str) -> None:
    count = len(chosen())
    judge = trial(NORM + "def rows(inputs, index):\n" + rows, POSED)
    with pytest.raises(ScorerError) as caught:
        verdict(judge, [torch.zeros(SHAPE)])
    assert str(caught.value) == words.format(count, count)


def test_rows_are_refused_where_an_output_does_not_have_them() -> None:
    posed = problem(
        "f32",
        tensor("x", "in", "f32", 100, 128),
        tensor("y", "out", "f32", 100, 128),
        tensor("s", "out", "f32", 7),
    )
    judge = trial(NORM + ROWS, posed)
    with pytest.raises(ScorerError) as caught:
        verdict(judge, [torch.zeros(100, 128), torch.zeros(7)])
    assert str(caught.value) == (
        "op.py:3: rows() cannot be used here: the output 's' [7] has not the 100 rows of 'y'; leave rows() out"
    )
