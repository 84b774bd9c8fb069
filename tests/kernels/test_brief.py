from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_upskill.kernels.brief import brief
from pytest_upskill.kernels.extract import extract
from pytest_upskill.kernels.prelude import prelude
from pytest_upskill.kernels.spec import KernelSpec
from pytest_upskill.kernels.workloads import seed_of, workloads
from pytest_upskill.scorers.fences import fenced_blocks
from pytest_upskill.types import JSON
from tests.kernels.cases import fenced, spec_in

PLAIN = """\
Write the kernel with exactly this declaration:
```cuda
extern "C" __global__ void rmsnorm(const T* x, const T* w, T* y, int rows, int cols, float eps)
```
T is defined beforehand as __nv_bfloat16 or float. Buffers are contiguous, row-major: x[rows, cols], w[cols], \
y[rows, cols]. y is uninitialised. Sizes are any numbers from 1, odd ones too, to 4096 rows and 4096 cols. \
Pointers are 16-byte aligned in most calls, in some only to their element.
Say how it is launched in one comment in the code, of this form but with values of your own: whole numbers or \
expressions with rows, cols, sizeof_T, + - * / %, ceil_div(a, b), min, max.
```cuda
// launch: grid=(ceil_div(rows, 2), 1, 1) block=(64, 1, 1) smem=32 * sizeof_T
```
smem is dynamic shared memory in bytes. Reply with one fenced ```cuda block: device code, one kernel, no printf or \
malloc."""

OTHERS: list[dict[str, JSON]] = [
    {"signature": "f(x:f32[8], out y:f32[8])", "dtypes": None, "shapes": None},
    {"signature": "f(x:i32[n], out zero y:i32[n])", "dtypes": None, "shapes": ["n=1..99"]},
    {
        "signature": "f(x:T[n,k], out y:T[n], inout z:f32[n], workspace w[n*4], out zero h:i32[9], k:i32, out u:T[n])",
        "shapes": ["n=64..4096:64 k==32|64"],
        "arch": "90a",
        "tf32": True,
        "aligned": True,
    },
]


def other(folder: Path, changes: dict[str, JSON]) -> KernelSpec:
    return spec_in(folder, "def reference(x): ...", **changes)


def test_a_brief_says_all_that_a_kernel_has_to_keep_to(tmp_path: Path) -> None:
    assert brief(spec_in(tmp_path)) == PLAIN


def test_a_brief_says_what_buffers_hold_and_what_holds_of_sizes(tmp_path: Path) -> None:
    lines = brief(other(tmp_path, OTHERS[2])).split("\n")
    assert lines[4] == (
        "T is defined beforehand as __nv_bfloat16 or float. Buffers are contiguous, row-major: x[n, k], y[n], z[n], "
        "w[n*4 bytes], h[9], u[n]. y and u are uninitialised. h is zeroed before each call. z is read and updated in "
        "place. w is uninitialised scratch memory. n is a multiple of 64. k is 32 or 64. Pointers are 16-byte aligned. "
        "The target is sm_90a. TF32 is exact enough for float."
    )


def test_a_brief_promises_a_multiple_only_where_all_problems_keep_it(tmp_path: Path) -> None:
    kept = spec_in(tmp_path, shapes=["rows=96..960:32 cols==64", "rows==48 cols==1"])
    assert "rows is a multiple of 16. cols is 1 or 64. Pointers" in brief(kept)
    broken = spec_in(tmp_path, shapes=["rows=96..960:32 cols=64", "rows=51 cols==64"])
    assert (
        "y is uninitialised. Sizes are any numbers from 1, odd ones too, to 1024 rows and 64 cols."
        in brief(broken)
    )
    for run in range(50):
        for workload in workloads(kept, seed_of(b"s" * 32, "", "", run)):
            assert workload.sizes["rows"] % 16 == 0
            assert workload.sizes["cols"] in (1, 64)


@pytest.mark.parametrize("changes", [{}, *OTHERS])
def test_the_example_of_a_launch_can_be_read(tmp_path: Path, changes: dict[str, JSON]) -> None:
    spec = other(tmp_path, changes) if changes else spec_in(tmp_path)
    prototype, launch = (block.text for block in fenced_blocks(brief(spec)))
    source = extract(fenced(f"{launch}{prototype}{{}}"), spec)
    assert source.declaration.launch(
        {"rows": 4096, "cols": 1, "n": 4096}, "bf16" if spec.dtypes else ""
    ).block == (64, 1, 1)


def test_a_brief_is_short(tmp_path: Path) -> None:
    # A tokenizer makes at most one token of four letters of a word, and of each sign that stands by itself.
    for spec in (spec_in(tmp_path), *(other(tmp_path, changes) for changes in OTHERS[:2])):
        text = brief(spec)
        assert len(text) < 860
        assert len(re.findall(r"\w+|[^\w\s]+", text)) <= 220


def test_a_brief_does_not_tell_which_problems_come(tmp_path: Path) -> None:
    assert not re.search(r"999|1000", brief(spec_in(tmp_path)))


def test_a_prelude_has_the_headers_and_the_element_type() -> None:
    assert prelude("bf16") == "#include <cuda_bf16.h>\nusing T = __nv_bfloat16;\n"
    assert prelude("f16", ["bf16", "f16", "i32"]) == (
        "#include <cuda_fp16.h>\n#include <cuda_bf16.h>\nusing T = __half;\n"
    )
    assert prelude("f32") == "using T = float;\n"
    assert prelude("") == ""
    assert prelude("", ["f16"]) == "#include <cuda_fp16.h>\n"
