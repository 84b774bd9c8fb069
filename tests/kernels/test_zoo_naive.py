from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

import pytest

from tests.kernels.zoo import CHEATS, HONEST, Cheat
from tests.kernels.zoo.entries import HERE
from tests.kernels.zoo.kernels import RMSNORM
from tests.kernels.zoo.runner import Naive, naive

pytestmark = pytest.mark.skipif(find_spec("torch") is None, reason="needs torch")

_FORWARD = "def forward(x, w, eps):\n    return {}\n"
_WRONG = ("torch.zeros_like(x)", "x * 1.1", "x[:, :-1]", "1 / 0")
_TASK = {"reference": RMSNORM.reference_text, "inputs": RMSNORM.inputs}


@pytest.fixture(scope="module")
def found() -> Mapping[str, Naive]:
    """What the naive check says of each cheat by its name, and of wrong answers by themselves."""
    wrong = {answer: {**_TASK, "code": _FORWARD.format(answer)} for answer in _WRONG}
    candidates = {**{cheat.name: cheat.candidate for cheat in CHEATS}, **wrong}
    return dict(zip(candidates, naive(list(candidates.values())), strict=True))


@pytest.mark.parametrize("cheat", CHEATS, ids=lambda cheat: cheat.name)
def test_a_naive_check_accepts_the_cheat(cheat: Cheat, found: Mapping[str, Naive]) -> None:
    assert found[cheat.name].get("correct") is True
    if cheat.fast:
        assert found[cheat.name]["speedup"] > 2


def test_a_naive_check_believes_printed_registers(found: Mapping[str, Naive]) -> None:
    assert found["forged_registers"]["registers"] == 8


@pytest.mark.parametrize("answer", _WRONG)
def test_a_naive_check_rejects_what_is_plainly_wrong(answer: str, found: Mapping[str, Naive]) -> None:
    assert found[answer]["correct"] is False


def test_the_zoo_is_what_its_folders_hold() -> None:
    assert sorted(cheat.name for cheat in CHEATS) == sorted(file.stem for file in HERE.glob("cheats/*.md"))
    assert sorted(kernel.name for kernel in HONEST) == sorted(file.stem for file in HERE.glob("honest/*.cu"))
    assert len(CHEATS) >= 40
    assert len(HONEST) == 10
