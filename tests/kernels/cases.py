"""A plain kernel case, and replies to it."""

from __future__ import annotations

from pathlib import Path

from pytest_upskill.kernels.spec import KernelSpec, read_spec
from pytest_upskill.types import JSON

SIGNATURE = "rmsnorm(x:T[rows,cols], w:T[cols], out y:T[rows,cols], rows:i32, cols:i32, eps:f32=1e-6)"
PROTOTYPE = 'extern "C" __global__ void rmsnorm(const T* x, const T* w, T* y, int rows, int cols, float eps)'
REFERENCE = "def reference(x, w, eps):\n    return x\n"
RMSNORM: dict[str, JSON] = {
    "signature": SIGNATURE,
    "reference": "rmsnorm.py",
    "shapes": ["rows=4096 cols=4096", "rows=1..999 cols=1000"],
    "dtypes": ["bf16", "f32"],
}
LAUNCH = "// launch: grid=(rows, 1, 1) block=(256) smem=cols * sizeof_T"
CODE = f"{LAUNCH}\n{PROTOTYPE} {{\n    y[0] = x[0];\n}}\n"


def spec_in(folder: Path, text: str = REFERENCE, /, **changes: JSON) -> KernelSpec:
    """Return the plain case with some keys changed, or taken away where they are None."""
    (folder / "rmsnorm.py").write_text(text, encoding="utf-8")
    return read_spec({key: value for key, value in (RMSNORM | changes).items() if value is not None}, folder)


def fenced(code: str, language: str = "cuda") -> str:
    return f"```{language}\n{code}\n```\n"
