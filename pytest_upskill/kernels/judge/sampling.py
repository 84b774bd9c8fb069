"""Which rows of a large problem are compared: the first, the last, and some that only the seed knows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pytest_upskill.kernels.data import Tensor
from pytest_upskill.kernels.judge.reference import Reference
from pytest_upskill.kernels.judge.wire import Posed, Task

if TYPE_CHECKING:
    import torch

ROWS = "rows"
_LARGE = 2**22
_ELEMENTS = 2**20
_FEWEST = 64


def row_count(posed: Posed) -> int:
    """Return how many rows the outputs have: those of the first one, all but the last dimension."""
    shape = posed.returned[0].shape
    return math.prod(shape[:-1]) if len(shape) > 1 else math.prod(shape)


def chosen_rows(task: Task, reference: Reference, problem: int, copy: int) -> torch.Tensor | None:
    """Return the sorted numbers of the rows to compare, or None where all are.

    Rows are sampled where the reference file says how (`rows`) and inputs or outputs hold more than 4 million
    elements: as many rows as hold a million elements, at least 64.
    """
    import torch

    posed = task.problems[problem]
    if not reference.has(ROWS) or not _is_large(posed):
        return None
    rows = row_count(posed)
    _refuse_uneven(posed, rows, reference)
    wanted = max(_FEWEST, _ELEMENTS * rows // posed.returned[0].elements)
    if wanted >= rows:
        return None
    generator = torch.Generator().manual_seed(task.number("rows", problem, copy))
    drawn = torch.randint(0, rows, (wanted,), generator=generator)
    return torch.unique(torch.cat([drawn, torch.tensor([0, rows - 1])]))


def cut(
    reference: Reference, inputs: dict[str, torch.Tensor], index: torch.Tensor, label: str
) -> dict[str, Any]:
    """Return the inputs (and sizes) that `rows` cuts down to what the chosen rows of the outputs need."""
    kept = reference.call(ROWS, {"inputs": dict(inputs), "index": index}, label)
    if not isinstance(kept, dict):
        raise reference.mistake(
            ROWS, f"rows() returned {type(kept).__name__} and not a dict of inputs by name"
        )
    return {**inputs, **kept}


def rows_of(output: torch.Tensor, tensor: Tensor, rows: int, index: torch.Tensor) -> torch.Tensor:
    """Return the chosen rows of a whole output: one line each."""
    return output.view(rows, tensor.elements // rows)[index]


def _is_large(posed: Posed) -> bool:
    return max(each.elements for each in (*posed.given, *posed.returned)) > _LARGE


def _refuse_uneven(posed: Posed, rows: int, reference: Reference) -> None:
    for tensor in posed.returned:
        if rows == 0 or tensor.elements % rows:
            raise reference.mistake(
                ROWS,
                f"rows() cannot be used here: the output '{tensor.name}' {list(tensor.shape)} has not the {rows} rows "
                f"of '{posed.returned[0].name}'; leave rows() out",
            )
