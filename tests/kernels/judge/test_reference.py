"""Mistakes in the reference file are told with file and line; what it may do works."""

from __future__ import annotations

import pytest

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels.data import Problem, Scalar
from tests.kernels.judge.jobs import drawn, problem, rows_by_cols, tensor, trial, verdict

pytest.importorskip("torch")


def mistake(reference: str, posed: Problem | None = None) -> str:
    """Return what is said of a reference file."""
    with pytest.raises(ScorerError) as caught:
        attempt(reference, posed or rows_by_cols("f32"))
    return str(caught.value)


def attempt(reference: str, posed: Problem) -> None:
    judge = trial(reference, posed)
    judge.inputs(0, 0)
    judge.verdict(0, 0, [bytes(each.nbytes) for each in judge._task.problems[0].returned])


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("def reference(x)\n", "op.py:1: the reference cannot be loaded: SyntaxError: expected ':'"),
        (
            "import torch\nimport nowhere\n",
            "op.py:2: the reference cannot be loaded: ModuleNotFoundError: No module named 'nowhere'",
        ),
        ("raise SystemExit(3)\n", "op.py:1: the reference cannot be loaded: SystemExit: 3"),
        (
            "def refrence(x):\n    return x\n",
            "op.py: it defines no function 'reference'; write 'def reference(...)' that takes inputs, sizes and "
            "scalars by their names in the signature and returns the outputs",
        ),
        (
            "\ndef help_it(x):\n    return x / {}['a']\n\ndef reference(x):\n    return help_it(x)\n",
            "op.py:3: reference() failed on rows=24 cols=200 f32: KeyError: 'a'",
        ),
        (
            "def reference(x, colls):\n    return x\n",
            "op.py:1: reference() takes 'colls' (did you mean 'cols'?), and what it can take is rows, cols, x",
        ),
        (
            "\n\ndef reference(x):\n    return x.T\n",
            "op.py:3: 'y' of reference() has shape [200, 24] where the signature says [24, 200]",
        ),
        (
            "def reference(x):\n    return 3.0\n",
            "op.py:1: reference() returned float and not a tensor, a tuple of tensors, or a dict of them",
        ),
        (
            "def reference(x):\n    return x, x\n",
            "op.py:1: reference() returned 2 tensors where the signature has 1 outputs (y)",
        ),
        (
            "def reference(x):\n    return {'z': x}\n",
            "op.py:1: reference() returned z where the signature has the outputs y",
        ),
        (
            "def reference(x):\n    return [None]\n",
            "op.py:1: 'y' of reference() is NoneType and not a tensor",
        ),
        (
            "def reference(x):\n    return x.float()\n",
            "op.py:1: 'y' of reference() is torch.float32: what it is computed in must stay float64, as its inputs are",
        ),
        (
            "def reference(x):\n    x[2] = float('nan')\n    return x\n",
            "op.py:1: 'y' of reference() holds NaN in 200 of 4800 elements, and no input does",
        ),
    ],
)
def test_a_mistake_is_told_with_its_line(reference: str, words: str) -> None:
    assert mistake(reference) == words


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        (
            "def reference(x):\n    return 2.0 * x\n",
            "op.py:1: 'y' of reference() is torch.float64 where the signature says i8: return integers, as "
            "'.long()' does",
        ),
        (
            "def reference(x):\n    return x * 100\n",
            "op.py:1: 'y' of reference() goes from -800 to 700, which does not fit in i8",
        ),
    ],
)
def test_a_mistake_with_integers_is_told(reference: str, words: str) -> None:
    posed = problem("i8", tensor("x", "in", "i8", 24, 200), tensor("y", "out", "i8", 24, 200))
    assert mistake(reference, posed) == words


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return 3", "make_inputs() returned int and not a dict of tensors by name"),
        (
            "return {'w': torch.ones(3)}",
            "make_inputs() returned 'w', which is no input of the signature; its inputs are x",
        ),
        ("return {'x': 3}", "'x' of make_inputs() is int and not a tensor"),
        (
            "return {'x': torch.ones(3)}",
            "'x' of make_inputs() has shape [3] where the signature says [24, 200]",
        ),
    ],
)
def test_a_mistake_in_make_inputs_is_told(body: str, words: str) -> None:
    text = f"import torch\ndef reference(x):\n    return x\ndef make_inputs(sizes):\n    {body}\n"
    assert mistake(text) == f"op.py:4: {words}"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("torch.full((10,), 1.5)", "is torch.float32 where the signature says u8"),
        ("torch.full((10,), -1)", "holds values that do not fit in u8"),
    ],
)
def test_integers_of_make_inputs_must_fit(body: str, words: str) -> None:
    text = f"import torch\ndef reference(x):\n    return x\ndef make_inputs():\n    return {{'x': {body}}}\n"
    posed = problem("u8", tensor("x", "in", "u8", 10), tensor("y", "out", "u8", 10))
    assert mistake(text, posed) == f"op.py:4: 'x' of make_inputs() {words}"


