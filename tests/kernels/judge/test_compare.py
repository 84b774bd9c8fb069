"""The measure: no scale of the numbers changes it, and no single row or element escapes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.kernels.judge import compare
from pytest_upskill.kernels.judge.compare import Difference, difference, limits
from pytest_upskill.kernels.tolerances import DEFAULTS

if TYPE_CHECKING:
    import torch
else:
    torch = pytest.importorskip("torch")

SHAPES = st.sampled_from([(), (1,), (7,), (64,), (3, 5), (10, 70), (4, 3, 33), (2, 1, 300)])


def numbers(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def measured(out: torch.Tensor, ref: torch.Tensor, dtype: str = "f32") -> Difference:
    return difference(out, ref, tuple(ref.shape), limits(dtype, DEFAULTS))


@settings(deadline=None)
@given(SHAPES, st.integers(0, 2**32), st.integers(-60, 60), st.floats(0, 1))
def test_the_scale_of_the_numbers_changes_nothing(
    shape: tuple[int, ...], seed: int, power: int, noise: float
) -> None:
    ref = numbers(shape, seed)
    out = ref + noise * numbers(shape, seed + 1) * 1e-5
    one, other = measured(out, ref), measured(out * 2.0**power, ref * 2.0**power)
    assert one.of_allowed == pytest.approx(other.of_allowed, rel=1e-6)
    assert (one.error, one.wrong, one.wrong_rows, one.first) == pytest.approx(
        (other.error, other.wrong, other.wrong_rows, other.first)
    )


@settings(deadline=None)
@given(SHAPES, st.integers(0, 2**32), st.sampled_from(sorted(DEFAULTS)), st.data())
def test_one_element_that_is_off_by_the_size_of_its_row_is_found(
    shape: tuple[int, ...], seed: int, dtype: str, data: st.DataObject
) -> None:
    ref = numbers(shape, seed)
    at = data.draw(st.integers(0, ref.numel() - 1))
    out = ref.clone()
    out.view(-1)[at] += 3 * float(ref.abs().max())
    found = measured(out, ref, dtype)
    assert not found.hit
    assert (found.first, found.worst, found.wrong) == (at, at, 1)


@settings(deadline=None)
@given(SHAPES, st.integers(0, 2**32), st.sampled_from(sorted(DEFAULTS)))
def test_what_is_equal_has_no_error(shape: tuple[int, ...], seed: int, dtype: str) -> None:
    ref = numbers(shape, seed)
    assert measured(ref, ref, dtype).of_allowed == (0, 0, 0)
    assert not measured(torch.zeros_like(ref), ref, dtype).hit


def test_blocks_and_pieces_of_long_rows_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    ref = numbers((3, 1000), 1)
    out = ref + numbers((3, 1000), 2) * 1e-6
    out[2, 999] += 1
    whole = measured(out, ref)
    monkeypatch.setattr(compare, "_BLOCK", 10)
    assert measured(out, ref).of_allowed == pytest.approx(whole.of_allowed)
    monkeypatch.setattr(compare, "_LONGEST_ROW", 500)
    monkeypatch.setattr(compare, "_PIECE", 300)
    pieces = measured(out, ref)
    assert pieces.rows == 9
    assert (pieces.error, pieces.wrong, pieces.first, pieces.worst) == pytest.approx(
        (whole.error, 1, 2999, 2999)
    )


def test_one_wrong_row_of_many_is_found_by_itself() -> None:
    ref = numbers((100_000, 64), 1)
    out = ref.clone()
    out[70_000] *= 1.006
    found = measured(out, ref, "bf16")
    assert found.error < 1e-4
    assert (found.wrong, found.wrong_rows, found.rows) == (0, 1, 100_000)
    assert found.first // 64 == 70_000


def test_a_faint_row_is_measured_by_itself_and_not_by_the_others() -> None:
    ref = numbers((10, 256), 1)
    ref[3] /= 30
    out = ref.clone()
    out[3] *= 1.02
    assert not measured(out, ref, "bf16").hit


def test_a_row_that_is_zero_may_hold_what_rounding_leaves_and_no_more() -> None:
    ref = numbers((10, 256), 1)
    ref[3] = 0
    out = ref.clone()
    out[3] += 1e-8
    assert measured(out, ref).hit
    out[3] += 1e-3
    assert not measured(out, ref).hit


def test_sums_that_happen_to_be_near_zero_are_not_rows_of_their_own() -> None:
    x = numbers((5000, 256), 1).float()
    out, ref = x.sum(-1, keepdim=True), x.double().sum(-1, keepdim=True)
    assert float(((out - ref) / ref).abs().max()) > 1e-5
    assert measured(out, ref).hit


def test_numbers_at_the_small_end_of_a_type_are_as_exact_as_it_has_them() -> None:
    ref = numbers((10, 100), 1).abs() * 1e-6
    out = ref.half()
    assert float((out.double() - ref).norm() / ref.norm()) > 1e-3
    assert measured(out, ref, "f16").hit
    assert not measured(out * 0, ref, "f16").hit
    assert not measured(out * 2, ref, "f16").hit


@pytest.mark.parametrize(("dtype", "element"), [("bf16", 4 * 2**-9), ("f16", 4 * 2**-11), ("f32", 8e-5)])
def test_a_wider_tolerance_is_wider_for_elements_too(dtype: str, element: float) -> None:
    assert limits(dtype, DEFAULTS).element == element
    assert limits(dtype, {dtype: 3 * DEFAULTS[dtype]}).element == pytest.approx(3 * element)
    assert limits(dtype, {dtype: DEFAULTS[dtype] / 3}).element == element
    assert limits(dtype, {}) == limits(dtype, DEFAULTS)
