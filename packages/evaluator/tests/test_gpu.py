"""Judgements on a GPU: honest kernels of every language, format and style pass, wrong and hostile ones do not."""

import time
from collections.abc import Callable
from typing import Any

import layers
import on_gpu
import pytest
from affine import cpp
from on_gpu import (
    AUTOTUNED,
    CUDA,
    IN_PLACE_REFERENCE,
    PYTHON,
    TRITON,
    cuda,
    extension,
    gpumode_request,
    kernelbench_request,
    model_new,
    python,
    request,
    submission,
    submission_with_cuda,
    submitted_extension,
    triton,
)

from ksearch_referee.doctor import diagnose
from ksearch_referee.driver import judge
from ksearch_referee.examination import examine
from ksearch_referee.gpus import visible_gpu

pytestmark = pytest.mark.gpu

NUMPY_REFERENCE = (
    "import numpy as np\n\ndef run(x, scale):\n    return (x * np.float32(scale) + 1).astype(np.float32)\n"
)

DESTINATION = "def run(x, scale, y):\n    y.copy_(x * scale + 1)\n"

TEMPORARIES = "import torch\n\ndef run(x, scale):\n    y = x.clone()\n    y.mul_(scale)\n    y += 1\n    return y\n"

JOINED_STREAM = """
import torch

side = torch.cuda.Stream()

def run(x, scale):
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        y = x * scale
        y += 1
    torch.cuda.current_stream().wait_stream(side)
    return y
"""

GRAPH = """
import torch

graphs = {}

def run(x, scale):
    if x.shape not in graphs:
        source = torch.empty_like(x)
        torch.mul(source, scale).add_(1)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result = torch.mul(source, scale).add_(1)
        graphs[x.shape] = graph, source, result
    graph, source, result = graphs[x.shape]
    source.copy_(x)
    graph.replay()
    return result.clone()
"""

STALE_GRAPH = GRAPH.replace("source = torch.empty_like(x)", "source = x").replace("    source.copy_(x)\n", "")

BFLOAT16_TRITON = TRITON.replace("at < size) * scale", "at < size).to(tl.float32) * scale")

IN_PLACE = "def custom_kernel(data):\n    x, shift = data\n    return x.mul_(3).add_(shift)\n"

CACHED = """
results = {}

def run(x, scale):
    if x.shape not in results:
        results[x.shape] = x * scale + 1
    return results[x.shape].clone()
"""

ILLEGAL = CUDA.replace("y[i] =", "*(float*)(8 + 4 * i) =")
ENDLESS = CUDA.replace("if (i < size)", 'for (;;) asm volatile("nanosleep.u32 1000;"); if (i < size)')

LATE_COMPILER = TRITON.replace("BLOCK: tl.constexpr", "BLOCK: tl.constexpr, KEY: tl.constexpr").replace(
    "BLOCK=1024)", "BLOCK=1024, KEY=int(x.view(-1)[0].abs().item() * 1e6))"
)

TORCH_COMPILE = PYTHON.replace("def run", "@torch.compile\ndef run")

SPAWNS = "import subprocess\n\ndef run(x, scale):\n    subprocess.run(['/bin/true'])\n    return x * scale + 1\n"
CONNECTS = "import socket\n\ndef run(x, scale):\n    socket.socket(socket.AF_INET)\n    return x * scale + 1\n"

MODEL_WITH_TRITON = f"""
import triton
import triton.language as tl
{layers.KERNEL}
@triton.jit
def scaled(x, y, size, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(y + at, tl.load(x + at, mask=at < size), mask=at < size)

plain = ModelNew.forward

def forward(self, x, keep):
    y = plain(self, x, keep)
    z = torch.empty_like(y)
    scaled[(triton.cdiv(y.numel(), 256),)](y, z, y.numel(), BLOCK=256)
    return z

ModelNew.forward = forward
"""

COPIES = """extern "C" __global__ void copy(const float* x, float* y, long n) {
  long i = blockIdx.x * 256L + threadIdx.x;
  if (i < n) y[i] = x[i];
}
extern "C" void run_copy(const float* x, float* y, long n) { copy<<<(n + 255) / 256, 256>>>(x, y, n); }
"""

