"""What a reply has to keep to, as it stands behind the input of a case in every arm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import gcd

from pytest_upskill.kernels.data import C_TYPES, ELEMENT
from pytest_upskill.kernels.parameters import ELEMENT_SIZE, Parameter
from pytest_upskill.kernels.spec import KernelSpec
from pytest_upskill.kernels.workloads import all_shapes

_MOST_VALUES = 4
_BEFORE = {
    "out": "uninitialised",
    "out zero": "zeroed before each call",
    "inout": "read and updated in place",
    "workspace": "uninitialised scratch memory",
}


def brief(spec: KernelSpec) -> str:
    """Return the form that is asked of a reply: the prototype, what the buffers hold, how the launch is declared."""
    words = ", ".join([*spec.signature.known, "+ - * / %", "ceil_div(a, b)", "min", "max"])
    return (
        f"Write the kernel with exactly this declaration:\n```cuda\n{spec.signature.prototype()}\n```\n"
        f"{' '.join(_facts(spec))}\n"
        "Say how it is launched in one comment in the code, of this form but with values of your own: whole numbers "
        f"or expressions with {words}.\n"
        f"```cuda\n{_example(spec)}\n```\n"
        "smem is dynamic shared memory in bytes. "
        "Reply with one fenced ```cuda block: device code, one kernel, no printf or malloc."
    )


def _facts(spec: KernelSpec) -> Iterator[str]:
    if spec.dtypes:
        yield f"{ELEMENT} is defined beforehand as {_listed([C_TYPES[dtype] for dtype in spec.dtypes], 'or')}."
    tensors = [each for each in spec.signature.parameters if each.shape]
    shapes = ", ".join(_shaped(each) for each in tensors)
    yield f"Buffers are contiguous, row-major: {shapes}."
    for role, words in _BEFORE.items():
        if names := [each.name for each in tensors if each.role == role]:
            yield f"{_listed(names, 'and')} {'is' if len(names) == 1 else 'are'} {words}."
    yield from _sizes(spec)
    yield (
        "Pointers are 16-byte aligned."
        if spec.aligned
        else ("Pointers are 16-byte aligned in most calls, in some only to their element.")
    )
    if spec.arch:
        yield f"The target is {spec.arch}."
    if spec.tf32:
        yield "TF32 is exact enough for float."


def _shaped(parameter: Parameter) -> str:
    unit = " bytes" if parameter.role == "workspace" else ""
    return f"{parameter.name}[{', '.join(extent.text for extent in parameter.shape)}{unit}]"


def _sizes(spec: KernelSpec) -> Iterator[str]:
    """Say what holds of the sizes: a kernel may count on what the case fixes, and on nothing else."""
    names = [name for name in spec.signature.sizes if spec.shapes]
    promised = {name: promise for name in names if (promise := _promise(spec, name))}
    yield from promised.values()
    if len(promised) < len(names):
        most = _listed([f"{_most(spec, name)} {name}" for name in names if name not in promised], "and")
        yield f"{'Other sizes' if promised else 'Sizes'} are any numbers from 1, odd ones too, to {most}."


def _most(spec: KernelSpec, name: str) -> int:
    """Return a bound of a size, a power of two: what fits into shared memory hangs on it, and it gives no draw away."""
    highest = max(span.high for shape in all_shapes(spec) for span in shape.spans if span.name == name)
    return 1 << (highest - 1).bit_length()


def _promise(spec: KernelSpec, name: str) -> str:
    spans = [span for shape in all_shapes(spec) for span in shape.spans if span.name == name]
    if all(span.pinned for span in spans):
        values = sorted({span.low for span in spans})
        if len(values) <= _MOST_VALUES:
            return f"{name} is {_listed([str(value) for value in values], 'or')}."
    step = gcd(*(number for span in spans for number in (span.low, span.step if span.drawn else 0)))
    explicit = any(span.pinned or span.step > 1 for span in spans)
    return f"{name} is a multiple of {step}." if explicit and step > 1 else ""


def _example(spec: KernelSpec) -> str:
    """Return a launch comment that can be read for this signature and fits no kernel in particular."""
    names = [name for name in spec.signature.known if name != ELEMENT_SIZE]
    blocks = f"ceil_div({names[0]}, 2)" if names else "3"
    shared = f"32 * {ELEMENT_SIZE}" if spec.signature.generic else "128"
    return f"// launch: grid=({blocks}, 1, 1) block=(64, 1, 1) smem={shared}"


def _listed(words: Sequence[str], last: str) -> str:
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
