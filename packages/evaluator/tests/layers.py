"""Requests for tests of KernelBench's format: a linear layer, a clamp and a batch norm in training mode."""

from typing import Any

from affine import request_about

PROBLEM = """
import torch
import torch.nn as nn

class Model(nn.Module):
    def __init__(self, width, out):
        super().__init__()
        self.linear = nn.Linear(width, out)
        self.scale = nn.Parameter(torch.randn(out))
        self.norm = nn.BatchNorm1d(out)

    def forward(self, x, keep):
        return self.norm(torch.clamp(self.linear(x), min=-0.5)) * self.scale * keep[:, None]

def get_inputs():
    return [torch.rand(96, 32) - 0.5, torch.randint(0, 2, (96,))]

def get_init_inputs():
    return [32, 24]
"""

KERNEL = PROBLEM[: PROBLEM.index("def get_inputs")].replace("class Model", "class ModelNew")


def model_new(source: str = KERNEL, **fields: Any) -> dict[str, Any]:
    return {
        "definition": "kernelbench_l2_p900",
        "language": "python",
        "entryPoint": "model_new.py::ModelNew",
        "binding": "python",
        "destinationPassing": False,
        "targetHardware": ["cpu"],
        "dependencies": [],
        "files": [{"path": "model_new.py", "content": source}],
        **fields,
    }


def problem(source: str = PROBLEM, precision: str = "fp32", level: int = 2) -> dict[str, Any]:
    return {
        "format": "kernelbench",
        "name": "kernelbench_l2_p900",
        "level": level,
        "problemId": 900,
        "title": "Linear_Clamp_BatchNorm_Mask",
        "source": source,
        "precision": precision,
        "madeFor": "cpu",
    }


def request(kernel: dict[str, Any], mode: str = "test", asked: dict[str, Any] | None = None) -> dict[str, Any]:
    made: Any = request_about(problem() if asked is None else asked, kernel, mode)
    made["settings"]["correctness"] |= {"bound": "sum", "rtol": 1e-4, "atol": 1e-4}
    return made
