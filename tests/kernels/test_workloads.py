from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_upskill.kernels.data import Workload
from pytest_upskill.kernels.shapes import Shape, Span, nearby, parse_shapes
from pytest_upskill.kernels.spec import KernelSpec
from pytest_upskill.kernels.workloads import corners, seed_of, workloads
from pytest_upskill.types import JSON
from tests.kernels.cases import spec_in

SEED = seed_of(b"s" * 32, "kernels", "rmsnorm", 1)


def mistake(line: str) -> str:
    with pytest.raises(ValueError) as caught:
        parse_shapes(line)
    return str(caught.value)


def spec_with(folder: Path, *shapes: JSON, **changes: JSON) -> KernelSpec:
    return spec_in(folder, shapes=list(shapes), **changes)


def labels(spec: KernelSpec, seed: bytes = SEED) -> list[str]:
    return [workload.label for workload in workloads(spec, seed)]


def test_a_line_has_fixed_sizes_ranges_steps_and_pinned_ones() -> None:
    assert parse_shapes("a=4096 b=1..999, c=64..4100:64 d==128") == (
        Shape(
            (Span("a", 4096, 4096), Span("b", 1, 999), Span("c", 64, 4096, 64), Span("d", 128, 128, 1, True))
        ),
    )


def test_lists_of_a_line_are_combined() -> None:
    assert [shape.corner(high=False) for shape in parse_shapes("a=1|17 b=2 c==3|4")] == [
        {"a": 1, "b": 2, "c": 3},
        {"a": 1, "b": 2, "c": 4},
        {"a": 17, "b": 2, "c": 3},
        {"a": 17, "b": 2, "c": 4},
    ]


FORM = "write it like rows=4096 cols=1..999, a list of values rows=1|17|4096, or a fixed one cols==128"
RANGE = "write low..high or low..high:step, with 1 <= low < high <= 2^40"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("rows", f"the shape 'rows' cannot be read at 'rows'; {FORM}"),
        ("rows=", f"the shape 'rows=' cannot be read at 'rows='; {FORM}"),
        ("rows=2 x cols=3", f"the shape 'rows=2 x cols=3' cannot be read at 'x'; {FORM}"),
        ("rows=1..", f"the shape 'rows=1..' cannot be read at 'rows=1..'; {FORM}"),
        ("rows=1...5", f"the shape 'rows=1...5' cannot be read at 'rows=1...5'; {FORM}"),
        ("rows=1|", f"the shape 'rows=1|' cannot be read at 'rows=1|'; {FORM}"),
        ("rows=\u0663", f"the shape 'rows=\u0663' cannot be read at 'rows=\u0663'; {FORM}"),
        ("rows=0", "rows=0 is no size; a size is a number from 1 to 2^40"),
        ("rows=9999999999999", "rows=9999999999999 is no size; a size is a number from 1 to 2^40"),
        ("rows=5..5", f"rows=5..5 is no range; {RANGE}"),
        ("rows=9..5", f"rows=9..5 is no range; {RANGE}"),
        ("rows=0..5", f"rows=0..5 is no range; {RANGE}"),
        ("rows=1..5:9", f"rows=1..5:9 is no range; {RANGE}"),
        ("rows==1..5", "rows==1..5 is a range and cannot be the same always; write rows=1..5"),
        ("rows=1 rows=2", "the shape 'rows=1 rows=2' gives rows twice; write rows=1|17 for several values"),
    ],
)
def test_a_line_that_cannot_be_read_is_told_in_a_sentence(line: str, sentence: str) -> None:
    assert mistake(line) == sentence


def test_what_is_near_a_shape_is_a_half_to_just_below_it() -> None:
    shape = Shape((Span("a", 4096, 4096), Span("b", 3, 3), Span("c", 9, 9, 1, True), Span("d", 1, 7)))
    assert nearby(shape) == Shape((Span("a", 2048, 4095), *shape.spans[1:]))
    assert nearby(Shape(shape.spans[1:])) is None
    assert nearby(Shape((Span("a", 4, 4),))) == Shape((Span("a", 2, 3),))


def test_fixed_shapes_stand_first_then_drawn_ones_then_misaligned_ones(tmp_path: Path) -> None:
    found = workloads(spec_in(tmp_path), SEED)
    assert [workload.dtype for workload in found] == ["bf16", "f32"] * 3
    assert [workload.drawn for workload in found] == [False] * 2 + [True] * 4
    assert [workload.misaligned for workload in found] == [False] * 4 + [True] * 2
    assert found[0] == Workload({"rows": 4096, "cols": 4096}, "bf16", "rows=4096 cols=4096 bf16")
    for workload in found[2:4]:
        assert 1 <= workload.sizes["rows"] <= 999
        assert workload.sizes["cols"] == 1000
        assert workload.label == f"rows={workload.sizes['rows']} cols=1000 {workload.dtype}"
    for workload in found[4:]:
        assert 500 <= workload.sizes["cols"] <= 999
        assert workload.label.endswith(f"{workload.dtype} misaligned")


