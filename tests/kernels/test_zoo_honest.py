from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from pytest_upskill.kernels.extract import extract
from tests.kernels.zoo import HONEST, Honest
from tests.kernels.zoo.runner import Workshop, images, job_of, problems_of, reason_to_skip

_SEEDS = [f"seed {number}".encode() for number in range(20)]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    if reason := reason_to_skip():
        pytest.skip(reason)
    with Workshop(tmp_path_factory.mktemp("artefacts")) as workshop:
        yield workshop


@pytest.mark.parametrize("kernel", HONEST, ids=lambda kernel: kernel.name)
def test_no_seed_rejects_an_honest_kernel_in_any_type(kernel: Honest, workshop: Workshop) -> None:
    spec = kernel.task.spec()
    source = extract(kernel.reply, spec)
    problems = [
        replace(problem, workload=replace(problem.workload, label=f"{problem.workload.label} of {seed!r}"))
        for seed in _SEEDS
        for problem in problems_of(spec, source, seed)
        # Those that a case lists are the same for all seeds; on misaligned ones a quarter of the seeds is enough.
        if seed == _SEEDS[0]
        or (problem.workload.drawn and (seed in _SEEDS[:5] or not problem.workload.misaligned))
    ]
    executed = workshop.execute(job_of(spec, images(source.code, spec), problems, _SEEDS[0]))
    assert [stage for stage in executed.stages if stage.outcome != "passed"] == []
    assert [stage.name for stage in executed.stages] == ["load", "correct", "robust"]
    assert len(problems) == 3 * (1 + 20 + 5)
