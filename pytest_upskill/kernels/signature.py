"""The signature of a kernel as a case writes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, get_args

from pytest_upskill.errors import listing, nearest, one_line
from pytest_upskill.kernels.data import C_TYPES, ELEMENT, SIZES, Role
from pytest_upskill.kernels.expressions import FUNCTIONS, Expression, parse
from pytest_upskill.kernels.parameters import ELEMENT_SIZE, WRITTEN, Parameter, Signature, number_of

__all__ = ["Parameter", "Signature", "parse_signature"]

MOST_PARAMETERS: Final = 64
_EXAMPLE: Final = "rmsnorm(x:T[rows,cols], out y:T[rows,cols], rows:i32, cols:i32, eps:f32=1e-6)"
_WHOLE = re.compile(r"\s*(?P<entry>[^\s(]*)\s*\((?P<parameters>.*)\)\s*", re.DOTALL)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_PARAMETER = re.compile(
    r"(?P<words>[^:\[=]*)(?::(?P<dtype>[^\[=]*))?(?P<shape>\[.*\])?\s*(?:=(?P<default>.*))?", re.DOTALL
)
_ROLES: Final = tuple(role for role in get_args(Role) if role != "scalar")
# What a prototype or an expression would take for something else.
_RESERVED: Final = frozenset({
    *FUNCTIONS, *C_TYPES.values(), ELEMENT, ELEMENT_SIZE,
    "auto", "blockDim", "blockIdx", "bool", "break", "case", "catch", "class", "const", "continue", "default",
    "delete", "do", "else", "enum", "extern", "false", "for", "goto", "gridDim", "half", "if", "inline", "long",
    "main", "namespace", "new", "operator", "private", "public", "register", "return", "signed", "sizeof", "static",
    "struct", "switch", "template", "this", "threadIdx", "throw", "true", "try", "typedef", "typename", "union",
    "unsigned", "using", "virtual", "void", "volatile", "warpSize", "while",
})  # fmt: skip


def parse_signature(text: str) -> Signature:
    """Return the signature that a text holds, such as `scale(x:T[n], out y:T[n], n:i32, by:f32=2)`.

    A parameter is `[role] name:dtype[extents]`, `workspace name[bytes]` or a scalar `name:dtype[=default]`; roles are
    `in` (which need not be said), `out`, `out zero`, `inout`. Raises `ValueError` that names the parameter.
    """
    match = _WHOLE.fullmatch(text)
    if match is None:
        raise ValueError(f"'{one_line(text)}' is no signature; write it like {_EXAMPLE}")
    _check_name("the kernel", match["entry"])
    parts = list(_split(match["parameters"]))
    if len(parts) > MOST_PARAMETERS:
        raise ValueError(f"a kernel has at most {MOST_PARAMETERS} parameters, not {len(parts)}")
    signature = Signature(match["entry"], tuple(_parameter(part) for part in parts))
    _check_whole(signature)
    return signature


def _split(text: str) -> Iterator[str]:
    """Yield what stands between the commas that are within no bracket."""
    depth = begin = 0
    for at, letter in enumerate(text):
        depth += (letter in "[(") - (letter in "])")
        if letter == "," and depth == 0:
            yield text[begin:at]
            begin = at + 1
    yield text[begin:]


def _parameter(text: str) -> Parameter:
    shown = one_line(" ".join(text.split()))
    match = _PARAMETER.fullmatch(text)
    words = match["words"].split() if match else []
    if match is None or not words:
        raise ValueError(f"the parameter '{shown}' cannot be read; write the signature like {_EXAMPLE}")
    role, name = " ".join(words[:-1]), words[-1]
    if role and role not in _ROLES:
        hint = nearest(role, _ROLES) or f"; it is one of {listing(_ROLES)}"
        raise ValueError(f"the parameter '{shown}' has the unknown role '{one_line(role)}'{hint}")
    _check_name(f"the parameter '{shown}'", name)
    if role == "workspace":
        return _workspace(name, match)
    if match["shape"] is None:
        return _scalar(name, role, match)
    return _tensor(name, role, match)


def _check_name(what: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{what} needs a name of letters, digits and _, not '{one_line(name)}'")
    if name in _RESERVED:
        raise ValueError(f"{what} cannot be called '{name}', which means something else; choose another name")


def _workspace(name: str, match: re.Match[str]) -> Parameter:
    if match["dtype"] is not None or match["default"] is not None or match["shape"] is None:
        raise ValueError(f"the workspace {name} has its bytes and nothing else: workspace {name}[rows*4]")
    extents = _extents(name, match["shape"])
    if len(extents) > 1:
        raise ValueError(f"the workspace {name} has one number of bytes: workspace {name}[rows*4]")
    return Parameter(name, "workspace", "u8", extents)


def _scalar(name: str, role: str, match: re.Match[str]) -> Parameter:
    dtype = _dtype(name, match["dtype"], "i32")
    if role:
        raise ValueError(
            f"the parameter {name} is '{role}' and so needs extents, such as {name}:{dtype}[rows,cols]"
        )
    bare = Parameter(name, "scalar", dtype)
    if match["default"] is None:
        if not bare.whole:
            raise ValueError(f"the scalar {name} needs a value, such as {name}:{dtype}=1e-6")
        return bare
    return Parameter(name, "scalar", dtype, (), _default(bare, match["default"].strip()))


def _tensor(name: str, role: str, match: re.Match[str]) -> Parameter:
    if match["default"] is not None:
        raise ValueError(f"the tensor {name} cannot have a value; only scalars do")
    dtype = _dtype(name, match["dtype"], "T")
    return Parameter(
        name, next(each for each in _ROLES if each == (role or "in")), dtype, _extents(name, match["shape"])
    )


def _dtype(name: str, text: str | None, example: str) -> str:
    dtype = (text or "").strip()
    if dtype in (*SIZES, ELEMENT):
        return dtype
    known = (*SIZES, ELEMENT)
    if not dtype:
        raise ValueError(
            f"the parameter {name} needs a type, such as {name}:{example}; known are {listing(known)}"
        )
    hint = nearest(dtype, known) or f"; known are {listing(known)}"
    raise ValueError(f"the parameter {name} has the unknown type '{one_line(dtype)}'{hint}")


def _extents(name: str, brackets: str) -> tuple[Expression, ...]:
    try:
        return tuple(parse(extent) for extent in _split(brackets[1:-1]))
    except ValueError as error:
        raise ValueError(f"the parameter {name} has an extent that cannot be read: {error}") from None


def _default(parameter: Parameter, text: str) -> int | float:
    try:
        value = int(text) if parameter.whole else float(text)
    except ValueError:
        what = "whole number" if parameter.whole else "number"
        raise ValueError(f"the scalar {parameter.name} needs a {what}, not '{one_line(text)}'") from None
    if parameter.dtype != ELEMENT:
        number_of(parameter.name, parameter.dtype, value)
    return value


def _check_whole(signature: Signature) -> None:
    """Check what no parameter shows by itself. Raises `ValueError`."""
    names = [each.name for each in signature.parameters]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ValueError(f"two parameters are called {twice}")
    if not any(each.role in WRITTEN for each in signature.parameters):
        raise ValueError(
            f"{signature.entry} writes nothing; mark what it writes with out, as in out y:T[rows]"
        )
    for each in signature.parameters:
        if each.name in signature.sizes and not each.whole:
            raise ValueError(
                f"{each.name} is the name of an extent; as a parameter it has to be a whole number, such as i32"
            )
        for extent in each.shape:
            if ELEMENT_SIZE in extent.names and not signature.generic:
                raise ValueError(
                    f"the parameter {each.name} uses {ELEMENT_SIZE}, but no parameter is of the type T"
                )
