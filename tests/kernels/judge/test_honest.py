"""What is computed as it should be passes, in every type and for every draw."""

from __future__ import annotations

import pytest

from tests.kernels.judge.jobs import DTYPES, OPS, Op, drawn, trial, verdict

pytest.importorskip("torch")

# The largest part of what is allowed that any check took, measured over 20 seeds: 0.03 in f32, 0.44 in f16, and in
# bf16 0.70, but for attention, whose weights are rounded to bf16 before they are multiplied: 0.87.
MOST = {"f32": 0.1, "f16": 0.6, "bf16": 0.95}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_an_honest_answer_passes_for_twenty_seeds(op: Op, dtype: str) -> None:
    problem = op.problem(dtype)
    for number in range(20):
        judge = trial(op.reference, problem, seed=b"%016d" % number)
        found = verdict(judge, [op.answer(drawn(judge, problem))])
        assert found.hit, found.evidence
        assert found.figures["of_allowed"] < MOST[dtype]


def test_the_evidence_of_a_hit_says_how_near_it_was() -> None:
    op = OPS[0]
    judge = trial(op.reference, op.problem("bf16"))
    found = verdict(judge, [op.answer(drawn(judge, op.problem("bf16")))])
    assert found.evidence == (
        "y: error 0.0017 of the norm, 0.005 allowed for bf16; worst row at 46% and worst element at 38% of what is "
        "allowed"
    )
    assert set(found.figures) == {"error", "of_allowed"}
