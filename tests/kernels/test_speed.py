"""Speeds against their gates, calls that take turns, and timed outputs that are judged."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from pytest_upskill.errors import NotApplicable, ScorerError
from pytest_upskill.kernels import speed as measured
from pytest_upskill.kernels.baseline.parent import Baseline
from pytest_upskill.kernels.ceilings import PROBE, PROBE_ENTRY, KeptFigures
from pytest_upskill.kernels.data import Job, Launch, Miss, Problem, Scalar, Tensor, Workload
from pytest_upskill.kernels.fast import element, time_problem, timed_problems
from pytest_upskill.kernels.judge import Judge, Judgement
from pytest_upskill.kernels.launcher import Call, Called, Launcher
from pytest_upskill.kernels.probe import ceilings_of, default_folder
from pytest_upskill.kernels.roofline import Ceiling, Fingerprint, Traffic, fingerprint
from pytest_upskill.kernels.speed import TOTAL, draw_count, interleaved, measure_speed
from pytest_upskill.kernels.speed_gates import Speed, check_speed, speed
from tests.kernels.emulated import build
from tests.kernels.emulated.machine import Machine, machine

MARK = Fingerprint("NVIDIA H100", "GPU-1", "580.1", "nvcc 13.0.88")
LABEL = "rows=4 cols=8 f32"
X = Tensor("x", "in", "f32", (4, 8))
Y = Tensor("y", "out", "f32", (4, 8))
PROBLEM = Problem(
    Workload({"rows": 4, "cols": 8}, "f32", LABEL),
    (X, Y, Scalar("cols", "i32", 8)),
    Launch((4, 1, 1), (32, 1, 1)),
)
JOB = Job(
    case="double",
    entry="twice",
    require="fast",
    cubins={"f32": b"cubin"},
    problems=(PROBLEM,),
    reference="def reference(x):\n    return x + x\n",
    reference_name="twice.py",
    seed=b"secret",
    tolerance={"f32": 1e-5},
    moved={LABEL: 256},
    flops={LABEL: 32},
)


NONE = Ceiling()


def blocks(ms: float, spread: float = 0.002, period: int = 3) -> list[list[float]]:
    """Return 16 blocks of 4 times, of which the blocks' medians go up and down by the spread."""
    return [[ms * (1 + spread * (n % period - period // 2))] * 4 for n in range(16)]


def found(ours: float, theirs: float | None, ceiling: Ceiling = NONE, spread: float = 0.002) -> Speed:
    baseline = None if theirs is None else blocks(theirs, spread, period=5)
    return speed(LABEL, blocks(ours, spread), baseline, ceiling, judged=4, fingerprint=MARK)


def drifting(ours: float, theirs: float, by: float) -> Speed:
    half = [[time * (1 + by * (n >= 8)) for time in block] for n, block in enumerate(blocks(ours))]
    return speed(LABEL, half, blocks(theirs), Ceiling(), judged=4, fingerprint=MARK)


def missed(of: Speed, min_speedup: float | None = None, min_roofline: float | None = None) -> str:
    with pytest.raises(Miss) as miss:
        check_speed(of, min_speedup, min_roofline)
    assert miss.value.stage == "fast"
    return miss.value.evidence


def test_a_speedup_whose_whole_interval_reaches_the_gate_is_a_hit() -> None:
    check_speed(found(0.5, 1.0), 1.5, None)
    check_speed(found(0.5, 1.0), None, None)


def test_a_speedup_below_the_gate_says_by_how_much() -> None:
    assert missed(found(0.5, 1.0), 3.0) == (
        "below 3 times as fast as eager (1.993 to 2.007): rows=4 cols=8 f32: 0.5000 ms (MAD 0.0010), 2.00 times as "
        "fast as eager (1.99 to 2.01), eager 1.0000 ms (MAD 0.0020)"
    )


def test_a_speedup_that_is_not_proven_to_reach_the_gate_is_a_miss_that_says_so() -> None:
    evidence = missed(found(0.5, 1.0, spread=0.02), 2.0)
    assert evidence.startswith("2 times as fast as eager is not proven (1.9")


def test_a_fraction_of_the_roofline_is_judged_alike() -> None:
    one = found(1.0, None, Ceiling(memory_ms=0.8))
    check_speed(one, None, 0.7)
    assert missed(one, None, 0.9) == (
        "below 0.9 of the roofline (0.800 to 0.802): rows=4 cols=8 f32: 1.0000 ms (MAD 0.0020), 80% of the memory "
        "ceiling (80% to 80%)"
    )


def test_a_gate_that_asks_for_what_was_not_measured_does_not_apply() -> None:
    with pytest.raises(NotApplicable) as error:
        check_speed(found(1.0, None), 1.2, None)
    assert str(error.value) == "rows=4 cols=8 f32: there is no baseline here to compare the kernel with"
    with pytest.raises(NotApplicable) as error:
        check_speed(found(1.0, None), None, 0.5)
    assert str(error.value) == "rows=4 cols=8 f32: no ceiling was measured here to compare the kernel with"


def test_more_than_the_device_can_do_is_an_error_and_no_win_whatever_the_gates() -> None:
    with pytest.raises(ScorerError) as error:
        check_speed(found(0.5, 1.0, Ceiling(memory_ms=0.8, kept="/cache/ceilings-1.json")), None, None)
    assert str(error.value) == (
        "rows=4 cols=8 f32: 0.5000 ms is 160% of the memory ceiling measured on this device, and nothing above 105% "
        "can be true: the kernel leaves out work, or the case's bytes or flops are too high, or the ceiling is wrong "
        "(without /cache/ceilings-1.json it is measured again)"
    )


def test_drift_that_could_turn_the_verdict_is_unstable_and_no_verdict() -> None:
    with pytest.raises(ScorerError) as error:
        check_speed(drifting(0.5, 1.0, 0.2), 1.7, None)
    assert str(error.value) == (
        "rows=4 cols=8 f32: unstable, no verdict: the same code drifted by 19.9% between the halves of 64 calls, and "
        "the speed-up of 1.83 is 7.8% away from 1.7: let the device rest from other work, and run again"
    )


def test_drift_that_cannot_turn_the_verdict_does_not_hinder_it() -> None:
    check_speed(drifting(0.5, 1.0, 0.2), 1.2, None)
    assert missed(drifting(0.5, 1.0, 0.2), 4.0).startswith("below 4 times as fast as eager")


def test_the_baseline_s_drift_counts_for_the_speedup_and_not_for_the_roofline() -> None:
    half = [[time * (1 + 0.3 * (n >= 8)) for time in block] for n, block in enumerate(blocks(1.0))]
    one = speed(LABEL, blocks(0.5), half, Ceiling(memory_ms=0.4), judged=4, fingerprint=MARK)
    with pytest.raises(ScorerError, match=r"unstable, no verdict: the same code drifted by 30\.0%"):
        check_speed(one, 2.0, None)
    check_speed(one, None, 0.75)


def test_a_little_drift_is_found_on_any_device() -> None:
    check_speed(drifting(0.5, 1.0, 0.02), 1.95, None)


def test_a_call_that_is_mostly_its_own_launch_says_so() -> None:
    one = found(0.004, 0.02, Ceiling(floor_ms=0.002))
    assert one.evidence.endswith("mostly the launch itself: one of nothing takes 0.0020 ms")
    assert "launch itself" not in found(0.1, 0.2, Ceiling(floor_ms=0.002)).evidence


def test_all_that_was_measured_is_there_as_numbers() -> None:
    figures = found(0.5, 1.0, Ceiling(memory_ms=0.4)).figures()
    assert figures["speedup_low"] < figures["speedup"] == 2.0 < figures["speedup_high"]
    assert figures["roofline_low"] < figures["roofline"] < figures["roofline_high"]
    assert (figures["milliseconds"], figures["baseline_milliseconds"], figures["calls"]) == (0.5, 1.0, 64)
    assert all(math.isfinite(value) for value in figures.values())
    assert not any(
        name.startswith(("speedup", "roofline", "baseline")) for name in found(0.5, None).figures()
    )


def test_a_figure_without_an_end_is_left_out() -> None:
    assert "speedup_high" not in found(0.0004, 1.0).figures()


def test_fewer_than_fifty_calls_are_no_speed() -> None:
    with pytest.raises(ValueError, match=r"^a speed takes 50 timed calls, not 40$"):
        speed(LABEL, blocks(1.0)[:10], None, Ceiling(), judged=4, fingerprint=MARK)


def test_the_sides_take_turns_and_who_begins_changes() -> None:
    turns: list[str] = []

    def side(name: str) -> Callable[[int], list[float]]:
        def times(count: int) -> list[float]:
            turns.append(name)
            return [float(n + 1) for n in range(count)]

        return times

    ours, theirs = interleaved(side("a"), side("b"), blocks=4, calls=2)
    assert "".join(turns) == "abbaabba"
    assert ours == theirs == [[2.0, 3.0]] * 4


def test_a_time_that_the_clock_could_not_tell_from_nothing_is_what_it_can_tell() -> None:
    assert interleaved(lambda count: [0.0] * count, None, blocks=1, calls=2) == ([[0.0005, 0.0005]], None)


@pytest.mark.parametrize(("elements", "draws"), [(0, 1), (1, 80), (2**20, 80), (2**24, 16), (2**28, 2)])
def test_there_are_as_many_draws_as_fit_and_two_at_least(elements: int, draws: int) -> None:
    assert draw_count([Tensor("x", "in", "f32", (elements,)), Y, Scalar("n", "i32", 1)]) == draws


class FakeJudge:
    """Gives numbered inputs and knows an output by the number of its input."""

    def __init__(self) -> None:
        self.judged: list[int] = []

    def inputs(self, problem: int, copy: int) -> list[bytes]:
        return [copy.to_bytes(4, "little") * 32]

    def verdict(self, problem: int, copy: int, outputs: Sequence[bytes]) -> Judgement:
        self.judged.append(copy)
        right = list(outputs) == self.inputs(problem, copy)
        return Judgement(right, "right" if right else "y[0,0] is 7 where 8 was wanted")


class FakeLauncher:
    """Copies its input in the time that it is told, with what a test does to the answer."""

    def __init__(
        self, ms: float, spoil: Callable[[int, Called], Called] = lambda made, called: called
    ) -> None:
        self._ms = ms
        self._spoil = spoil
        self._inputs: dict[int, list[bytes]] = {}
        self.calls: list[tuple[Call, bytes]] = []

    def put(self, key: int, blocks: Sequence[bytes]) -> None:
        self._inputs[key] = list(blocks)

    def call(self, call: Call) -> Called:
        given = self._inputs[call.inputs]
        self.calls.append((call, given[0]))
        return self._spoil(len(self.calls), Called(list(given), (), (), self._ms))


class FakeBaseline:
    def __init__(self, ms: float) -> None:
        self._ms = ms
        self.prepared: list[tuple[int, int]] = []

    def prepare(self, number: int, pool: Sequence[Sequence[bytes]]) -> None:
        self.prepared.append((number, len(pool)))

    def times(self, count: int) -> list[float]:
        return [self._ms] * count


def measure(
    launcher: FakeLauncher, judge: FakeJudge, baseline: FakeBaseline | None = None, ceiling: Ceiling = NONE
) -> Speed:
    return measure_speed(
        JOB,
        0,
        cast("Launcher", launcher),
        cast("Judge", judge),
        cast("Baseline | None", baseline),
        ceiling,
        mark=MARK,
    )


def test_a_measured_speed_has_both_sides_and_the_ceiling_of_the_problem() -> None:
    launcher, judge, baseline = FakeLauncher(0.5), FakeJudge(), FakeBaseline(1.0)
    one = measure(launcher, judge, baseline, Ceiling(memory_ms=0.4))
    assert (one.candidate.ms, one.candidate.calls, one.judged) == (0.5, 64, 4)
    assert one.ratio is not None
    assert one.ratio.value == 2.0
    assert one.roofline is not None
    assert one.roofline.fraction == 0.8
    assert baseline.prepared == [(0, 4)]


def test_every_timed_call_is_like_the_others_and_most_have_other_inputs() -> None:
    launcher = FakeLauncher(0.5)
    measure(launcher, FakeJudge())
    assert len(launcher.calls) == TOTAL
    assert (
        len({(call.launch, call.keep, call.flush, call.check, call.inputs) for call, _ in launcher.calls})
        == 1
    )
    assert launcher.calls[0][0].flush
    assert len({given for _, given in launcher.calls}) > TOTAL / 3


def test_the_last_call_and_some_that_change_from_time_to_time_are_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    picked: set[tuple[int, ...]] = set()
    for _ in range(5):
        launcher, judge = FakeLauncher(0.5), FakeJudge()
        measure(launcher, judge)
        copies = [int.from_bytes(given[:4], "little") for _, given in launcher.calls]
        assert len(judge.judged) == measured.JUDGED + 1
        assert judge.judged[-1] == copies[-1]
        assert set(judge.judged) <= set(copies)
        picked.add(tuple(judge.judged))
    assert len(picked) > 1


def test_a_kernel_that_is_right_at_first_and_then_wrong_is_a_miss() -> None:
    def drift_away(made: int, called: Called) -> Called:
        return replace(called, outputs=[bytes(128)]) if made > 10 else called

    with pytest.raises(
        Miss, match=r"^rows=4 cols=8 f32: call \d+ of the 80 that were timed left a wrong output: y"
    ) as miss:
        measure(FakeLauncher(0.5, drift_away), FakeJudge())
    assert miss.value.stage == "fast"


def test_a_timed_call_that_writes_where_it_must_not_is_a_miss() -> None:
    def strays(made: int, called: Called) -> Called:
        return replace(called, broken_guards=("y: written 4 bytes past its end",)) if made == 33 else called

    with pytest.raises(Miss) as miss:
        measure(FakeLauncher(0.5, strays), FakeJudge())
    assert miss.value.evidence == (
        "rows=4 cols=8 f32: call 33 of the 80 that were timed wrote outside of its buffers: y: written 4 bytes past "
        "its end"
    )


def test_a_timed_call_that_changes_its_input_is_a_miss() -> None:
    def spoils(made: int, called: Called) -> Called:
        return replace(called, changed_inputs=("x",)) if made == 80 else called

    with pytest.raises(Miss) as miss:
        measure(FakeLauncher(0.5, spoils), FakeJudge())
    assert miss.value.evidence == "rows=4 cols=8 f32: call 80 of the 80 that were timed changed its input x"


TWICE = """\
extern "C" __global__ void twice(const T* x, T* y, int cols) {
    int at = blockIdx.x * cols + threadIdx.x;
    if (threadIdx.x < cols) y[at] = x[at] + x[at];
}
"""


@pytest.fixture(scope="module")
def here() -> Iterator[Machine]:
    pytest.importorskip("torch")
    with machine() as found:
        yield found


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge(JOB) as found:
        yield found


def test_a_kernel_is_timed_by_the_real_launcher_and_held_against_the_probe(
    here: Machine, judge: Judge, tmp_path: Path
) -> None:
    probe, twice = build.image(PROBE, "", PROBE_ENTRY), build.image(TWICE, "f32", "twice")
    job = replace(JOB, cubins={"f32": twice}, probe=probe, compiler="nvcc 13.0.88")
    one = time_problem(job, 0, here.device, here.launcher, judge, tmp_path)
    assert (one.candidate.calls, one.judged, one.ratio) == (64, 4, None)
    assert one.roofline is not None
    assert one.roofline.bound == "memory"
    assert one.fingerprint == fingerprint(here.device, "nvcc 13.0.88")
    kept = KeptFigures(tmp_path, one.fingerprint)
    assert one.floor_ms == kept.get("moved 0:0")
    assert one.roofline.fraction == pytest.approx((kept.get("moved 128:128") or 0.0) / one.candidate.ms)


def test_a_kernel_that_is_wrong_is_found_so_by_the_judge_after_it_was_timed(
    here: Machine, judge: Judge
) -> None:
    once = build.image(TWICE.replace("+ x[at]", ""), "f32", "twice")
    wrong = r"^rows=4 cols=8 f32: call \d+ of the 80 that were timed left a wrong output: y"
    with here.launcher() as launcher:
        loaded = launcher.load(once, "twice")
        with pytest.raises(Miss, match=wrong):
            measure_speed(JOB, 0, launcher, judge, None, NONE, mark=MARK, loaded=loaded)


def test_a_case_that_asks_for_a_speedup_does_not_apply_where_there_is_no_baseline(
    here: Machine, judge: Judge, tmp_path: Path
) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(NotApplicable, match=r"cannot use a GPU here"):
        time_problem(replace(JOB, min_speedup=1.2), 0, here.device, here.launcher, judge, tmp_path)


def workload(dtype: str, rows: int, **more: bool) -> Problem:
    label = f"rows={rows} {dtype} {sorted(more)}"
    return Problem(
        Workload({"rows": rows}, dtype, label, **more),
        (Tensor("x", "in", dtype or "f16", (rows,)), Tensor("n", "out", "i32", (1,))),
        Launch((1, 1, 1), (1, 1, 1)),
    )


def test_of_each_type_the_largest_problem_of_fixed_sizes_is_timed() -> None:
    problems = (
        workload("bf16", 64),
        workload("bf16", 256),
        workload("bf16", 999, drawn=True),
        workload("bf16", 512, misaligned=True),
        workload("f32", 8, drawn=True),
        workload("f32", 16, drawn=True),
    )
    assert timed_problems(replace(JOB, problems=problems)) == (1, 5)


def test_a_problem_without_an_element_type_computes_in_that_of_its_first_real_tensor() -> None:
    assert element(workload("", 4)) == "f16"
    assert element(workload("f32", 4)) == "f32"
    assert element(Problem(Workload({}, "", ""), (Tensor("n", "in", "i8", (1,)),), PROBLEM.launch)) == "i8"


def test_the_probe_reads_and_writes_what_it_is_told_to_and_nothing_more(here: Machine) -> None:
    given = bytes(range(256))
    arguments = (
        Tensor("x", "in", "u8", (256,)),
        Tensor("y", "out zero", "u8", (512,)),
        Scalar("reads", "i64", 16),
        Scalar("writes", "i64", 20),
    )
    with here.launcher() as launcher:
        launcher.load(build.image(PROBE, "", PROBE_ENTRY), PROBE_ENTRY)
        launcher.put(0, [given])
        called = launcher.call(Call(arguments, Launch((3, 1, 1), (2, 1, 1)), 0))
    assert called.broken_guards == called.changed_inputs == ()
    assert bytes(called.outputs[0]) == given + struct.pack("4I", 1, 2, 3, 4) * 4 + bytes(192)


def test_a_probe_that_cannot_be_started_is_no_fault_of_the_kernel(here: Machine, tmp_path: Path) -> None:
    job = replace(JOB, probe=b"no image")
    ceilings = ceilings_of(job, here.device, here.launcher, None, tmp_path)
    with pytest.raises(ScorerError, match=r"^the ceilings of this device could not be measured: CUDA_ERROR_"):
        ceilings.ceiling(Traffic(64, 64), 0, "f32", loose=False)


def test_a_job_without_a_probe_has_no_ceiling_of_memory(here: Machine, tmp_path: Path) -> None:
    ceilings = ceilings_of(JOB, here.device, here.launcher, None, tmp_path)
    assert ceilings.ceiling(Traffic(64, 64), 0, "f32", loose=False).memory_ms is None


@pytest.mark.parametrize(
    ("set_to", "folder"), [("/caches", "/caches"), ("", "~/.cache"), ("here", "~/.cache")]
)
def test_figures_are_kept_where_a_user_s_caches_are(
    monkeypatch: pytest.MonkeyPatch, set_to: str, folder: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", set_to)
    assert default_folder() == Path(folder).expanduser() / "pytest-upskill"
