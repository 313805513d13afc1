# ksearch: made-for cpu
# A gated projection: two linear maps, SiLU of one times the other, then RMS normalisation with a learned scale.
import torch
import torch.nn as nn


class Model(nn.Module):
    def __init__(self, width: int, hidden: int, epsilon: float):
        super().__init__()
        self.up = nn.Linear(width, hidden)
        self.gate = nn.Linear(width, hidden)
        self.scale = nn.Parameter(1 + 0.1 * torch.randn(hidden))
        self.epsilon = epsilon

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [tokens, width] -> [tokens, hidden]."""
        y = self.up(x) * nn.functional.silu(self.gate(x))
        return y * torch.rsqrt(y.pow(2).mean(dim=-1, keepdim=True) + self.epsilon) * self.scale


tokens = 1024
width = 64
hidden = 512


def get_inputs():
    return [torch.randn(tokens, width)]


def get_init_inputs():
    return [width, hidden, 1e-6]
