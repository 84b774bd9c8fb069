"""The root mean square norm of each row, on rows of which some are so small that eps decides."""

from __future__ import annotations

import torch


def reference(x: torch.Tensor, w: torch.Tensor, eps: float) -> torch.Tensor:
    """Return the normalised rows."""
    return x * (x.square().mean(-1, keepdim=True) + eps).rsqrt() * w


def eager(x: torch.Tensor, w: torch.Tensor, eps: float) -> torch.Tensor:
    """Return the same as PyTorch has it: what a kernel's speed is compared with."""
    return torch.nn.functional.rms_norm(x, x.shape[-1:], w, eps)


def make_inputs(sizes: dict[str, int], generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Return rows whose root mean squares go from 4 down to 1/4096: of eps = 1e-6 the root is 1/1000."""
    rows, cols = sizes["rows"], sizes["cols"]
    scale = torch.exp2(torch.randint(-12, 3, (rows, 1), generator=generator))
    return {"x": torch.randn(rows, cols, generator=generator) * scale}


def rows(inputs: dict[str, torch.Tensor], index: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return what some rows of the output are computed from."""
    return {"x": inputs["x"][index]}
