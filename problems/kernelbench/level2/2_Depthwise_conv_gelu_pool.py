# ksearch: made-for cpu
# A causal depthwise convolution over time, GELU, and the maximum over windows of four.
import torch
import torch.nn as nn


class Model(nn.Module):
    def __init__(self, channels: int, taps: int):
        super().__init__()
        self.taps = taps
        self.conv = nn.Conv1d(channels, channels, taps, groups=channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [batch, channels, time] -> [batch, channels, time / 4]."""
        y = self.conv(nn.functional.pad(x, (self.taps - 1, 0)))
        return nn.functional.gelu(y).unflatten(-1, (-1, 4)).amax(dim=-1)


batch = 4
channels = 128
time = 2048


def get_inputs():
    return [torch.randn(batch, channels, time)]


def get_init_inputs():
    return [channels, 4]