def test_a_case_without_a_range_gets_a_problem_near_its_first_shape(tmp_path: Path) -> None:
    spec = spec_with(tmp_path, "rows=4096 cols==128", "rows=16 cols==128", dtypes=["f32"])
    fixed, other, hidden, misaligned = workloads(spec, SEED)
    assert (fixed.sizes, other.sizes) == ({"rows": 4096, "cols": 128}, {"rows": 16, "cols": 128})
    assert hidden.drawn
    assert 2048 <= hidden.sizes["rows"] < 4096
    assert misaligned.sizes["cols"] == 128


def test_nothing_is_hidden_where_all_sizes_are_pinned(tmp_path: Path) -> None:
    spec = spec_with(tmp_path, "rows==64 cols==128", dtypes=["f32"])
    assert labels(spec) == ["rows=64 cols=128 f32", "rows=64 cols=128 f32 misaligned"]
    assert not any(workload.drawn for workload in workloads(spec, SEED))


def test_a_case_may_ask_for_aligned_buffers_alone(tmp_path: Path) -> None:
    spec = spec_with(tmp_path, "rows==64 cols==128", aligned=True)
    assert labels(spec) == ["rows=64 cols=128 bf16", "rows=64 cols=128 f32"]


def test_a_case_without_shapes_has_no_problems(tmp_path: Path) -> None:
    assert workloads(spec_in(tmp_path, require="compile", shapes=None), SEED) == ()


def test_a_kernel_without_sizes_has_one_problem(tmp_path: Path) -> None:
    spec = spec_in(
        tmp_path, "def reference(x): ...", signature="f(x:f32[8], out y:f32[8])", dtypes=None, shapes=None
    )
    assert workloads(spec, SEED) == (
        Workload({}, "", "the only one"),
        Workload({}, "", "the only one misaligned", misaligned=True),
    )


def test_sizes_stand_in_the_order_of_the_signature(tmp_path: Path) -> None:
    assert labels(spec_with(tmp_path, "cols==3 rows==2", aligned=True))[0] == "rows=2 cols=3 bf16"


def test_the_same_seed_draws_the_same_problems_and_another_one_others(tmp_path: Path) -> None:
    spec = spec_in(tmp_path)
    assert labels(spec) == labels(spec)
    assert labels(spec)[2:] != labels(spec, seed_of(b"t" * 32, "kernels", "rmsnorm", 1))[2:]


def test_each_run_case_and_skill_has_a_seed_of_its_own() -> None:
    seeds = {
        seed_of(secret, skill, case, run)
        for secret in (b"s" * 32, b"t" * 32)
        for skill, case in (("a", "bc"), ("ab", "c"), ("a", "b"))
        for run in (1, 11)
    }
    assert len(seeds) == 12
    assert all(len(seed) == 32 for seed in seeds)
    assert seed_of(b"s" * 32, "a", "bc", 1) == seed_of(b"s" * 32, "a", "bc", 1)


def test_a_drawn_problem_is_none_that_is_listed(tmp_path: Path) -> None:
    spec = spec_with(tmp_path, "rows==2 cols=1|2|3", "rows==2 cols=1..4", dtypes=["f32"], aligned=True)
    for run in range(20):
        assert labels(spec, seed_of(b"s" * 32, "", "", run))[3:] == ["rows=2 cols=4 f32"]


def test_most_drawn_sizes_are_odd_where_they_can_be(tmp_path: Path) -> None:
    spec = spec_with(tmp_path, "rows=1..1000 cols=64..1024:64", dtypes=["f32"], aligned=True)
    drawn = [workloads(spec, seed_of(b"s" * 32, "", "", run))[-1].sizes for run in range(400)]
    assert 0.8 < sum(sizes["rows"] % 2 for sizes in drawn) / 400 < 0.95
    assert {sizes["cols"] % 64 for sizes in drawn} == {0}
    assert {sizes["cols"] for sizes in drawn} == set(range(64, 1025, 64))


@settings(max_examples=150, deadline=None)
@given(st.binary(min_size=16, max_size=32), st.integers(1, 50), st.integers(1, 300), st.integers(1, 40))
def test_every_problem_lies_within_its_shape(
    tmp_path_factory: pytest.TempPathFactory, seed: bytes, low: int, width: int, step: int
) -> None:
    high = low + max(width, step)
    spec = spec_with(tmp_path_factory.getbasetemp(), f"rows={low}..{high}:{step} cols==8", aligned=True)
    found = workloads(spec, seed)
    assert len({workload.label for workload in found}) == len(found)
    for workload in found:
        assert low <= workload.sizes["rows"] <= high
        assert (workload.sizes["rows"] - low) % step == 0
        assert all(argument for argument in spec.signature.arguments(workload))


def test_the_corners_hold_all_that_a_seed_may_draw(tmp_path: Path) -> None:
    spec = spec_in(tmp_path)
    ends = list(corners(spec))
    for run in range(50):
        for workload in workloads(spec, seed_of(b"s" * 32, "", "", run)):
            for name in ("rows", "cols"):
                assert min(end.sizes[name] for end in ends) <= workload.sizes[name]
                assert max(end.sizes[name] for end in ends) >= workload.sizes[name]
