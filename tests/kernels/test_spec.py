from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_upskill.kernels.data import SIZES, Workload
from pytest_upskill.kernels.shapes import Shape, Span
from pytest_upskill.kernels.spec import SpecGates, read_spec
from pytest_upskill.types import JSON
from tests.kernels.cases import PROTOTYPE, REFERENCE, RMSNORM, spec_in

WORK = Workload({"rows": 2, "cols": 8}, "bf16", "")


def refusal(folder: Path, **changes: JSON) -> str:
    with pytest.raises(ValueError) as caught:
        spec_in(folder, **changes)
    return str(caught.value)


def test_a_plain_case_has_good_defaults(tmp_path: Path) -> None:
    spec = spec_in(tmp_path)
    assert spec.signature.prototype() == PROTOTYPE
    assert (spec.reference, spec.reference_name) == (REFERENCE, "rmsnorm.py")
    assert spec.shapes == (
        Shape((Span("rows", 4096, 4096), Span("cols", 4096, 4096))),
        Shape((Span("rows", 1, 999), Span("cols", 1000, 1000))),
    )
    assert (spec.dtypes, spec.elements, spec.arch, spec.require) == (("bf16", "f32"),) * 2 + (None, "correct")
    assert (spec.tf32, spec.aligned, spec.moved, spec.flops, spec.gates) == (
        False,
        False,
        None,
        None,
        SpecGates(),
    )


def test_tolerances_are_those_of_the_type_and_whole_numbers_are_exact(tmp_path: Path) -> None:
    tolerance = spec_in(tmp_path).tolerance
    assert set(tolerance) == set(SIZES)
    real = {"f64": 1e-12, "f32": 1e-5, "f16": 1e-3, "bf16": 5e-3}
    assert tolerance == {dtype: real.get(dtype, 0) for dtype in SIZES}


def test_a_case_may_allow_tf32_or_say_its_tolerances(tmp_path: Path) -> None:
    assert spec_in(tmp_path, tf32=True).tolerance["f32"] == 1e-3
    assert spec_in(tmp_path, tf32=True, tolerance={"bf16": 0.01}).tolerance["bf16"] == 0.01
    both = spec_in(tmp_path, tolerance=2e-2).tolerance
    assert (both["f32"], both["bf16"], both["i32"]) == (2e-2, 2e-2, 0)
    one = spec_in(tmp_path, tolerance={"f32": 1e-4}).tolerance
    assert (one["f32"], one["bf16"]) == (1e-4, 5e-3)
    counted = spec_in(
        tmp_path,
        "def reference(x): ...",
        signature="f(x:T[n], out zero h:i32[n], out y:T[n])",
        shapes=["n=8"],
        tolerance={"i32": 0.05, "f32": 1e-4},
    )
    assert (counted.tolerance["i32"], counted.tolerance["bf16"]) == (0.05, 5e-3)


def test_bytes_and_operations_are_worked_out_for_a_workload(tmp_path: Path) -> None:
    plain = spec_in(tmp_path)
    assert (plain.moved_on(WORK), plain.flops_on(WORK)) == (2 * 8 * 2 * 2 + 8 * 2, 0)
    spec = spec_in(tmp_path, bytes="3*rows*cols*sizeof_T", flops="5*rows*cols")
    assert (spec.moved_on(WORK), spec.flops_on(WORK)) == (96, 80)
    assert spec_in(tmp_path, bytes=512).moved_on(WORK) == 512


@pytest.mark.parametrize(("given", "arch"), [("sm_90a", "sm_90a"), ("90a", "sm_90a"), ("sm_120f", "sm_120f")])
def test_the_architecture_is_written_with_or_without_its_prefix(
    tmp_path: Path, given: str, arch: str
) -> None:
    assert spec_in(tmp_path, arch=given).arch == arch


def test_gates_are_read(tmp_path: Path) -> None:
    gates: JSON = {
        "min_speedup": 1.5,
        "min_roofline": 0.6,
        "max_registers": 128,
        "max_spill": 0,
        "max_stack": 64,
        "sass_required": ["HGMMA"],
        "sass_forbidden": ["LDG.E.U8"],
    }
    assert spec_in(tmp_path, require="fast", gates=gates).gates == SpecGates(
        1.5, 0.6, 128, 0, 64, ("HGMMA",), ("LDG.E.U8",)
    )


