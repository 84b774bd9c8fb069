"""Ten honest kernels, and the tasks of the zoo."""

from __future__ import annotations

from dataclasses import replace

from tests.kernels.zoo.entries import Honest, Task

_ROWS = ("rows=32 cols=256", "rows=5..40 cols=100..300")
_MANY = ("n=4096", "n=1000..4000")
_LARGE_ROWS = ("rows=8192 cols=4096", "rows=1..999 cols=1..4096")
_LARGE_MANY = ("n=16777216", "n=1000..1000000")
_RMSNORM = "x:T[rows,cols], w:T[cols], out y:T[rows,cols], rows:i32, cols:i32, eps:f32=1e-6"
_X = "torch.randn(64, 1024)"

RMSNORM = Task("rmsnorm", _RMSNORM, _ROWS, _LARGE_ROWS, f"({_X}, torch.ones(1024), 1e-6)")
LAYERNORM = Task(
    "layernorm",
    "x:T[rows,cols], w:T[cols], b:T[cols], out y:T[rows,cols], rows:i32, cols:i32, eps:f32=1e-5",
    _ROWS, _LARGE_ROWS, f"({_X}, torch.ones(1024), torch.zeros(1024), 1e-5)",
)  # fmt: skip
SOFTMAX = Task(
    "softmax", "x:T[rows,cols], out y:T[rows,cols], rows:i32, cols:i32",
    _ROWS, _LARGE_ROWS, "(torch.rand(64, 1024),)",
)  # fmt: skip
GELU = Task("gelu", "x:T[n], out y:T[n], n:i32", _MANY, _LARGE_MANY, "(torch.randn(65536),)")
ADD = Task(
    "add", "x:T[rows,cols], residual:T[rows,cols], out y:T[rows,cols], rows:i32, cols:i32",
    _ROWS, _LARGE_ROWS, f"({_X}, {_X})",
)  # fmt: skip
ROW_SUM = Task(
    "row_sum", "x:T[rows,cols], out sums:f32[rows], rows:i32, cols:i32", _ROWS, _LARGE_ROWS, f"({_X},)"
)
TRANSPOSE = Task(
    "transpose", "x:T[rows,cols], out y:T[cols,rows], rows:i32, cols:i32", _ROWS, _LARGE_ROWS, f"({_X},)"
)
MATMUL = Task(
    "matmul", "a:T[m,k], b:T[k,n], out c:T[m,n], m:i32, n:i32, k:i32",
    ("m=32 n=64 k=48", "m=5..40 n=20..70 k=30..100"), ("m=2048 n=2048 k=2048", "m=1..300 n=1..300 k=1..300"),
    "(torch.randn(64, 128), torch.randn(128, 64))",
)  # fmt: skip
HISTOGRAM = Task(
    "histogram", "x:T[n], out zero counts:i32[16], n:i32", _MANY, _LARGE_MANY, "(torch.randn(65536),)"
)
SCALE_SHIFT = Task(
    "scale_shift", "inout x:T[rows,cols], scale:T[cols], shift:T[cols], rows:i32, cols:i32",
    _ROWS, _LARGE_ROWS, f"({_X}, torch.randn(1024), torch.randn(1024))",
)  # fmt: skip

HONEST = tuple(
    Honest(task)
    for task in (
        RMSNORM, LAYERNORM, SOFTMAX, GELU, ADD, ROW_SUM, TRANSPOSE, MATMUL, HISTOGRAM, SCALE_SHIFT
    )
)  # fmt: skip

# Tasks that only cheats are set against.
LONG_ROWS = replace(
    RMSNORM, shapes=("rows=16 cols=8192",), inputs="(torch.randn(8, 65536), torch.ones(65536), 1e-6)"
)
SOFTMAX_SUM = Task(
    "softmax_sum", "x:T[rows,cols], out sums:f32[rows], rows:i32, cols:i32",
    ("rows=80 cols=100", "rows=70..90 cols=100..300"), _LARGE_ROWS, f"({_X},)",
)  # fmt: skip
ROW_SUM_WORKSPACE = Task(
    "row_sum_workspace", "x:T[rows,cols], out sums:f32[rows], workspace space[rows*8], rows:i32, cols:i32",
    _ROWS, _LARGE_ROWS, f"({_X},)", "row_sum",
)  # fmt: skip
GELU_LONG = Task(
    "gelu_long", "x:T[n], out y:T[n], n:i64", _MANY, _LARGE_MANY, "(torch.randn(65536),)", "gelu"
)
