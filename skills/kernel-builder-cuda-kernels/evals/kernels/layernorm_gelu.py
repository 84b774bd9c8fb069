"""A layer norm of each row and then GELU, on rows whose mean may be a few times their deviation."""

from __future__ import annotations

import math

import torch


def reference(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor, eps: float) -> torch.Tensor:
    """Return the activated rows: x * P(X <= x) of a standard normal X, not its approximation by tanh."""
    centred = x - x.mean(-1, keepdim=True)
    normed = centred * (centred.square().mean(-1, keepdim=True) + eps).rsqrt() * w + b
    return 0.5 * normed * torch.erfc(normed * -math.sqrt(0.5))


def eager(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor, eps: float) -> torch.Tensor:
    """Return the same as PyTorch has it: what a kernel's speed is compared with."""
    return torch.nn.functional.gelu(torch.nn.functional.layer_norm(x, x.shape[-1:], w, b, eps))


def make_inputs(sizes: dict[str, int], generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Return rows of deviations from 4 down to 1/512 (the root of eps = 1e-5 is 1/316), off zero by up to 4 of them."""
    rows, cols = sizes["rows"], sizes["cols"]
    scale = torch.exp2(torch.randint(-9, 3, (rows, 1), generator=generator))
    mean = 8 * torch.rand(rows, 1, generator=generator) - 4
    return {"x": (torch.randn(rows, cols, generator=generator) + mean) * scale}


def rows(inputs: dict[str, torch.Tensor], index: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return what some rows of the output are computed from."""
    return {"x": inputs["x"][index]}
