"""What is said of an output that is wrong."""

from __future__ import annotations

import pytest

from tests.kernels.judge.jobs import drawn, poisoned, problem, rows_by_cols, tensor, trial, verdict

torch = pytest.importorskip("torch")

DOUBLE = "def reference(x):\n    return 2 * x\n"


def test_elements_that_were_never_written_are_counted_and_the_first_is_named() -> None:
    posed = rows_by_cols("bf16")
    judge = trial(DOUBLE, posed)
    out = 2 * drawn(judge, posed)["x"]
    left = poisoned(out, "bf16")
    left[:3], left[3, :17], left[3, 18:] = out[:3], out[3, :17], out[3, 18:]
    left[4:] = out[4:]
    found = verdict(judge, [left])
    assert (found.hit, found.evidence) == (
        False,
        "1 of 4800 elements of y were never written, first at y[3, 17]",
    )


def test_the_first_and_the_worst_element_are_named_with_what_was_expected() -> None:
    posed = rows_by_cols("f32")
    judge = trial(DOUBLE, posed)
    right = 2 * drawn(judge, posed)["x"]
    out = right.clone()
    out[1, 2] = 100
    out[3, 5] = -700.5
    found = verdict(judge, [out])
    assert found.evidence == (
        f"y: 2 of 4800 elements are wrong, in 2 of 24 rows; error {found.figures['error']:.3g} of the norm, "
        "1e-05 allowed for f32\n"
        f"first at y[1, 2]: expected {right[1, 2]:.6g}, got 100; "
        f"worst at y[3, 5]: expected {right[3, 5]:.6g}, got -700.5"
    )


def test_zeros_and_copies_are_called_so() -> None:
    posed = rows_by_cols("f32")
    judge = trial(DOUBLE, posed)
    given = drawn(judge, posed)["x"]
    assert "allowed for f32; every element is 0\n" in verdict(judge, [torch.zeros_like(given)]).evidence
    assert "allowed for f32; it is a copy of x\n" in verdict(judge, [given]).evidence


def test_an_inout_that_was_left_alone_is_called_so() -> None:
    posed = problem("f32", tensor("x", "inout", "f32", 100))
    judge = trial(DOUBLE, posed)
    given = drawn(judge, posed)["x"]
    assert "; it is as it was given\n" in verdict(judge, [given]).evidence
    assert verdict(judge, [2 * given]).hit


def test_a_scale_that_is_off_everywhere_is_said_to_be_so() -> None:
    posed = rows_by_cols("bf16")
    judge = trial(DOUBLE, posed)
    found = verdict(judge, [(2.012 * drawn(judge, posed)["x"].float()).bfloat16()])
    assert found.evidence.splitlines()[0] == (
        "y: no single element is far off, 24 of 24 rows are as a whole; error 0.00585 of the norm, 0.005 allowed for "
        "bf16"
    )


@pytest.mark.parametrize(("value", "got"), [(float("nan"), "nan"), (float("-inf"), "-inf")])
def test_nan_and_infinity_where_the_reference_has_a_number_are_told(value: float, got: str) -> None:
    posed = rows_by_cols("f32")
    judge = trial(DOUBLE, posed)
    out = 2 * drawn(judge, posed)["x"]
    expected, out[0, 3] = float(out[0, 3]), value
    assert verdict(judge, [out]).evidence == (
        "1 of 4800 elements of y are wrong by NaN or infinity, "
        f"first at y[0, 3]: expected {expected:.6g}, got {got}"
    )


def test_infinities_of_the_reference_have_to_be_there() -> None:
    masked = "import torch\ndef reference(x):\n    return torch.where(x > 1, torch.inf, x)\n"
    posed = rows_by_cols("f16")
    judge = trial(masked, posed)
    given = drawn(judge, posed)["x"]
    right = torch.where(given > 1, torch.inf, given)
    assert verdict(judge, [right]).hit
    wrong = right.clone()
    wrong.view(-1)[int((given > 1).view(-1).int().argmax())] = 65504
    assert "wrong by NaN or infinity" in verdict(judge, [wrong]).evidence
    assert not verdict(judge, [given]).hit


def test_what_overflows_the_type_is_infinite_in_it() -> None:
    posed = rows_by_cols("f16")
    judge = trial("def reference(x):\n    return x * 60000\n", posed)
    out = (drawn(judge, posed)["x"].float() * 60000).half()
    assert bool(out.isinf().any())
    assert verdict(judge, [out]).hit
    assert not verdict(judge, [out.nan_to_num()]).hit


