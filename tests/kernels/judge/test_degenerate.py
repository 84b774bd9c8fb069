"""A case that an answer without any work would pass is an error, and not a hit."""

from __future__ import annotations

import pytest

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels.data import Problem
from tests.kernels.judge.jobs import drawn, problem, rows_by_cols, tensor, trial, verdict

torch = pytest.importorskip("torch")


def refused(reference: str, posed: Problem, *smaller: Problem) -> str:
    judge = trial(reference, posed, *smaller)
    with pytest.raises(ScorerError) as caught:
        judge.verdict(0, 0, [bytes(each.nbytes) for each in judge._task.problems[0].returned])
    return str(caught.value)


def sentence(why: str, answer: str, label: str = "rows=24 cols=200 f32") -> str:
    return (
        f"op.py: the case case proves nothing on {label}: {why}, so that {answer} would pass; write "
        "'def make_inputs(sizes, dtype, generator)' whose inputs tell answers apart"
    )


@pytest.mark.parametrize(
    ("body", "why", "answer"),
    [
        ("x * 0", "the reference's 'y' is 0 everywhere, or too small for f32", "zeros"),
        ("x * 1e-46", "the reference's 'y' is 0 everywhere, or too small for f32", "zeros"),
        ("x * 0 + 3", "the reference's 'y' is nearly the same number everywhere", "one number for all"),
        ("x + 1000", "the reference's 'y' is nearly the same number everywhere", "one number for all"),
        (
            "x * 0.001 + torch.arange(200)",
            "the reference returns nearly the same for two draws of the inputs",
            "the answer to other inputs",
        ),
    ],
)
def test_it_is_said_what_would_pass(body: str, why: str, answer: str) -> None:
    assert refused(f"import torch\ndef reference(x):\n    return {body}\n", rows_by_cols("f32")) == sentence(
        why, answer
    )


def test_integers_are_held_to_it_too() -> None:
    posed = problem("i32", tensor("x", "in", "i32", 100), tensor("y", "out", "i32", 100), n=100)
    label = "n=100 i32"
    assert refused("def reference(x):\n    return x // 100\n", posed) == sentence(
        "the reference's 'y' is 0 everywhere", "zeros", label
    )
    assert refused("def reference(x):\n    return x // 100 + 7\n", posed) == sentence(
        "the reference's 'y' is nearly the same number everywhere", "one number for all", label
    )
    ramp = "import torch\ndef make_inputs():\n    return {'x': torch.arange(100)}\n"
    same = f"{ramp}def reference(x):\n    return x\n"
    assert refused(same, posed) == sentence(
        "the reference returns nearly the same for two draws of the inputs",
        "the answer to other inputs",
        label,
    )


def test_small_numbers_are_no_reason() -> None:
    """The weights of a softmax over many columns differ by far less than 0.01, and no constant comes near them."""
    posed = problem("f32", tensor("x", "in", "f32", 4, 20000), tensor("y", "out", "f32", 4, 20000))
    judge = trial("def reference(x):\n    return x.softmax(-1)\n", posed)
    out = drawn(judge, posed)["x"].softmax(-1)
    assert float(out.std()) < 0.01
    assert verdict(judge, [out]).hit
    assert not verdict(judge, [torch.full_like(out, float(out.mean()))]).hit


def test_a_problem_of_a_few_elements_is_never_the_reason() -> None:
    tiny = problem("f32", tensor("x", "in", "f32", 1, 1), tensor("y", "out", "f32", 1, 1), rows=1, cols=1)
    judge = trial("def reference(x):\n    return x.softmax(-1) * 0\n", tiny)
    assert verdict(judge, [torch.zeros(1, 1)]).hit
    assert not verdict(judge, [torch.ones(1, 1)]).hit


def test_the_smallest_problem_that_says_something_decides() -> None:
    large = problem("f32", tensor("x", "in", "f32", 100, 100), tensor("y", "out", "f32", 100, 100), rows=100)
    small = problem("f32", tensor("x", "in", "f32", 8, 8), tensor("y", "out", "f32", 8, 8), rows=8)
    tiny = problem("f32", tensor("x", "in", "f32", 1, 8), tensor("y", "out", "f32", 1, 8), rows=1)
    text = "def reference(x):\n    return x + 1000\n"
    assert "proves nothing on rows=8 f32:" in refused(text, large, small, tiny)


def test_without_inputs_a_constant_is_what_is_asked_for() -> None:
    posed = problem("f32", tensor("y", "out", "f32", 100), n=100)
    judge = trial("import torch\ndef reference(n):\n    return torch.full((n,), 3.0)\n", posed)
    assert verdict(judge, [torch.full((100,), 3.0)]).hit
    assert not verdict(judge, [torch.full((100,), 3.1)]).hit


def test_each_output_has_to_say_something() -> None:
    posed = problem(
        "f32",
        tensor("x", "in", "f32", 100),
        tensor("y", "out", "f32", 100),
        tensor("flags", "out", "i32", 100),
    )
    assert "the reference's 'flags' is 0 everywhere" in refused(
        "def reference(x):\n    return x, (x > 1000).long()\n", posed
    )
