"""Honest kernels in torch and in interpreted Triton, and of KernelBench's format."""

from typing import Any

import affine
import layers

from honest.kernel import Honest, Request, short
from honest.on_device import TWO_LAUNCHES

REFERENCE = "import torch\n\ndef run(x, scale):\n    return x * scale + 1\n"
TORCH = "import torch\n"

OTHER_ORDER = f"{TORCH}def affine(x, scale):\n    return (x.T.contiguous() * scale + 1).T\n"
OPERATORS = f"""{TORCH}
def affine(x, scale):
    y = torch.empty_like(x)
    for part, into in zip(x.chunk(4), y.chunk(4)):
        torch.addcmul(torch.ones_like(part), part, torch.full_like(part, scale), out=into)
    return y
"""
BFLOAT16 = f"{TORCH}def affine(x, scale):\n    return x.bfloat16().float() * scale + 1\n"
TWO_KERNELS = TWO_LAUNCHES.replace("def run", "def affine")
SUBMODULES = layers.KERNEL.replace(
    "        self.norm",
    "        self.register_buffer('floor', torch.full((out,), -0.5), persistent=False)\n        self.norm",
).replace("torch.clamp(self.linear(x), min=-0.5)", "torch.maximum(self.linear(x), self.floor)")
FUSED_CPP = """#include <cstdint>
extern "C" void clamp(float* y, float least, int64_t size) {
  for (int64_t i = 0; i < size; ++i) y[i] = y[i] < least ? least : y[i];
}
"""
WITH_CPP = "import ctypes, os\n" + layers.KERNEL.replace(
    "class ModelNew",
    """clamp = ctypes.CDLL(os.path.join(os.path.dirname(__file__), "kernel.so")).clamp
clamp.argtypes = (ctypes.c_void_p, ctypes.c_float, ctypes.c_int64)

def clamped(y):
    clamp(y.data_ptr(), -0.5, y.numel())
    return y

class ModelNew""",
).replace("torch.clamp(self.linear(x), min=-0.5)", "clamped(self.linear(x))")


def _affine(source: str, language: str = "python") -> Request:
    request = affine.request({**affine.python(source), "language": language}, sizes=(96, 3))
    request["problem"]["definition"]["reference"] = REFERENCE
    return short(request)


def _module(source: str, **fields: Any) -> Request:
    return short(layers.request(layers.model_new(source, **fields)))


def _module_with_cpp() -> Request:
    contents = {"model_new.py": WITH_CPP, "kernel.cpp": FUSED_CPP}
    return _module("", language="cpp", files=[{"path": path, "content": text} for path, text in contents.items()])


KERNELS = [
    Honest("H32", "torch operators into slices", lambda: _affine(OPERATORS), needs="torch"),
    Honest("H33", "torch, a result in column order", lambda: _affine(OTHER_ORDER), needs="torch"),
    Honest("H34", "torch, bfloat16 within the tolerance", lambda: _affine(BFLOAT16), needs="torch"),
    Honest("H35", "Triton, two launches", lambda: _affine(TWO_KERNELS, "triton"), needs="triton"),
    Honest("H36", "KernelBench, as the reference", lambda: _module(layers.KERNEL), needs="torch"),
    Honest("H37", "KernelBench, buffers and submodules", lambda: _module(SUBMODULES), needs="torch"),
    Honest("H38", "KernelBench, C++ beside Python", _module_with_cpp, needs="torch"),
]
