"""Sum of each row's softmax, which is one whatever the input: a case that no kernel can show anything on."""

from __future__ import annotations

import torch


def reference(x: torch.Tensor) -> torch.Tensor:
    return torch.softmax(x, -1).sum(-1)