def test_nan_that_the_inputs_hold_has_to_arrive() -> None:
    text = (
        "import torch\n"
        "def make_inputs(sizes, generator):\n"
        "    x = torch.randn(24, 200, generator=generator)\n"
        "    x[5, 6] = torch.nan\n"
        "    return {'x': x}\n"
    )
    posed = rows_by_cols("f32")
    judge = trial(text + DOUBLE, posed)
    out = 2 * drawn(judge, posed)["x"]
    assert verdict(judge, [out]).hit
    out[5, 6] = 0
    assert verdict(judge, [out]).evidence == (
        "1 of 4800 elements of y are wrong by NaN or infinity, first at y[5, 6]: expected nan, got 0"
    )


@pytest.mark.parametrize("dtype", ["i64", "i32", "i16", "i8", "u64", "u32", "u16", "u8"])
def test_integers_are_equal_or_wrong(dtype: str) -> None:
    posed = problem(dtype, tensor("x", "in", dtype, 10, 10), tensor("y", "out", dtype, 10, 10))
    judge = trial("def reference(x):\n    return x + 3\n", posed)
    given = drawn(judge, posed)["x"]
    out = (given.long() + 3).to(given.dtype)
    assert verdict(judge, [out]).evidence == "y: all of 100 integers are equal"
    out.view(-1)[42] = 99
    found = verdict(judge, [out])
    assert not found.hit
    expected = int(given.long()[4, 2]) + 3
    assert found.evidence == (
        f"y: 1 of 100 integers are wrong\nfirst at y[4, 2]: expected {expected}, got 99"
    )
    left = verdict(judge, [poisoned(out, dtype)])
    assert not left.hit
    # Of a single byte, any number may be what the buffer was filled with.
    single = out.element_size() == 1
    assert left.evidence.splitlines()[0] == (
        "y: 100 of 100 integers are wrong"
        if single
        else "100 of 100 elements of y were never written, first at y[0, 0]"
    )


def test_an_integer_that_is_meant_to_be_what_a_buffer_is_filled_with_passes() -> None:
    posed = problem("u16", tensor("x", "in", "u16", 100), tensor("y", "out", "u16", 100))
    judge = trial("def reference(x):\n    return x + 0x9C9C - 3\n", posed)
    out = (drawn(judge, posed)["x"].long() + 0x9C9C - 3).to(torch.uint16)
    assert bool((out.long() == 0x9C9C).any())
    assert verdict(judge, [out]).hit


def test_quantised_integers_may_be_off_by_one_where_the_case_allows_it() -> None:
    """Where a number lies between two, float32 may round to the other side."""
    posed = problem("f32", tensor("x", "in", "f32", 60, 200), tensor("y", "out", "i8", 60, 200))
    text = "def reference(x):\n    return (x * 8).round().clamp(-128, 127).long()\n"
    judge, exact = trial(text, posed, tolerance={"i8": 0.02}), trial(text, posed)
    out = (drawn(judge, posed)["x"] * 8).round().clamp(-128, 127).to(torch.int8)
    assert verdict(exact, [out]).hit
    out[3, 4] += 1
    assert not verdict(exact, [out]).hit
    assert verdict(judge, [out]).hit
    assert not verdict(judge, [out + 1]).hit
    out[3, 4] += 10
    assert "y: 1 of 12000 elements are wrong, in 1 of 60 rows; error " in verdict(judge, [out]).evidence


def test_the_first_wrong_output_of_several_is_told() -> None:
    posed = problem(
        "f32",
        tensor("x", "inout", "f32", 100),
        tensor("y", "out", "f32", 10, 10),
        tensor("n", "out", "i32", 100),
    )
    text = "def reference(x):\n    return {'n': (x > 0).long(), 'x': -x, 'y': 2 * x.view(10, 10)}\n"
    judge = trial(text, posed)
    x = drawn(judge, posed)["x"]
    right = [-x, 2 * x.view(10, 10), (x > 0).int()]
    found = verdict(judge, right)
    assert found.hit
    assert [part.split(":")[0] for part in found.evidence.split("; ") if ":" in part] == ["x", "y", "n"]
    assert verdict(judge, [right[0], right[1], 1 - right[2]]).evidence.startswith(
        "n: 100 of 100 integers are wrong\n"
    )
    assert verdict(judge, [x, right[1], right[2]]).evidence.startswith(
        "x: 100 of 100 elements are wrong, in 1 of 1 "
    )


def test_one_number_is_judged_too() -> None:
    posed = problem("f32", tensor("x", "in", "f32", 300), tensor("y", "out", "f32"))
    judge = trial("def reference(x):\n    return x.sum()\n", posed)
    total = drawn(judge, posed)["x"].sum()
    assert verdict(judge, [total]).hit
    assert verdict(judge, [total + 1]).evidence.splitlines()[1].startswith("first at y: expected ")
