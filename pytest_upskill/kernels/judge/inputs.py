"""The inputs of a problem: drawn from the secret seed, by the reference file's own `make_inputs` or by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_upskill.kernels.data import Tensor
from pytest_upskill.kernels.judge.reference import Reference
from pytest_upskill.kernels.judge.tensors import is_float, torch_type
from pytest_upskill.kernels.judge.wire import Posed, Task

if TYPE_CHECKING:
    import torch

_MAKE = "make_inputs"


def draws_its_own(reference: Reference) -> bool:
    """Tell whether the reference file has its own `make_inputs`."""
    return reference.has(_MAKE)


def draw(
    task: Task, reference: Reference, problem: int, copy: int, *, own: bool = True
) -> dict[str, torch.Tensor]:
    """Return the tensors that a kernel is given, by name, in their own types; each copy is another draw.

    Without `own` they are as they would be if the reference file had no `make_inputs`.
    """
    posed = task.problems[problem]
    made = _own(task, reference, problem, copy) if own and draws_its_own(reference) else {}
    return {
        tensor.name: _fitted(made[tensor.name], tensor, reference)
        if tensor.name in made
        else _default(tensor, _generator(task, problem, copy, tensor.name))
        for tensor in posed.given
    }


def _own(task: Task, reference: Reference, problem: int, copy: int) -> Mapping[str, Any]:
    posed = task.problems[problem]
    values = {
        "sizes": dict(posed.workload.sizes),
        "dtype": torch_type(posed.workload.dtype or "f32"),
        "generator": _generator(task, problem, copy, _MAKE),
    }
    made = reference.call(_MAKE, values, posed.workload.label)
    if not isinstance(made, dict):
        raise reference.mistake(
            _MAKE, f"{_MAKE}() returned {type(made).__name__} and not a dict of tensors by name"
        )
    _refuse_unknown(made, posed, reference)
    return made


def _refuse_unknown(made: Mapping[str, Any], posed: Posed, reference: Reference) -> None:
    names = [tensor.name for tensor in posed.given]
    for name in made:
        if name not in names:
            raise reference.mistake(
                _MAKE,
                f"{_MAKE}() returned '{name}', which is no input of the signature; its inputs are "
                f"{', '.join(names) or 'none'}",
            )


def _generator(task: Task, *parts: object) -> torch.Generator:
    import torch

    return torch.Generator().manual_seed(task.number("inputs", *parts))


def _fitted(made: object, tensor: Tensor, reference: Reference) -> torch.Tensor:
    """Return a tensor of `make_inputs` in its type, once it is seen to be what the signature says."""
    import torch

    if not isinstance(made, torch.Tensor):
        words = f"is {type(made).__name__} and not a tensor"
    elif tuple(made.shape) != tensor.shape:
        words = f"has shape {list(made.shape)} where the signature says {list(tensor.shape)}"
    elif not is_float(tensor.dtype) and (made.is_floating_point() or made.is_complex()):
        words = f"is {made.dtype} where the signature says {tensor.dtype}"
    elif not is_float(tensor.dtype) and not torch.equal(
        made.to(torch_type(tensor.dtype)).to(torch.int64), made.to(torch.int64)
    ):
        words = f"holds values that do not fit in {tensor.dtype}"
    else:
        return made.detach().to(torch_type(tensor.dtype), copy=True).contiguous()
    raise reference.mistake(_MAKE, f"'{tensor.name}' of {_MAKE}() {words}")


def _default(tensor: Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return standard normal numbers whose rows differ in size and mean, or small integers.

    Were all rows alike, one constant could stand for what has to be computed of each: of 32768 standard normal
    numbers the root mean square is 1 within half a percent, and a kernel that does not normalise would pass. Were all
    parts of a row alike, a part could stand for the row: hence they grow or fall from its begin to its end.
    Integers are 0 to 15, as an index mostly is one; i8 and i16 are data, and -8 to 7.
    """
    import torch

    if not is_float(tensor.dtype):
        low = -8 if tensor.dtype in ("i8", "i16") else 0
        drawn = torch.randint(low, low + 16, tensor.shape, generator=generator)
        return drawn.to(torch_type(tensor.dtype))
    wide = torch.float64 if tensor.dtype == "f64" else torch.float32
    drawn = torch.randn(tensor.shape, generator=generator, dtype=wide)
    ends = (*tensor.shape[:-1], 1) if tensor.shape else ()
    size = torch.exp2(2 * torch.rand(ends, generator=generator, dtype=wide) - 1)
    mean = (torch.rand(ends, generator=generator, dtype=wide) - 0.5) / 2
    return drawn.add_(mean).mul_(size).mul_(_slope(tensor, generator, wide)).to(torch_type(tensor.dtype))


def _slope(tensor: Tensor, generator: torch.Generator, wide: torch.dtype) -> torch.Tensor:
    """Return factors along the last dimension, from 1 - s to 1 + s: s is between a quarter and a half, up or down."""
    import torch

    steepness, way = torch.rand(2, generator=generator, dtype=wide).tolist()
    s = (0.25 + steepness / 4) * (1 if way < 0.5 else -1)
    return 1 + s * torch.linspace(-1, 1, tensor.shape[-1] if tensor.shape else 1, dtype=wide)
