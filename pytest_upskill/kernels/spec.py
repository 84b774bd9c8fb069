"""What a case says under `expected.kernel`, read and checked as a whole."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

from pytest_upskill.errors import listing, nearest, one_line
from pytest_upskill.kernels.data import ELEMENT, SIZES, Require, Tensor, Workload
from pytest_upskill.kernels.expressions import Expression, check_names, parse
from pytest_upskill.kernels.gates import SpecGates, read_gates
from pytest_upskill.kernels.reference_file import read_reference
from pytest_upskill.kernels.shapes import MOST_SHAPES, Shape, parse_shapes
from pytest_upskill.kernels.signature import Signature, parse_signature
from pytest_upskill.kernels.tolerances import read_tolerances
from pytest_upskill.kernels.values import flag, text, unknown_keys, words
from pytest_upskill.kernels.workloads import corners
from pytest_upskill.scorers.subject import kind
from pytest_upskill.types import JSON

__all__ = ["KernelSpec", "SpecGates", "read_spec"]

MOST_BYTES: Final = 8 * 2**30
_REQUIRES: Final[tuple[Require, ...]] = get_args(Require)
_ARCH = re.compile(r"(?:sm_)?(?P<number>[1-9]\d{1,2})(?P<kind>[af]?)", re.ASCII)
_KEYS: Final = (
    "signature", "reference", "shapes", "dtypes", "arch", "require", "tolerance", "tf32", "aligned", "bytes", "flops",
    "gates",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class KernelSpec:
    """What a case asks of a kernel.

    Attributes:
        signature: the entry and its parameters.
        reference, reference_name: the text of the trusted Python file, and its name for messages; both empty where
            `require` is `compile` and the case has none.
        shapes: the lines of sizes, lists taken apart.
        dtypes: what `T` stands for, one after the other; empty where the signature has no `T`.
        arch: such as `sm_90a`; None for the device's own.
        require: how far a reply has to come.
        tolerance: the largest ||out - ref|| / ||ref|| by type; 0 asks for the very numbers.
        tf32: the case allows TF32 for f32.
        aligned: all buffers begin at 16 bytes always.
        moved: bytes that a kernel must move, None for each tensor once; flops: its operations, None where unknown.
        gates: limits for speed and for what the compiler says.
    """

    signature: Signature
    reference: str
    reference_name: str
    shapes: tuple[Shape, ...]
    dtypes: tuple[str, ...]
    arch: str | None
    require: Require
    tolerance: Mapping[str, float]
    tf32: bool
    aligned: bool
    moved: Expression | None
    flops: Expression | None
    gates: SpecGates

    @property
    def elements(self) -> tuple[str, ...]:
        """The types for which the code is compiled: the `dtypes`, or one empty name where there is no `T`."""
        return self.dtypes or ("",)

    def moved_on(self, workload: Workload) -> int:
        """Return the bytes that a kernel must move on a workload."""
        if self.moved is None:
            return self.signature.moved(workload)
        return self.moved.value(self.signature.numbers(workload))

    def flops_on(self, workload: Workload) -> int:
        """Return the operations that a workload takes, 0 where the case does not say."""
        return 0 if self.flops is None else self.flops.value(self.signature.numbers(workload))


def read_spec(value: JSON, root: Path) -> KernelSpec:
    """Return what `expected.kernel` says; `root` is the skill's folder. Raises `ValueError` with a sentence."""
    if not isinstance(value, dict):
        raise ValueError(
            f'kernel needs an object such as {{"signature": "...", "shapes": [...]}}, not {kind(value)}'
        )
    unknown_keys("kernel", value, _KEYS)
    signature = _signature(value)
    require = _require(value)
    name = _reference_name(value, require)
    dtypes = _dtypes(value, signature)
    spec = KernelSpec(
        signature=signature,
        reference=read_reference(name, root, signature.given) if name else "",
        reference_name=name,
        shapes=_shapes(value, signature, require),
        dtypes=dtypes,
        arch=_arch(value),
        require=require,
        tolerance=read_tolerances(value, signature.written(dtypes)),
        tf32=flag(value, "tf32"),
        aligned=flag(value, "aligned"),
        moved=_expression(value, "bytes", signature),
        flops=_expression(value, "flops", signature),
        gates=read_gates(value.get("gates"), require),
    )
    _check_problems(spec)
    return spec


def _signature(value: Mapping[str, JSON]) -> Signature:
    given = text(value, "signature", "rmsnorm(x:T[rows,cols], out y:T[rows,cols], rows:i32, cols:i32)")
    if given is None:
        raise ValueError('kernel needs a "signature", such as "scale(x:T[n], out y:T[n], n:i32)"')
    try:
        return parse_signature(given)
    except ValueError as error:
        raise ValueError(f"kernel: signature: {error}") from None


