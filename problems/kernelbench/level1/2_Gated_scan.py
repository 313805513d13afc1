# ksearch: made-for cpu
# A linear recurrence along time: h[t] = a[t] * h[t - 1] + (1 - a[t]) * x[t], from h = 0.
import torch
import torch.nn as nn


class Model(nn.Module):
    def forward(self, x: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        """x and gate [batch, time, channels] -> h [batch, time, channels]."""
        state = torch.zeros_like(x[:, 0])
        states = []
        for t in range(x.shape[1]):
            a = torch.sigmoid(gate[:, t])
            state = a * state + (1 - a) * x[:, t]
            states.append(state)
        return torch.stack(states, dim=1)


batch = 4
time = 200
channels = 384


def get_inputs():
    return [torch.randn(batch, time, channels), torch.randn(batch, time, channels) + 1]


def get_init_inputs():
    return []
