"""The problems of one run of a case: those it lists, those that a secret seed draws, and misaligned ones."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_upskill.kernels.data import Workload
from pytest_upskill.kernels.shapes import Shape, Span, nearby

if TYPE_CHECKING:
    from pytest_upskill.kernels.spec import KernelSpec

_TRIES = 64
_ODD_TRIES = 8


def seed_of(secret: bytes, skill: str, case: str, run: int) -> bytes:
    """Return the seed of a run: the same for all models and arms, and not to be guessed without the secret."""
    return hmac.digest(secret, json.dumps([skill, case, run]).encode(), hashlib.sha256)


def workloads(spec: KernelSpec, seed: bytes) -> tuple[Workload, ...]:
    """Return the problems of a run: each label is there once.

    First stand the fixed shapes, each for all types. Then one problem of each shape that has a range, for each type;
    a case without a range gets one near its first shape (`shapes.nearby`), unless all its sizes are pinned. Last, for
    each type, a problem whose buffers are `misaligned`, where all sizes but the pinned ones are drawn, unless the case
    says `aligned`.
    """
    problems: dict[str, Workload] = {}
    for workload in _listed(spec):
        problems.setdefault(workload.label, workload)
    for position, shape in enumerate(_hidden(spec)):
        for dtype in spec.elements:
            _add_drawn(problems, spec, shape, dtype, seed + f"shape {position} {dtype}".encode())
    for shape in _misaligned(spec):
        for dtype in spec.elements:
            workload = _workload(spec, _draw(shape, seed + f"misaligned {dtype}".encode()), dtype)
            label = f"{workload.label} misaligned"
            problems[label] = replace(workload, label=label, misaligned=True, drawn=shape.drawn)
    return tuple(problems.values())


def all_shapes(spec: KernelSpec) -> tuple[Shape, ...]:
    """Return the shapes of a case, and those beside them from which a seed draws."""
    return (*spec.shapes, *_hidden(spec), *_misaligned(spec))


def corners(spec: KernelSpec) -> Iterator[Workload]:
    """Yield the smallest and the largest problem of each shape and type."""
    for shape in all_shapes(spec):
        for dtype in spec.elements:
            yield _workload(spec, shape.corner(high=False), dtype)
            yield _workload(spec, shape.corner(high=True), dtype)


def _hidden(spec: KernelSpec) -> tuple[Shape, ...]:
    drawn = tuple(shape for shape in spec.shapes if shape.drawn)
    if drawn or not spec.shapes:
        return drawn
    near = nearby(spec.shapes[0])
    return (near,) if near else ()


def _misaligned(spec: KernelSpec) -> tuple[Shape, ...]:
    if spec.aligned or not spec.shapes:
        return ()
    shape = (*_hidden(spec), spec.shapes[0])[0]
    return (nearby(shape) or shape,)


def _listed(spec: KernelSpec) -> Iterator[Workload]:
    for shape in spec.shapes:
        if not shape.drawn:
            yield from (_workload(spec, shape.corner(high=True), dtype) for dtype in spec.elements)


def _workload(spec: KernelSpec, sizes: dict[str, int], dtype: str) -> Workload:
    order = (*spec.signature.sizes, *spec.signature.optional)
    ordered = {name: sizes[name] for name in order if name in sizes}
    words = [*(f"{name}={size}" for name, size in ordered.items()), *([dtype] if dtype else [])]
    return Workload(ordered, dtype, " ".join(words) or "the only one")


def _add_drawn(
    problems: dict[str, Workload], spec: KernelSpec, shape: Shape, dtype: str, seed: bytes
) -> None:
    # A problem that is listed already would hide nothing.
    for attempt in range(_TRIES):
        workload = replace(
            _workload(spec, _draw(shape, seed + bytes([attempt]), odd=attempt < _ODD_TRIES), dtype),
            drawn=True,
        )
        if workload.label not in problems:
            problems[workload.label] = workload
            return


def _draw(shape: Shape, seed: bytes, *, odd: bool = True) -> dict[str, int]:
    return {span.name: _value(span, seed, odd=odd) for span in shape.spans}


def _value(span: Span, seed: bytes, *, odd: bool) -> int:
    # Odd sizes find the tails that a kernel forgot: three of four draws move from an even one to its neighbour.
    number = int.from_bytes(hmac.digest(seed, span.name.encode(), hashlib.sha256))
    value = span.low + number % span.count * span.step
    if not odd or value % 2 or span.step % 2 == 0 or number >> 200 & 3 == 0:
        return value
    near = value + span.step if value + span.step <= span.high else value - span.step
    return near if near >= span.low else value
