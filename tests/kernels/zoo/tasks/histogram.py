"""How many values fall into each of sixteen bins of half a unit."""

from __future__ import annotations

import torch


def reference(x: torch.Tensor) -> torch.Tensor:
    return torch.bincount((torch.floor(x * 2).long() + 8).clamp(0, 15), minlength=16)
