from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_upskill.scorers.code import Python
from pytest_upskill.types import Case, Check, Reply, Score, ScoringContext

Judge = Callable[..., list[Score]]
Refusal = Callable[..., str]


def _skill(root: Path, **files: str) -> ScoringContext:
    for name, text in files.items():
        path = root / f"{name.replace('__in__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return ScoringContext(root, Case("one", "Do it", ()))


def test_two_skills_may_each_have_a_module_of_the_same_name(tmp_path: Path) -> None:
    scorer = Python()
    before = (set(sys.modules), list(sys.path))
    found = []
    for name in ("a", "b", "a"):
        helpers = f"def hit(text):\n    return text == '{name}'\n"
        late = (
            "import helpers\ndef f(reply):\n    import late\n    return helpers.hit(reply.text) and late.X\n"
        )
        context = _skill(tmp_path / name, checks=late, helpers=helpers, late=f"X = '{name}' == '{name}'")
        found.append(scorer.score(Reply(name), Check("python", "checks:f"), context)[0].hit)
    assert found == [True, True, True]
    assert (set(sys.modules), list(sys.path)) == before


def test_a_package_beside_the_skill_may_import_from_itself(tmp_path: Path, judge: Judge) -> None:
    _skill(
        tmp_path,
        pack__in____init__="",
        pack__in__deep="from .low import f",
        pack__in__low="def f(r): return True",
    )
    assert judge("python", "pack.deep:f", "")[0].hit


@pytest.mark.parametrize("module", ["checks", "helpers"])
def test_an_edited_module_is_loaded_anew(tmp_path: Path, module: str) -> None:
    scorer = Python()
    context = _skill(
        tmp_path, checks="from helpers import Y\nX = True\ndef f(reply): return X and Y", helpers="Y = True"
    )
    assert scorer.score(Reply(""), Check("python", "checks:f"), context)[0].hit
    path = tmp_path / f"{module}.py"
    path.write_text(path.read_text().replace("= True", "= not True"))
    assert not scorer.score(Reply(""), Check("python", "checks:f"), context)[0].hit


def test_a_module_is_loaded_once_for_many_replies(tmp_path: Path) -> None:
    scorer = Python()
    context = _skill(
        tmp_path, checks="seen = []\ndef f(reply):\n    seen.append(1)\n    return len(seen) == 3\n"
    )
    results = [scorer.score(Reply(""), Check("python", "checks:f"), context)[0].hit for _ in range(3)]
    assert results == [False, False, True]