MODEL_WITH_CUDA = f"""
import ctypes, os
{layers.KERNEL}
copy = ctypes.CDLL(os.path.join(os.path.dirname(__file__), "kernel.so")).run_copy
copy.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_long)
plain = ModelNew.forward

def forward(self, x, keep):
    y = plain(self, x, keep).contiguous()
    z = torch.empty_like(y)
    copy(y.data_ptr(), z.data_ptr(), y.numel())
    return z

ModelNew.forward = forward
"""


def with_dtype(asked: dict[str, Any], dtype: str) -> dict[str, Any]:
    definition = asked["problem"]["definition"]
    definition["inputs"]["x"]["dtype"] = definition["outputs"]["y"]["dtype"] = dtype
    return asked


def model_with_cuda() -> dict[str, Any]:
    contents = {"model_new.py": MODEL_WITH_CUDA, "kernel.cu": COPIES}
    return model_new(language="cuda", files=[{"path": p, "content": c} for p, c in contents.items()])


HONEST: dict[str, Callable[[], dict[str, Any]]] = {
    "python": lambda: request(python()),
    "python, destination passing": lambda: request(python(DESTINATION, destinationPassing=True)),
    "python, bfloat16": lambda: with_dtype(request(python(on_gpu.REFERENCE)), "bfloat16"),
    "python, fp8": lambda: with_dtype(request(python(on_gpu.REFERENCE)), "float8_e4m3fn"),
    "python, numpy reference": lambda: request(python(), reference=NUMPY_REFERENCE),
    "temporaries in place": lambda: request(python(TEMPORARIES)),
    "another stream, joined": lambda: request(python(JOINED_STREAM)),
    "graph with its inputs copied": lambda: request(python(GRAPH)),
    "cuda, one file": lambda: request(cuda()),
    "cuda, one file, numpy reference": lambda: request(cuda(), reference=NUMPY_REFERENCE),
    "cuda, three files": lambda: request(extension()),
    "triton": lambda: request(triton()),
    "triton, autotuned": lambda: request(triton(AUTOTUNED)),
    "triton, bfloat16": lambda: with_dtype(request(triton(BFLOAT16_TRITON)), "bfloat16"),
    "gpumode, python": lambda: gpumode_request(submission()),
    "gpumode, in place": lambda: gpumode_request(submission(IN_PLACE), IN_PLACE_REFERENCE),
    "gpumode, .cu beside Python": lambda: gpumode_request(submission_with_cuda()),
    "gpumode, three files": lambda: gpumode_request(submitted_extension()),
    "kernelbench, python": lambda: kernelbench_request(model_new()),
    "kernelbench, bf16": lambda: kernelbench_request(model_new(), "bf16"),
    "kernelbench, triton": lambda: kernelbench_request(model_new(MODEL_WITH_TRITON, language="triton")),
    "kernelbench, .cu beside Python": lambda: kernelbench_request(model_with_cuda()),
    "isolated workloads, two at once": lambda: on_gpu.copied(
        request(triton()), isolateWorkloads=True, parallelWorkloads=2
    ),
}


@pytest.mark.parametrize("asked", HONEST.values(), ids=HONEST.keys())
def test_honest_kernels_pass(asked: Callable[[], dict[str, Any]]) -> None:
    result = judge(asked())
    assert (result["status"], result["phase"]) == ("passed", "done"), result
    gpu = visible_gpu()
    assert gpu is not None
    assert (result["env"]["gpu"], result["env"]["gpuCount"]) == (gpu.name, gpu.count)
    assert [g for g in result["guards"] if g["level"] == "reject"] == []


