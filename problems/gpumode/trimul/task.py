"""What a submission gets and returns, and how near to the reference it has to come."""

from typing import TypedDict

import torch

TOLERANCE = 2e-2
"""An element is right when |got - want| <= TOLERANCE + TOLERANCE * |want|."""


class Config(TypedDict):
    """Sizes: `dim` is D, `hidden_dim` is H."""

    dim: int
    hidden_dim: int


input_t = tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor], Config]
"""x [B, N, N, D], mask [B, N, N] of zeros and ones, weights by name, sizes; all tensors are float32."""

output_t = torch.Tensor
"""[B, N, N, D], float32."""