def test_a_case_that_is_only_compiled_needs_no_reference_and_no_shapes(tmp_path: Path) -> None:
    spec = spec_in(tmp_path, require="compile", reference=None, shapes=None)
    assert (spec.reference, spec.reference_name, spec.shapes) == ("", "", ())


def test_a_kernel_without_sizes_needs_no_shapes(tmp_path: Path) -> None:
    signature = "f(x:f32[8], out y:f32[8])"
    spec = spec_in(tmp_path, "def reference(x): ...\n", signature=signature, dtypes=None, shapes=None)
    assert (spec.shapes, spec.elements) == ((Shape(),), ("",))


def test_lists_in_shapes_are_taken_apart_and_repeats_are_dropped(tmp_path: Path) -> None:
    spec = spec_in(tmp_path, shapes=["rows=1|17 cols==64", "cols==64 rows=17", "rows=17 cols==64"])
    assert [shape.corner(high=True) for shape in spec.shapes] == [
        {"rows": 1, "cols": 64},
        {"rows": 17, "cols": 64},
        {"cols": 64, "rows": 17},
    ]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"shape": ["rows=1"]}, "kernel has no key 'shape' (did you mean 'shapes'?)"),
        (
            {"seed": 3},
            "kernel has no key 'seed'; it has: aligned, arch, bytes, dtypes, flops, gates, reference, require, shapes, "
            "signature, tf32, tolerance",
        ),
        ({"signature": None}, 'kernel needs a "signature", such as "scale(x:T[n], out y:T[n], n:i32)"'),
        (
            {"signature": 3},
            "kernel: 'signature' needs a text such as "
            '"rmsnorm(x:T[rows,cols], out y:T[rows,cols], rows:i32, cols:i32)", not 3',
        ),
        (
            {"signature": "f(out y:T[n], k:i31)"},
            "kernel: signature: the parameter k has the unknown type 'i31' (did you mean 'i32'?)",
        ),
        (
            {"require": "fats"},
            "kernel: 'require' is one of compile, correct, fast, not \"fats\" (did you mean 'fast'?)",
        ),
        ({"require": None, "tf32": 1}, "kernel: 'tf32' must be true or false, not 1"),
        (
            {"reference": None},
            'kernel needs a "reference": a Python file beside the skill with a function reference, '
            'such as "rmsnorm.py"',
        ),
        ({"dtypes": None}, 'kernel needs "dtypes", such as ["bf16", "f32"]: the signature has the type T'),
        ({"dtypes": "bf16"}, "kernel: 'dtypes' needs a list such as [\"bf16\"], not \"bf16\""),
        ({"dtypes": []}, "kernel: 'dtypes' needs a list such as [\"bf16\"], not an empty list"),
        ({"dtypes": ["bf16", "bf16"]}, "kernel: 'dtypes' has 'bf16' twice"),
        ({"dtypes": ["fp16"]}, "kernel: 'dtypes' has the unknown type 'fp16' (did you mean 'f16'?)"),
        (
            {"signature": "f(x:f32[rows,cols], out y:f32[rows])"},
            "kernel has 'dtypes', but no parameter of the signature is of the type T",
        ),
        ({"shapes": None}, 'kernel needs "shapes", such as ["rows=1..999 cols=1..999"]'),
        ({"shapes": [3]}, "kernel: 'shapes' needs a list such as [\"rows=4096 cols=1..999\"], not a list with 3"),
        (
            {"shapes": ["rows=3 colls=4"]},
            "kernel: shapes: the signature has no size 'colls' (did you mean 'cols'?)",
        ),
        (
            {"shapes": ["rows=3 depth=4"]},
            "kernel: shapes: the signature has no size 'depth'; it has: cols, rows",
        ),
        ({"shapes": ["rows=3"]}, "kernel: shapes: 'rows' gives no cols; each shape needs all sizes"),
        (
            {"shapes": ["rows=1048576 cols=8192"]},
            "kernel: shapes: at rows=1048576 cols=8192 bf16 the buffers take 32 GiB; at most 8 GiB",
        ),
        (
            {"shapes": ["rows=1..4294967296 cols==1"]},
            "kernel: at rows=4294967296 cols=1 bf16: rows=4294967296 is no i32, which holds whole numbers from "
            "-2147483648 to 2147483647",
        ),
        (
            {"shapes": [f"rows={'|'.join(map(str, range(1, 10)))} cols={'|'.join(map(str, range(1, 9)))}"]},
            "kernel: shapes: the shape 'rows=1|2|3|4|5|6|7|8|9 cols=1|2|3|4|5|6|7|8' has 72 combinations; at most 64",
        ),
        (
            {"shapes": [f"rows={n} cols={'|'.join(map(str, range(1, 60)))}" for n in (1, 2)]},
            "kernel: 'shapes' has 118 combinations; at most 64",
        ),
        ({"arch": "9.0"}, "kernel: 'arch' is written like sm_90a or 90a, not '9.0'"),
        ({"arch": "compute_90"}, "kernel: 'arch' is written like sm_90a or 90a, not 'compute_90'"),
        ({"arch": "sm_90 -Xcompiler x"}, "kernel: 'arch' is written like sm_90a or 90a, not 'sm_90 -Xcompiler x'"),
        ({"tolerance": 1}, "kernel: 'tolerance' needs a number from 1e-15 to 0.1, not 1"),
        ({"tolerance": True}, "kernel: 'tolerance' needs a number from 1e-15 to 0.1, not true"),
        ({"tolerance": {"bf16": 0}}, "kernel: 'tolerance of bf16' needs a number from 1e-15 to 0.1, not 0"),
        (
            {"tolerance": {"bf15": 0.1}},
            "kernel: 'tolerance' names 'bf15', which the kernel does not write (did you mean 'bf16'?)",
        ),
        (
            {"tolerance": {"f64": 0.1}},
            "kernel: 'tolerance' names 'f64', which the kernel does not write; it writes: bf16, f32",
        ),
        (
            {"tf32": True, "tolerance": 1e-3},
            "kernel: 'tf32' and 'tolerance' both say how exact f32 is; keep one of them",
        ),
        (
            {"dtypes": ["f16"], "tf32": True},
            "kernel: 'tf32' says how exact f32 is, and this kernel writes no f32",
        ),
        ({"shapes": [f"rows={n} cols=1" for n in range(1, 66)]}, "kernel: 'shapes' has 65 entries; at most 64"),
        ({"bytes": "3*row"}, "kernel: bytes: '3*row' uses row, which is unknown (did you mean 'rows'?)"),
        ({"bytes": "rows-4096"}, "kernel: bytes: at rows=4096 cols=4096 bf16 it comes to 0"),
        ({"bytes": True}, "kernel: 'bytes' needs a text such as \"2*rows*cols*sizeof_T\", not true"),
        ({"flops": "rows-999999"}, "kernel: flops: at rows=4096 cols=4096 bf16 it comes to -995903"),
        ({"flops": "rows/"}, "kernel: flops: 'rows/' ends too early"),
        (
            {"flops": "rows/(rows-1)"},
            "kernel: at rows=1 cols=1000 bf16: 'rows/(rows-1)' divides by zero at rows=1",
        ),
        ({"gates": 3}, "kernel: 'gates' needs an object such as {\"max_spill\": 0}, not 3"),
        (
            {"gates": {"max_register": 3}},
            "kernel: 'gates' has no key 'max_register' (did you mean 'max_registers'?)",
        ),
        ({"gates": {"max_registers": 1.5}}, "kernel: 'max_registers' needs a whole number from 16 to 255, not 1.5"),
        ({"gates": {"max_spill": -1}}, "kernel: 'max_spill' needs a whole number from 0 to 1048576, not -1"),
        (
            {"gates": {"sass_required": ["hgmma"]}},
            "kernel: 'sass_required' has 'hgmma'; an instruction is written like HGMMA or LDG.E.128",
        ),
        (
            {"gates": {"sass_required": ["HGMMA"], "sass_forbidden": ["HGMMA"]}},
            "kernel: 'gates' requires and forbids the instruction HGMMA",
        ),
        ({"require": "fast"}, "kernel: 'require' is fast, which needs a gate: min_speedup or min_roofline"),
        (
            {"gates": {"min_roofline": 0.5}},
            "kernel: the gate min_roofline needs \"require\": \"fast\"; it is 'correct'",
        ),
        (
            {"require": "fast", "gates": {"min_roofline": 80}},
            "kernel: 'min_roofline' needs a number from 0.01 to 1, not 80",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_a_sentence(tmp_path: Path, changes: dict[str, JSON], sentence: str) -> None:
    assert refusal(tmp_path, **changes) == sentence


def test_what_is_no_object_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError) as caught:
        read_spec("rmsnorm", tmp_path)
    assert str(caught.value) == (
        'kernel needs an object such as {"signature": "...", "shapes": [...]}, not "rmsnorm"'
    )


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("def reference(:\n", "kernel: rmsnorm.py:1 is not valid Python: invalid syntax"),
        (
            "def refernce(x): ...\ndef helper(): ...\n",
            "kernel: rmsnorm.py has no function 'reference' (it defines: helper, refernce) (did you mean 'refernce'?)",
        ),
        (
            "x = '\0'\n",
            "kernel: rmsnorm.py is not valid Python: source code string cannot contain null bytes",
        ),
        (
            "x = " + "-" * 100_000 + "1\n",
            "kernel: rmsnorm.py is not valid Python: it is nested too deeply",
        ),
        ("x = 1\n", "kernel: rmsnorm.py has no function 'reference' (it defines: none)"),
        (
            "async def reference(x): ...\n",
            "kernel: 'reference' in rmsnorm.py is an async function; write it as a plain one",
        ),
        (
            "\ndef reference(x, weigth, z=1, *, w): ...\n",
            "kernel: rmsnorm.py:2: reference() takes 'weigth', which it cannot get; it can take x, w, rows, cols, eps",
        ),
        (
            "def reference(x, *, epz): ...\n",
            "kernel: rmsnorm.py:1: reference() takes 'epz', which it cannot get (did you mean 'eps'?)",
        ),
        ("# " + "x" * 2**18 + "\n", "kernel: the reference 'rmsnorm.py' has more than 256 KB"),
    ],
)
def test_a_reference_that_cannot_be_used_is_refused(tmp_path: Path, reference: str, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        spec_in(tmp_path, reference)
    assert str(caught.value) == sentence


def test_a_reference_may_stand_in_a_condition_and_take_defaults(tmp_path: Path) -> None:
    text = (
        "try:\n    import torch\nexcept ImportError:\n    torch = None\n"
        "if torch:\n    def reference(x, more=1, **rest): ...\n"
    )
    assert spec_in(tmp_path, text).reference == text


def test_a_reference_lies_beside_the_skill(tmp_path: Path) -> None:
    root = tmp_path / "skill"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "norm.py").write_text(REFERENCE)
    (tmp_path / "secret.py").write_text(REFERENCE)
    (root / "link.py").symlink_to(tmp_path / "secret.py")
    assert read_spec({**RMSNORM, "reference": "refs/norm.py"}, root).reference == REFERENCE
    for name in ("../secret.py", str(tmp_path / "secret.py"), "link.py"):
        with pytest.raises(ValueError) as caught:
            read_spec({**RMSNORM, "reference": name}, root)
        assert str(caught.value) == (
            f"kernel: the reference '{name}' lies outside of the skill's folder; move it beside SKILL.md"
        )


def test_a_reference_that_is_not_there_is_told_with_what_is(tmp_path: Path) -> None:
    assert refusal(tmp_path, reference="rms_norm.py") == (
        "kernel: there is no file 'rms_norm.py' beside the skill (did you mean 'rmsnorm.py'?)"
    )
    (tmp_path / "bytes.py").write_bytes(b"\xff")
    assert refusal(tmp_path, reference="bytes.py") == (
        "kernel: the reference 'bytes.py' cannot be read: 'utf-8' codec can't decode byte 0xff in position 0: "
        "invalid start byte"
    )


def test_a_reference_is_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    assert refusal(tmp_path, reference="pipe.py") == "kernel: the reference 'pipe.py' is no file"
    assert refusal(tmp_path, reference=".") == "kernel: the reference '.' is no file"
