"""The kernel cases of the shipped skill: right answers pass what there is here, wrong ones end where they should."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from pytest_upskill.errors import ScorerError
from pytest_upskill.kernels.bench import Bench
from pytest_upskill.kernels.data import Device, Job, Miss, Problem, Workload
from pytest_upskill.kernels.devices import devices
from pytest_upskill.kernels.extract import extract
from pytest_upskill.kernels.judge import Judge, JudgePool
from pytest_upskill.kernels.launcher import Call, Fault, Launcher
from pytest_upskill.kernels.spec import KernelSpec, read_spec
from pytest_upskill.kernels.workloads import workloads
from pytest_upskill.suite.skill import load_skill
from pytest_upskill.types import ScoringRun, Stage
from tests.kernels.emulated import build
from tests.kernels.emulated.plain import PlainSandbox

ROOT = Path(__file__).parent.parent
SKILL = ROOT / "skills" / "kernel-builder-cuda-kernels"
ANSWERS = ROOT / "tests" / "kernels" / "answers"
SEED = b"7" * 32
Emulated: TypeAlias = tuple[Any, Device]
Stages: TypeAlias = Callable[[Path], tuple[Stage, ...]]
REPLIES = sorted(ANSWERS.glob("*/*.md"))
CASES = sorted({path.parent.name for path in REPLIES})
# Ends of rows that fill no 16 bytes, more threads than elements, several rows.
SMALL = {
    "write-rmsnorm-kernel": [{"rows": 3, "cols": 1001}, {"rows": 9, "cols": 264}],
    "write-layernorm-gelu-kernel": [{"rows": 5, "cols": 333}, {"rows": 9, "cols": 264}],
}


def replies(*stages: str) -> pytest.MarkDecorator:
    """Run a test on each answer that ends at one of these stages; `right` ones end nowhere."""
    found = [path for path in REPLIES if stage_of(path) in stages]
    return pytest.mark.parametrize("path", found, ids=lambda path: f"{path.parent.name}-{path.stem}")


def stage_of(path: Path) -> str:
    word, _, rest = path.stem.partition("-")
    return rest.partition("-")[0] if word == "wrong" else word


@cache
def spec_of(case: str) -> KernelSpec:
    cases = json.loads((SKILL / "skill_meta.json").read_text(encoding="utf-8"))["cases"]
    found = next(each for each in cases if each["id"] == case)
    return read_spec(found["expected"]["kernel"], SKILL)


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    """Return the stages of an answer that need no device; a compiler is run for each answer once."""
    try:
        bench = Bench(ScoringRun(tmp_path_factory.mktemp("artefacts"), SEED, unsafe=True))
    except ScorerError as error:
        pytest.skip(str(error))

    @cache
    def stages(path: Path) -> tuple[Stage, ...]:
        spec = replace(spec_of(path.parent.name), require="compile")
        if stage_of(path) != "right":
            spec = replace(spec, dtypes=spec.dtypes[-1:])  # one is enough to be rejected
        if spec.gates.sass_required and bench.toolchain.disassembler is None:
            pytest.skip("nvdisasm is not installed")
        return bench.try_answer(path.read_text(encoding="utf-8"), spec, path.parent.name, SEED).stages

    yield stages
    bench.close()


def missed(found: tuple[Stage, ...]) -> list[tuple[str, str]]:
    return [(stage.name, stage.evidence) for stage in found if stage.outcome == "missed"]


def test_each_kernel_case_has_an_answer_that_is_right_and_several_that_are_not() -> None:
    cases = json.loads((SKILL / "skill_meta.json").read_text(encoding="utf-8"))["cases"]
    assert sorted(each["id"] for each in cases if "kernel" in each["expected"]) == CASES
    for case in CASES:
        ends = [stage_of(path) for path in REPLIES if path.parent.name == case]
        assert ends.count("right") == 1
        assert len(ends) >= 5
        assert set(ends) <= {"right", "extract", "compile", "facts", "correct"}


@pytest.mark.parametrize("case", CASES)
def test_a_kernel_case_hides_a_shape_and_has_one_that_is_misaligned(case: str) -> None:
    found = workloads(spec_of(case), SEED)
    assert sum(each.drawn and not each.misaligned for each in found) >= 1
    assert sum(each.misaligned for each in found) >= 1
    assert {each.dtype for each in found} == set(spec_of(case).dtypes)


def test_the_references_are_no_files_of_the_skill() -> None:
    assert len(list((SKILL / "evals" / "kernels").glob("*.py"))) > len(CASES)
    assert load_skill(SKILL, ("skill_meta.json",)).files == ()


@replies("right", "correct")
def test_right_numbers_or_wrong_ones_are_nothing_that_a_compiler_sees(stages: Stages, path: Path) -> None:
    found = stages(path)
    assert missed(found) == []
    assert [(stage.name, stage.outcome) for stage in found] == [
        ("extract", "passed"),
        ("compile", "passed"),
        ("facts", "passed"),
    ]


@replies("extract", "compile", "facts")
def test_a_wrong_answer_is_rejected_at_the_stage_of_its_name(stages: Stages, path: Path) -> None:
    ((stage, evidence),) = missed(stages(path))
    assert stage == stage_of(path)
    assert evidence


@pytest.mark.parametrize(
    ("name", "evidence"),
    [
        ("write-bulk-copy-kernel/wrong-compile-setmaxnreg", "setmaxnreg"),
        ("write-bulk-copy-kernel/wrong-facts-cp-async", "UBLKCP.G.S, UBLKCP.S.G"),
        ("write-bulk-copy-kernel/wrong-facts-one-way", "UBLKCP.G.S; the nearest that it has: UBLKCP.S.G"),
        ("write-layernorm-gelu-kernel/wrong-facts-row-on-the-stack", "bytes of stack a thread"),
        ("write-rmsnorm-kernel/wrong-facts-eps-is-double", "eps"),
    ],
)
def test_the_evidence_says_what_is_wrong(stages: Stages, name: str, evidence: str) -> None:
    assert evidence in missed(stages(ANSWERS / f"{name}.md"))[0][1]


@pytest.fixture(scope="module")
def judges() -> Iterator[JudgePool]:
    pytest.importorskip("torch", reason="the judge needs PyTorch")
    with ExitStack() as stack:
        pool = JudgePool()
        stack.callback(pool.close)
        yield pool


@pytest.fixture(scope="module")
def emulated() -> Iterator[Emulated]:
    if reason := build.missing():
        pytest.skip(reason)
    sandbox: Any = PlainSandbox()
    yield sandbox, devices(sandbox, build.driver())[0]
    sandbox.close()


def job_of(path: Path) -> tuple[str, Job]:
    """Return the code of an answer and a job with small problems of its case."""
    spec = spec_of(path.parent.name)
    source = extract(path.read_text(encoding="utf-8"), spec)
    found = [
        Workload(sizes, dtype, f"{sizes} {dtype}{' misaligned' * misaligned}", misaligned)
        for dtype in spec.dtypes
        for sizes in SMALL[path.parent.name]
        for misaligned in (False, True)
    ]
    problems = tuple(
        Problem(
            each,
            spec.signature.arguments(each),
            source.declaration.launch(spec.signature.numbers(each), each.dtype),
        )
        for each in found
    )
    return source.code, Job(
        case=path.parent.name,
        entry=spec.signature.entry,
        require="correct",
        cubins={},
        problems=problems,
        reference=spec.reference,
        reference_name=spec.reference_name,
        seed=SEED,
        tolerance=spec.tolerance,
        moved={},
        flops={},
    )


def wrong_problems(path: Path, emulated: Emulated, judges: JudgePool) -> dict[str, list[str]]:
    """Return what is wrong with an answer on an emulated device, by element type."""
    code, job = job_of(path)
    wrong: dict[str, list[str]] = {problem.workload.dtype: [] for problem in job.problems}
    with Judge(job, judges) as judge:
        for dtype, found in wrong.items():
            try:
                found.extend(_wrong_in(dtype, code, job, judge, emulated))
            except Fault as fault:
                found.append(str(fault))
    return wrong


def _wrong_in(dtype: str, code: str, job: Job, judge: Judge, emulated: Emulated) -> Iterator[str]:
    sandbox, device = emulated
    with Launcher(device, sandbox, build.driver()) as launcher:
        launcher.load(build.image(code, dtype, job.entry), job.entry)
        for index, problem in enumerate(job.problems):
            if problem.workload.dtype != dtype:
                continue
            launcher.put(index, judge.inputs(index, 0))
            called = launcher.call(
                Call(problem.arguments, problem.launch, index, problem.workload.misaligned)
            )
            yield from (*called.broken_guards, *called.changed_inputs)
            judgement = judge.verdict(index, 0, called.outputs)
            if not judgement.hit:
                yield judgement.evidence


@pytest.mark.parametrize("case", sorted(SMALL))
def test_a_right_answer_is_right_on_an_emulated_device(
    case: str, emulated: Emulated, judges: JudgePool
) -> None:
    found = wrong_problems(ANSWERS / case / "right.md", emulated, judges)
    assert found == {dtype: [] for dtype in spec_of(case).dtypes}


@replies("correct")
def test_a_wrong_answer_is_wrong_on_an_emulated_device(
    path: Path, emulated: Emulated, judges: JudgePool
) -> None:
    assert any(wrong_problems(path, emulated, judges).values())


def test_the_bulk_copy_cannot_be_emulated() -> None:
    if reason := build.missing():
        pytest.skip(reason)
    spec = spec_of("write-bulk-copy-kernel")
    source = extract((ANSWERS / "write-bulk-copy-kernel" / "right.md").read_text(encoding="utf-8"), spec)
    with pytest.raises(build.Unsupported, match="inline PTX cannot be emulated"):
        build.image(source.code, "f32", spec.signature.entry)


@pytest.mark.parametrize("case", CASES)
def test_a_right_answer_can_be_launched_on_every_problem_of_its_case(case: str) -> None:
    spec = spec_of(case)
    source = extract((ANSWERS / case / "right.md").read_text(encoding="utf-8"), spec)
    for work in workloads(spec, SEED):
        launch = source.declaration.launch(spec.signature.numbers(work), work.dtype)
        assert 32 <= launch.block[0] <= 1024
        assert 1 <= launch.grid[0] <= max(4096, 2**31 - 1)


def test_a_launch_comment_that_names_no_size_says_which_there_are() -> None:
    path = ANSWERS / "write-rmsnorm-kernel" / "wrong-extract-launch-of-unknown-size.md"
    with pytest.raises(Miss) as caught:
        extract(path.read_text(encoding="utf-8"), spec_of("write-rmsnorm-kernel"))
    assert str(caught.value) == (
        "the launch comment uses batch, which is no size of the kernel; known are cols, rows, sizeof_T"
    )


@pytest.mark.parametrize(("size", "taken"), [(16, True), (24, False), (8, False), (4096, True)])
def test_the_assembler_takes_bulk_copies_of_multiples_of_16_bytes_alone(
    tmp_path: Path, size: int, taken: bool
) -> None:
    nvcc = shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")
    if nvcc is None:
        pytest.skip("nvcc is not installed")
    (tmp_path / "copy.cu").write_text(
        'extern "C" __global__ void k(void* to, unsigned from) {\n'
        f'  asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], {size};" '
        '::"l"(__cvta_generic_to_global(to)), "r"(from) : "memory");\n}\n',
        encoding="utf-8",
    )
    command = [nvcc, "-arch=sm_90", "-cubin", "-o", str(tmp_path / "copy.cubin"), str(tmp_path / "copy.cu")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode == 0) is taken
    assert taken or re.search("expected to be multiple of 16", done.stdout + done.stderr)
