"""Requests for tests: one small problem, y = scale·x + 1 in float32, and kernels for it."""

import copy
from typing import Any

REFERENCE = """
import numpy as np

def run(x, scale):
    return (x * np.float32(scale) + np.float32(1)).astype(np.float32)
"""

DEFINITION: dict[str, Any] = {
    "name": "affine",
    "op_type": "elementwise",
    "axes": {"n": {"type": "var"}, "m": {"type": "const", "value": 64}},
    "inputs": {"x": {"shape": ["n", "m"], "dtype": "float32"}, "scale": {"shape": None, "dtype": "float32"}},
    "outputs": {"y": {"shape": ["n", "m"], "dtype": "float32"}},
    "reference": REFERENCE,
}

SETTINGS: dict[str, Any] = {
    "profile": "hardened",
    "mode": "test",
    "correctness": {
        "trials": 2,
        "rtol": 1e-2,
        "atol": 1e-2,
        "bound": "max",
        "matchedRatio": 1,
        "rmsRel": 1e-2,
        "checkTimed": "all",
    },
    "timing": {
        "warmup": 1,
        "iterations": 6,
        "targetMs": None,
        "inputs": "fresh",
        "flushCache": True,
        "statistic": "median",
    },
    "aggregate": "geomean_speedup",
    "baselineNs": None,
    "isolateWorkloads": False,
    "parallelWorkloads": 1,
    "feedbackOrder": "first",
    "staticPolicy": "off",  # else what a fixture is refused for would not be what it does
    "digest": "none",
    "limits": {
        "buildMs": 60_000,
        "workloadMs": 20_000,
        "totalMs": 60_000,
        "logBytes": 4_096,
        "memoryMb": 4_096,
        "processes": 64,
    },
}

CPP = """#include <cstdint>
extern "C" void affine(const float* x, float scale, float* y, int64_t n) {
  for (int64_t i = 0; i < n * 64; ++i) y[i] = x[i] * scale + 1.0f;
}
"""

PYTHON = """
import numpy as np

def affine(x, scale):
    return x * np.float32(scale) + np.float32(1)
"""


def workload(n: int) -> dict[str, Any]:
    return {
        "uuid": f"n{n}",
        "axes": {"n": n},
        "inputs": {"x": {"type": "random"}, "scale": {"type": "scalar", "value": 3.0}},
    }


def cpp(source: str = CPP, symbol: str = "affine") -> dict[str, Any]:
    return {
        "definition": "affine",
        "language": "cpp",
        "entryPoint": f"kernel.cpp::{symbol}",
        "binding": "c-abi",
        "destinationPassing": True,
        "targetHardware": ["cpu"],
        "dependencies": [],
        "files": [{"path": "kernel.cpp", "content": source}],
    }


def python(source: str = PYTHON) -> dict[str, Any]:
    return {
        **cpp(source),
        "language": "python",
        "entryPoint": "kernel.py::affine",
        "binding": "python",
        "destinationPassing": False,
        "files": [{"path": "kernel.py", "content": source}],
    }


def request(kernel: dict[str, Any], mode: str = "test", sizes: tuple[int, ...] = (8, 2)) -> dict[str, Any]:
    problem = {"format": "flashinfer", "definition": DEFINITION, "workloads": [workload(n) for n in sizes]}
    return request_about(problem, kernel, mode)


def request_about(problem: dict[str, Any], kernel: dict[str, Any], mode: str) -> dict[str, Any]:
    """Return a request of its own, free to be changed."""
    return copy.deepcopy(
        {
            "schema": "ksearch.request/1",
            "requestId": "test",
            "problem": problem,
            "kernel": kernel,
            "incumbent": None,
            "settings": {**SETTINGS, "mode": mode},
            "device": "cpu",
        }
    )