@pytest.mark.parametrize(
    "reference",
    [
        "def reference(x):\n    return 2 * x\n",
        "def reference(x, /, rows, *, cols):\n    assert x.shape == (rows, cols)\n    return 2 * x,\n",
        "def reference(*rest, **values):\n    return {'y': 2 * values['x']}\n",
        "def reference(x, factor=2):\n    return [factor * x]\n",
        "def reference(x):\n    x.mul_(2)\n    return x\n",
        "import torch\ntwo = torch.tensor(2.0)\nclass Twice:\n    def __call__(self, x):\n        return two * x\n"
        "reference = Twice()\n",
        "import dataclasses\n@dataclasses.dataclass\nclass Factor:\n    value: 'int' = 2\n"
        "def reference(x):\n    return x * Factor().value\n",
        "import torch\ndef reference(x):\n    return torch.full(x.shape, 2.0) * x.requires_grad_().detach()\n",
    ],
)
def test_a_reference_may_be_written_in_many_ways(reference: str) -> None:
    posed = rows_by_cols("f32")
    judge = trial(reference, posed)
    for _ in range(2):
        assert verdict(judge, [2 * drawn(judge, posed)["x"]]).hit


def test_it_gets_what_the_kernel_gets() -> None:
    """The rounded inputs in float64, integers in int64, scalars as they are passed."""
    text = (
        "import torch\n"
        "def reference(x, at, eps, n):\n"
        "    assert x.dtype == torch.float64 and at.dtype == torch.int64\n"
        "    assert torch.equal(x, x.bfloat16().double())\n"
        "    assert eps == float(torch.tensor(0.1, dtype=torch.float32)) != 0.1\n"
        "    assert type(n) is int and n == 100\n"
        "    assert torch.get_default_dtype() == torch.float64 and not torch.is_grad_enabled()\n"
        "    return x + at\n"
    )
    posed = problem(
        "bf16",
        tensor("x", "in", "bf16", 100),
        tensor("at", "in", "u16", 100),
        tensor("y", "out", "bf16", 100),
        Scalar("eps", "f32", 0.1),
        Scalar("n", "i32", 100),
        n=100,
    )
    judge = trial(text, posed)
    given = drawn(judge, posed)
    assert verdict(judge, [(given["x"].float() + given["at"].float()).bfloat16()]).hit


def test_what_a_reference_does_to_its_inputs_changes_nothing() -> None:
    posed = problem("f64", tensor("x", "inout", "f64", 100))
    judge = trial("def reference(x):\n    x += 1\n    x *= 2\n    return x\n", posed)
    before = drawn(judge, posed)["x"]
    for _ in range(2):
        assert verdict(judge, [(before + 1) * 2]).hit
    assert drawn(judge, posed)["x"].equal(before)
