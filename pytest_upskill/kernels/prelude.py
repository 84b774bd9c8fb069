"""What stands before the code of a reply when it is compiled: the headers of the types, and what `T` is."""

from __future__ import annotations

from collections.abc import Collection

from pytest_upskill.kernels.data import C_TYPES, ELEMENT

_HEADERS = {"f16": "cuda_fp16.h", "bf16": "cuda_bf16.h"}


def prelude(dtype: str, others: Collection[str] = ()) -> str:
    """Return the text of the file that is included first, for an element type (empty where there is no `T`).

    `others` are the types that the signature names beside `T`: it gets their headers too.
    """
    headers = [header for name, header in _HEADERS.items() if name in {dtype, *others}]
    lines = [f"#include <{header}>" for header in headers]
    if dtype:
        lines.append(f"using {ELEMENT} = {C_TYPES[dtype]};")
    return "".join(f"{line}\n" for line in lines)