def returning(expression: str) -> dict[str, Any]:
    return python(f"import torch\n\ndef run(x, scale):\n    return {expression}\n")


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "other numbers": (returning("x * scale + 2"), "incorrect_numerical", "wrong numbers"),
    "float64": (returning("(x * scale + 1).double()"), "incorrect_dtype", "float64"),
    "another shape": (returning("(x * scale + 1)[:1].clone()"), "incorrect_shape", "shape"),
    "a tensor on the CPU": (returning("(x * scale + 1).cpu()"), "rejected", "tensor on cpu"),
    "too much device memory": (returning("torch.empty(1 << 45, device='cuda')"), "runtime_error", "out of memory"),
    "too much memory": (returning("torch.ones(1 << 33) + 1"), "runtime_error", "can't allocate memory"),
    "an input": (returning("x"), "rejected", "shares memory with an input"),
    "a changed input": (returning("x.mul_(scale) + 1"), "rejected", "changed its input 'x'"),
    "an unwritten element": (cuda(CUDA.replace("i < size)", "i < size - 1)")), "incorrect_numerical", "got nan"),
    "an element too many": (cuda(CUDA.replace("i < size)", "i <= size)")), "runtime_error", "the end of 'y'"),
    "results kept": (python(CACHED), "incorrect_numerical", "wrong numbers"),
    "a graph of the first pointers": (python(STALE_GRAPH), "incorrect_numerical", "wrong numbers"),
    "a process": (python(SPAWNS), "runtime_error", "PermissionError"),
    "a connection": (python(CONNECTS), "runtime_error", "PermissionError"),
    "nvcc's error": (cuda(CUDA.replace("1.0f", "nope")), "compile_error", 'kernel.cu:4: error: identifier "nope" is'),
    "no C linkage": (cuda(CUDA.replace('extern "C" ', "")), "compile_error", "no 'run' to call"),
    "an extension without run": (extension(main='#include "kernel.h"\n'), "compile_error", "PYBIND11_MODULE"),
    "Triton's error": (triton(TRITON.replace("tl.load", "tl.lode")), "compile_error", "lode"),
    "torch.compile": (python(TORCH_COMPILE), "runtime_error", "torch.compile starts compilers"),
    "compiling too late": (triton(LATE_COMPILER), "runtime_error", "wanted to compile something"),
    "C++": (cpp(), "infra_error", "C++ kernel for processors"),
}


@pytest.mark.parametrize(("kernel", "status", "words"), WRONG.values(), ids=WRONG.keys())
def test_wrong_kernels_fail(kernel: dict[str, Any], status: str, words: str) -> None:
    result = judge(request(kernel))
    assert result["status"] == status, result
    assert words in result["message"] + result["logs"]["feedback"]


@pytest.mark.parametrize("source", [ILLEGAL, ENDLESS], ids=["illegal address", "endless loop"])
def test_a_fault_on_the_device_ends_one_judgement_only(source: str) -> None:
    asked = request(cuda(source))
    asked["settings"]["limits"]["workloadMs"] = 3_000
    started = time.monotonic()
    result = judge(asked)
    assert result["status"] == ("runtime_error" if source is ILLEGAL else "timeout"), result
    assert "illegal" in result["message"] or source is ENDLESS
    assert time.monotonic() - started < 60
    assert judge(request(cuda()))["status"] == "passed"


def test_ptxas_tells_registers_in_the_build_log_also_from_the_cache() -> None:
    for _ in range(2):
        log = judge(request(cuda(), "compile"))["logs"]["build"]
        assert "registers" in log
        assert "spill" in log


def test_a_gpu_that_is_not_here_is_named() -> None:
    asked = request(python())
    gpu = visible_gpu()
    assert gpu is not None
    asked["device"] = "T4" if gpu.device != "T4" else "H100"
    result = judge(asked)
    assert result["status"] == "infra_error"
    assert gpu.name in result["message"]


def test_the_doctor_knows_the_gpu() -> None:
    report = diagnose()
    gpu = visible_gpu()
    assert gpu is not None
    assert report["gpu"] == gpu.name, report
    assert report["gpuDevice"] == gpu.device
    assert {"cuda", "python"} <= set(report["judgesOnGpu"])
    assert report["driver"] and report["cuda"] and report["torchCuda"] and report["nvcc"]


def test_a_problem_is_examined_on_the_gpu() -> None:
    asked = request(python())
    kept = {key: asked[key] for key in ("requestId", "problem", "settings", "device")}
    examination = examine({"schema": "ksearch.examine/1", **kept})
    assert examination["status"] == "admitted", examination
    assert all(workload["referenceNs"] for workload in examination["workloads"])
