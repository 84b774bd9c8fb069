"""Wrong answers that the judge makes itself: a case that lets one pass is found, and a good one is not accused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels.data import SIZES
from pytest_upskill.kernels.judge import JudgePool, sampling
from pytest_upskill.kernels.shapes import parse_shapes
from pytest_upskill.kernels.spec import read_spec
from pytest_upskill.kernels.wrong_answers import Accepted, Strength, try_wrong_answers
from pytest_upskill.types import JSON
from tests.kernels.judge.jobs import DTYPES, OPS, Op, problem, rows_by_cols, tensor, trial

pytest.importorskip("torch", reason="the judge needs PyTorch")

SKILL = Path(__file__).parents[2] / "skills" / "kernel-builder-cuda-kernels"
SHIPPED = {
    case["id"]: case["expected"]["kernel"]
    for case in json.loads((SKILL / "skill_meta.json").read_text(encoding="utf-8"))["cases"]
    if "kernel" in case["expected"]
}
SMALL = {
    "write-rmsnorm-kernel": ("rows=3 cols=1001", "rows=17 cols=64"),
    "write-layernorm-gelu-kernel": ("rows=5 cols=333", "rows=9 cols=264"),
    "write-bulk-copy-kernel": ("n=1003", "n=7"),
}
SEED = b"s" * 32
COPY: dict[str, JSON] = {
    "signature": "k(x:T[rows,cols], out y:T[rows,cols], rows:i32, cols:i32)",
    "reference": "op.py",
    "shapes": ["rows=8 cols=100", "rows=3 cols==33"],
    "dtypes": ["f32"],
    "aligned": True,
}
NORM = "def reference(x, w, eps):\n    return x * (x.square().mean(-1, keepdim=True) + eps).rsqrt() * w\n"
NORMED = COPY | {
    "signature": "k(x:T[rows,cols], w:T[cols], out y:T[rows,cols], rows:i32, cols:i32, eps:f32=1e-6)"
}
# Rows that are small enough for eps.
SMALL_ROWS = (
    "import torch\n"
    "def make_inputs(sizes, generator):\n"
    "    scale = torch.exp2(-torch.arange(sizes['rows']) * 2.0)[:, None]\n"
    "    return {'x': torch.randn(sizes['rows'], sizes['cols'], generator=generator) * scale}\n"
)
Try = Callable[..., Strength]


@pytest.fixture(scope="module")
def judges() -> Iterator[JudgePool]:
    with ExitStack() as stack:
        pool = JudgePool()
        stack.callback(pool.close)
        yield pool


@pytest.fixture
def attempt(tmp_path: Path, judges: JudgePool) -> Try:
    """Try a case with a reference of this text."""

    def attempt(reference: str, case: dict[str, JSON] = COPY, **more: JSON) -> Strength:
        (tmp_path / "op.py").write_text(reference)
        return try_wrong_answers(read_spec(case | more, tmp_path), "case", SEED, judges)

    return attempt


def passing(found: Strength) -> list[str]:
    return [accepted.what for accepted in found.accepted]


@pytest.mark.parametrize("case", SHIPPED)
def test_no_shipped_case_is_weak(case: str, judges: JudgePool) -> None:
    shapes = tuple(shape for line in SMALL[case] for shape in parse_shapes(line))
    found = try_wrong_answers(replace(read_spec(SHIPPED[case], SKILL), shapes=shapes), case, SEED, judges)
    assert found == Strength(found.tried, found.problems, (), (), ())
    assert found.tried >= 11
    assert not found.weak


def test_a_weight_that_is_always_1_need_not_be_read(attempt: Try) -> None:
    ones = SMALL_ROWS.replace("return {", "return {'w': torch.ones(sizes['cols']), ")
    assert passing(attempt(f"{SMALL_ROWS}{NORM}", NORMED)) == []
    found = attempt(f"{ones}{NORM}", NORMED)
    assert found.weak
    (accepted,) = found.accepted
    assert accepted == Accepted(
        "w read as 1",
        accepted.problems,
        "let make_inputs in op.py draw inputs in which it is neither 0 nor 1, and large enough to matter",
    )
    assert max(accepted.problems) == "rows=8 cols=100 f32"
    assert len(accepted.problems) == found.problems


def test_an_eps_that_decides_nothing_need_not_be_there(attempt: Try) -> None:
    (accepted,) = attempt(NORM, NORMED).accepted
    assert accepted.what == "eps read as 0"
    assert accepted.mend == (
        "let make_inputs in op.py draw inputs on which it decides, or give it another value in the signature"
    )


def test_one_problem_that_tells_an_answer_is_enough(attempt: Try) -> None:
    """A kernel has to pass them all."""
    ones = SMALL_ROWS.replace(
        "return {", "return {**({'w': torch.ones(33)} if sizes['cols'] == 33 else {}), "
    )
    assert not attempt(f"{ones}{NORM}", NORMED).weak


@pytest.mark.parametrize(
    ("tolerance", "coarse"),
    [
        ({}, []),
        ({"tolerance": 5e-4}, ["tf32"]),
        ({"tf32": True}, []),
        ({"tolerance": 5e-3}, ["bf16"]),
        ({"dtypes": ["bf16"]}, []),
        ({"dtypes": ["bf16"], "tolerance": 5e-2}, ["fp8"]),
        ({"dtypes": ["f16"], "tolerance": 5e-3}, ["bf16"]),
        ({"dtypes": ["f64"], "tolerance": 1e-6}, ["f32"]),
    ],
)
def test_a_tolerance_that_lets_a_coarser_type_pass_is_found(
    attempt: Try, tolerance: dict[str, JSON], coarse: list[str]
) -> None:
    found = attempt("def reference(x):\n    return x * 1.7\n", **tolerance)
    dtype = (COPY | tolerance)["dtypes"][0]  # type: ignore[index]
    assert passing(found) == [f"y no more precise than {each} where {dtype} is asked for" for each in coarse]
    assert {accepted.mend for accepted in found.accepted} <= {
        "narrow 'tolerance', or let make_inputs in op.py draw inputs that the coarser type cannot hold"
    }


@pytest.mark.parametrize(
    ("reference", "more", "what"),
    [
        ("def reference(x):\n    return x * 1.003\n", {"dtypes": ["bf16"]}, "a copy of x in y"),
        (
            "import torch\n"
            "def make_inputs(sizes, generator):\n"
            "    return {'x': torch.randn(1, sizes['cols'], generator=generator).expand(sizes['rows'], -1)}\n"
            "def reference(x):\n    return x * 1.7\n",
            {},
            "the first row of y in all rows",
        ),
        (
            "def reference(x):\n    y = x * 1.7\n    y[:, -1] *= 1e-7\n    return y\n",
            {"signature": "k(x:T[rows,cols], out zero y:T[rows,cols], rows:i32, cols:i32)"},
            "the last element of y left out",
        ),
        (
            "def reference(x):\n    y = x * 1.7\n    y[-1] *= 1e-9\n    return y\n",
            {
                "signature": "k(x:T[rows,cols], out zero y:T[rows,cols], rows:i32, cols:i32)",
                "tolerance": 1e-2,
            },
            "the last row of y left out",
        ),
        (
            "import torch\n"
            "def make_inputs(sizes, generator):\n"
            "    return {'x': torch.rand(sizes['rows'], sizes['cols'], generator=generator)}\n"
            "def reference(x):\n    return x * 1.7\n",
            {"shapes": ["rows==1 cols==10000"], "tolerance": 0.1},
            "one element of y off",
        ),
        (
            "import torch\n"
            "def make_inputs(sizes, generator):\n"
            "    return {'x': torch.rand(sizes['rows'], sizes['cols'], generator=generator)}\n"
            "def reference(x):\n    return x.relu()\n",
            {},
            "a copy of x in y",
        ),
        (
            "import torch\n"
            "def make_inputs(sizes, generator):\n"
            "    return {'x': torch.randint(0, 99, (sizes['rows'], sizes['cols']), generator=generator).float()}\n"
            "def reference(x):\n    return x\n",
            {},
            "y no more precise than bf16 where f32 is asked for",
        ),
        ("def reference(x, by):\n    return x * 1.7\n", {"signature": f"{COPY['signature']}"[:-1] + ", by:f32=2)"},
         "by read as 0"),
        ("def reference(x, k):\n    return x * 1.7\n", {"signature": f"{COPY['signature']}"[:-1] + ", k:i32=1)"},
         "k read as 0"),
        ("def reference(x, b):\n    return x * 1.7\n",
         {"signature": "k(x:T[rows,cols], b:i32[cols], out y:T[rows,cols], rows:i32, cols:i32)"}, "b read as 1"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) and "\n" not in value else "",
)  # fmt: skip
def test_each_kind_of_weakness_is_found(
    attempt: Try, reference: str, more: dict[str, Any], what: str
) -> None:
    found = attempt(reference, **more)
    assert what in passing(found)
    assert found.refused == ()


def test_what_passes_without_any_work_is_told_in_the_judges_own_words(attempt: Try) -> None:
    found = attempt("def reference(x):\n    return x * 0\n", shapes=["rows==8 cols==100"])
    assert found == Strength(
        0,
        1,
        (),
        (),
        (
            "op.py: the case case proves nothing on rows=8 cols=100 f32: the reference's 'y' is 0 everywhere, or too "
            "small for f32, so that zeros would pass; write 'def make_inputs(sizes, dtype, generator)' whose inputs "
            "tell answers apart",
        ),
    )
    assert found.weak


def test_a_tolerance_that_no_kernel_can_keep_is_found(attempt: Try) -> None:
    found = attempt(
        "def reference(x):\n    return x * 1.7\n",
        shapes=["rows==8 cols==100"],
        dtypes=["bf16"],
        tolerance=1e-6,
    )
    assert found.weak
    assert found.tried == 0
    (refused,) = found.refused
    assert refused.startswith(
        "rows=8 cols=100 bf16: y: no single element is far off, 8 of 8 rows are as a whole"
    )
    assert "\n" not in refused


def test_a_mistake_in_the_reference_is_an_error_with_its_line(attempt: Try) -> None:
    with pytest.raises(ScorerError) as caught:
        attempt("def reference(x):\n    return x * z\n", shapes=["rows==8 cols==100"])
    assert str(caught.value) == (
        "op.py:2: reference() failed on rows=8 cols=100 f32: NameError: name 'z' is not defined"
    )


def test_a_reference_that_fails_on_what_no_case_asks_for_is_no_mistake(attempt: Try) -> None:
    strict = "def reference(x, k):\n    if not k > 1: raise ValueError(k)\n    return x * k\n"
    found = attempt(strict, signature=f"{COPY['signature']}"[:-1] + ", k:f32=3)")
    assert not found.weak


# The inputs by default have rows of a size at which no eps decides.
WITHOUT_EPS = {("rmsnorm", dtype) for dtype in DTYPES} | {("layernorm", "f16"), ("layernorm", "bf16")}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_every_operation_tells_wrong_answers_from_the_right_one(op: Op, dtype: str) -> None:
    found = list(trial(op.reference, op.problem(dtype)).answers(0, ()))
    assert [(answer.kind, answer.hit) for answer in found[:1]] == [("right", True)]
    passed = ["eps read as 0"] if (op.name, dtype) in WITHOUT_EPS else []
    assert [answer.what for answer in found[1:] if answer.hit] == passed


def test_an_answer_that_happens_to_be_right_is_no_wrong_one() -> None:
    made = [
        answer.what
        for answer in trial("def reference(x):\n    return x\n", rows_by_cols("f32")).answers(0, ())
    ]
    assert "a copy of x in y" not in made
    assert "one element of y off" in made


def test_an_answer_that_was_rejected_is_not_made_again() -> None:
    judge = trial("def reference(x):\n    return x * 2\n", rows_by_cols("f32"))
    made = [answer.what for answer in judge.answers(0, ("zeros in y", "x read as 0"))]
    assert "zeros in y" not in made
    assert "x read as 0" not in made
    assert "x read as 1" in made


def test_whole_numbers_and_several_outputs_are_tried_one_by_one() -> None:
    posed = problem(
        "f32",
        tensor("x", "in", "f32", 300),
        tensor("y", "out", "f32", 300),
        tensor("at", "out", "u16", 300),
        tensor("sum", "out zero", "f64"),
        n=300,
    )
    reference = "def reference(x):\n    return {'y': x * 2, 'at': x.argsort(), 'sum': x.sum()}\n"  # 0 to 299
    found = list(trial(reference, posed).answers(0, ()))
    assert [answer.what for answer in found if answer.hit] == ["the right answer"]
    made = {answer.what for answer in found}
    assert {f"zeros in {name}" for name in ("y", "at", "sum")} <= made
    assert {"one element of at off", "the last element of at left out"} <= made
    assert "the last element of sum left out" not in made
    assert "sum left as it was before the call" not in made


def test_sampled_rows_are_told_apart_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "_LARGE", 1000)
    monkeypatch.setattr(sampling, "_ELEMENTS", 1)
    reference = (
        "def rows(inputs, index):\n    return {'x': inputs['x'][index]}\n"
        "def reference(x):\n    return x * 1.7\n"
    )
    found = list(trial(reference, rows_by_cols("bf16", rows=2000, cols=9)).answers(0, ()))
    assert "of 2000 rows compared" in found[0].evidence
    assert [answer.what for answer in found if answer.hit] == ["the right answer"]
    assert "the first row of y in all rows" in {answer.what for answer in found}


@pytest.mark.parametrize("dtype", SIZES)
def test_outputs_of_every_type_are_told_apart(dtype: str) -> None:
    posed = problem(
        dtype,
        tensor("x", "in", dtype, 7, 90),
        tensor("y", "out", dtype, 7, 90),
        tensor("z", "inout", dtype, 90),
        tensor("nothing", "out", dtype, 0, 3),
    )
    reference = "def reference(x, z):\n    return {'y': x * 2 + 1, 'z': z + x[0] + 1, 'nothing': x[:0, :3]}\n"
    found = list(trial(reference, posed).answers(0, ()))
    assert [answer.what for answer in found if answer.hit] == ["the right answer"]
    assert "z left as it was before the call" in {answer.what for answer in found}


def test_a_kernel_without_inputs_may_write_what_it_always_writes() -> None:
    posed = problem("f32", tensor("y", "out", "f32", 100), n=100)
    found = list(
        trial("import torch\ndef reference(n):\n    return torch.full((n,), 3.0)\n", posed).answers(0, ())
    )
    assert [answer.what for answer in found if answer.hit] == ["the right answer"]
    assert "one number all over y" not in {answer.what for answer in found}