def _require(value: Mapping[str, JSON]) -> Require:
    given = value.get("require", "correct")
    for require in _REQUIRES:
        if given == require:
            return require
    known = ", ".join(_REQUIRES)
    raise ValueError(
        f"kernel: 'require' is one of {known}, not {kind(given)}{nearest(str(given), _REQUIRES)}"
    )


def _reference_name(value: Mapping[str, JSON], require: Require) -> str:
    name = text(value, "reference", "rmsnorm.py")
    if name is None and require != "compile":
        raise ValueError(
            'kernel needs a "reference": a Python file beside the skill with a function reference, such as "rmsnorm.py"'
        )
    return name or ""


def _dtypes(value: Mapping[str, JSON], signature: Signature) -> tuple[str, ...]:
    dtypes = words(value, "dtypes", "bf16")
    for dtype in dtypes:
        if dtype not in SIZES:
            hint = nearest(dtype, SIZES) or f"; known are {listing(SIZES)}"
            raise ValueError(f"kernel: 'dtypes' has the unknown type '{one_line(dtype)}'{hint}")
    if signature.generic and not dtypes:
        raise ValueError(
            f'kernel needs "dtypes", such as ["bf16", "f32"]: the signature has the type {ELEMENT}'
        )
    if dtypes and not signature.generic:
        raise ValueError(f"kernel has 'dtypes', but no parameter of the signature is of the type {ELEMENT}")
    return dtypes


def _shapes(value: Mapping[str, JSON], signature: Signature, require: Require) -> tuple[Shape, ...]:
    lines = words(value, "shapes", "rows=4096 cols=1..999")
    try:
        shapes = [shape for line in lines for shape in parse_shapes(line)]
    except ValueError as error:
        raise ValueError(f"kernel: shapes: {error}") from None
    for shape in shapes:
        _check_sizes([span.name for span in shape.spans], signature)
    if len(shapes) > MOST_SHAPES:
        raise ValueError(f"kernel: 'shapes' has {len(shapes)} combinations; at most {MOST_SHAPES}")
    if not shapes and signature.sizes and require != "compile":
        example = " ".join(f"{name}=1..999" for name in signature.sizes)
        raise ValueError(f'kernel needs "shapes", such as ["{example}"]')
    return tuple(dict.fromkeys(shapes)) or (() if signature.sizes else (Shape(),))


def _check_sizes(names: list[str], signature: Signature) -> None:
    known = (*signature.sizes, *signature.optional)
    for name in names:
        if name not in known:
            hint = nearest(name, known) or f"; it has: {listing(known)}"
            raise ValueError(f"kernel: shapes: the signature has no size '{name}'{hint}")
    for name in signature.sizes:
        if name not in names:
            raise ValueError(
                f"kernel: shapes: '{' '.join(names)}' gives no {name}; each shape needs all sizes"
            )


def _arch(value: Mapping[str, JSON]) -> str | None:
    given = text(value, "arch", "sm_90a")
    if given is None:
        return None
    match = _ARCH.fullmatch(given.strip())
    if match is None:
        raise ValueError(f"kernel: 'arch' is written like sm_90a or 90a, not '{one_line(given)}'")
    return f"sm_{match['number']}{match['kind']}"


def _expression(value: Mapping[str, JSON], key: str, signature: Signature) -> Expression | None:
    given = value.get(key)
    if isinstance(given, int) and not isinstance(given, bool):
        given = str(given)
    given = text({key: given}, key, "2*rows*cols*sizeof_T") if key in value else None
    if given is None:
        return None
    try:
        expression = parse(given)
        check_names(expression, signature.known)
    except ValueError as error:
        raise ValueError(f"kernel: {key}: {error}") from None
    return expression


def _check_problems(spec: KernelSpec) -> None:
    """Work out what each problem needs, at the ends of its ranges. Raises `ValueError`."""
    for workload in corners(spec):
        try:
            arguments = spec.signature.arguments(workload)
            numbers = {"bytes": spec.moved_on(workload), "flops": spec.flops_on(workload)}
        except ValueError as error:
            raise ValueError(f"kernel: at {workload.label}: {error}") from None
        total = sum(each.nbytes for each in arguments if isinstance(each, Tensor))
        if total > MOST_BYTES:
            raise ValueError(
                f"kernel: shapes: at {workload.label} the buffers take {total / 2**30:.0f} GiB; "
                f"at most {MOST_BYTES // 2**30} GiB"
            )
        for key, number in numbers.items():
            if number < (key == "bytes"):
                raise ValueError(f"kernel: {key}: at {workload.label} it comes to {number}")
