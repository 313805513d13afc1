"""The triangle multiplication of AlphaFold's pair stack, outgoing edges, in plain float32 torch. See task.yml."""

import math

import torch
from task import TOLERANCE, input_t, output_t
from torch.nn.functional import layer_norm, linear

EPSILON = 1e-5


def generate_input(
    seqlen: int, bs: int, dim: int, hiddendim: int, nomask: bool, distribution: str, seed: int
) -> input_t:
    """Draw one problem; everything follows from the seed, the weights too."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    source = torch.Generator(device).manual_seed(seed)

    def normal(*shape: int, scale: float = 1.0) -> torch.Tensor:
        return torch.randn(shape, generator=source, device=device) * scale

    def cauchy(*shape: int) -> torch.Tensor:
        return 2 * torch.tan(math.pi * (torch.rand(shape, generator=source, device=device) - 0.5))

    draw = {"normal": normal, "cauchy": cauchy}[distribution]
    x = draw(bs, seqlen, seqlen, dim)
    mask = torch.ones(bs, seqlen, seqlen, device=device)
    if not nomask:
        mask = torch.randint(0, 2, (bs, seqlen, seqlen), generator=source, device=device).float()
    weights = {"norm.weight": normal(dim), "norm.bias": normal(dim)}
    for name in ("left_proj", "right_proj", "left_gate", "right_gate", "out_gate"):
        weights[f"{name}.weight"] = normal(hiddendim, dim, scale=hiddendim**-0.5)
    weights["to_out_norm.weight"] = normal(hiddendim)
    weights["to_out_norm.bias"] = normal(hiddendim)
    weights["to_out.weight"] = normal(dim, hiddendim, scale=dim**-0.5)
    return x, mask, weights, {"dim": dim, "hidden_dim": hiddendim}


def ref_kernel(data: input_t) -> output_t:
    """Compute it; TF32 stays off."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    x, mask, weights, config = data
    normed = layer_norm(x, (config["dim"],), weights["norm.weight"], weights["norm.bias"], EPSILON)

    def gated(side: str) -> torch.Tensor:
        gate = torch.sigmoid(linear(normed, weights[f"{side}_gate.weight"]))
        return linear(normed, weights[f"{side}_proj.weight"]) * mask.unsqueeze(-1) * gate

    left, right = gated("left"), gated("right")
    product = torch.matmul(left.permute(0, 3, 1, 2), right.permute(0, 3, 2, 1)).permute(0, 2, 3, 1)
    hidden = (config["hidden_dim"],)
    normed_product = layer_norm(
        product, hidden, weights["to_out_norm.weight"], weights["to_out_norm.bias"], EPSILON
    )
    return linear(normed_product * torch.sigmoid(linear(normed, weights["out_gate.weight"])), weights["to_out.weight"])


def check_implementation(data: input_t, output: output_t) -> tuple[bool, str]:
    """Compare with the reference, element by element."""
    expected = ref_kernel(data)
    if output.shape != expected.shape:
        return False, f"the shape is {list(output.shape)}, not {list(expected.shape)}"
    good = torch.isclose(output.float(), expected, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
    if bool(good.all()):
        return True, ""
    place = (~good).nonzero()[0].tolist()
    got, want = output[tuple(place)].item(), expected[tuple(place)].item()
    return False, f"{int((~good).sum())} of {good.numel()} elements are off; at {place}: {got:.6g}, not {want:.6g}"
