"""A place to start from: the reference's maths, with the five projections in one product."""

import torch
from task import input_t, output_t
from torch.nn.functional import layer_norm, linear

PROJECTIONS = ("left_proj", "left_gate", "right_proj", "right_gate", "out_gate")


def custom_kernel(data: input_t) -> output_t:
    x, mask, weights, config = data
    dim, hidden = config["dim"], config["hidden_dim"]
    normed = layer_norm(x, (dim,), weights["norm.weight"], weights["norm.bias"])
    projected = linear(normed, torch.cat([weights[f"{name}.weight"] for name in PROJECTIONS]))
    left, left_gate, right, right_gate, out_gate = projected.split(hidden, dim=-1)
    left = left * left_gate.sigmoid() * mask.unsqueeze(-1)
    right = right * right_gate.sigmoid() * mask.unsqueeze(-1)
    product = torch.einsum("bikh,bjkh->bijh", left, right)
    product = layer_norm(product, (hidden,), weights["to_out_norm.weight"], weights["to_out_norm.bias"])
    return linear(product * out_gate.sigmoid(), weights["to_out.weight"])
