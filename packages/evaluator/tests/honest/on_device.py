"""Honest kernels on a GPU: checked here, and those of `TIMED` timed as well."""

from collections.abc import Callable
from typing import Any

import layers
import on_gpu
from on_gpu import (
    AUTOTUNED,
    CUDA,
    IN_PLACE_REFERENCE,
    TRITON,
    blended_request,
    containers,
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

from honest.kernel import Honest, Request

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

BFLOAT16_TRITON = TRITON.replace("at < size) * scale", "at < size).to(tl.float32) * scale")

TWO_LAUNCHES = """
import torch
import triton
import triton.language as tl

@triton.jit
def scaled(x, y, scale, size, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(y + at, tl.load(x + at, mask=at < size) * scale, mask=at < size)

@triton.jit
def shifted(y, size, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(y + at, tl.load(y + at, mask=at < size) + 1, mask=at < size)

def run(x, scale):
    y = torch.empty_like(x)
    grid = (triton.cdiv(x.numel(), 512),)
    scaled[grid](x, y, scale, x.numel(), BLOCK=512)
    shifted[grid](y, x.numel(), BLOCK=512)
    return y
"""

IN_PLACE = "def custom_kernel(data):\n    x, shift = data\n    return x.mul_(3).add_(shift)\n"

SCRATCH = """
import torch

scratch = {}

def run(x, scale):
    held = scratch.setdefault(x.shape, torch.empty_like(x))
    torch.mul(x, scale, out=held)
    return held + 1
"""
MATRIX_PRODUCT = """
import torch

kept = {}

def run(x, scale):
    if not kept:
        kept['eye'] = torch.eye(64, device=x.device)
        kept['one'] = torch.ones(64, device=x.device)
    return torch.addmm(kept['one'], x, kept['eye'] * scale)
"""
COLUMN_ORDER = "import torch\n\ndef run(x, scale):\n    return (x.t().contiguous() * scale + 1).t()\n"
ALLOCATES = "import torch\n\ndef run(x, scale):\n    return torch.cat([part * scale + 1 for part in x.split(8)])\n"

LAUNCH = "kernel<<<(n * 64 + 255) / 256, 256>>>(x, scale, y, n * 64);"
UPDATED_GRAPH = CUDA.replace(
    LAUNCH,
    """static cudaStream_t stream = [] { cudaStream_t made; cudaStreamCreate(&made); return made; }();
  static cudaGraphExec_t ready = nullptr;
  cudaGraph_t graph;
  cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
  kernel<<<(n * 64 + 255) / 256, 256, 0, stream>>>(x, scale, y, n * 64);
  cudaStreamEndCapture(stream, &graph);
  cudaGraphExecUpdateResultInfo info;
  if (ready == nullptr || cudaGraphExecUpdate(ready, graph, &info) != cudaSuccess) {
    cudaGetLastError();
    if (ready != nullptr) cudaGraphExecDestroy(ready);
    cudaGraphInstantiate(&ready, graph, 0);
  }
  cudaGraphDestroy(graph);
  cudaGraphLaunch(ready, stream);""",
)
SHARED_MEMORY = """#include <cstdint>
constexpr int held_bytes = 96 << 10;
__global__ void kernel(const float* x, float scale, float* y, int64_t size) {
  extern __shared__ float held[];
  for (int64_t base = blockIdx.x * int64_t(held_bytes / 4); base < size; base += gridDim.x * int64_t(held_bytes / 4)) {
    for (int i = threadIdx.x; i < held_bytes / 4 && base + i < size; i += blockDim.x) held[i] = x[base + i] * scale;
    __syncthreads();
    for (int i = threadIdx.x; i < held_bytes / 4 && base + i < size; i += blockDim.x) y[base + i] = held[i] + 1.0f;
    __syncthreads();
  }
}
extern "C" void run(const float* x, float scale, float* y, int64_t n) {
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, held_bytes);
  kernel<<<64, 256, held_bytes>>>(x, scale, y, n * 64);
}
"""
COOPERATIVE = """#include <cooperative_groups.h>
#include <cstdint>
__global__ void kernel(const float* x, float scale, float* y, int64_t size) {
  auto grid = cooperative_groups::this_grid();
  for (int64_t i = grid.thread_rank(); i < size; i += grid.size()) y[i] = x[i] * scale;
  grid.sync();
  for (int64_t i = size - 1 - int64_t(grid.thread_rank()); i >= 0; i -= grid.size()) y[i] += 1.0f;
}
extern "C" void run(const float* x, float scale, float* y, int64_t n) {
  int64_t size = n * 64;
  void* arguments[] = {&x, &scale, &y, &size};
  cudaLaunchCooperativeKernel((void*)kernel, dim3(64), dim3(256), arguments, 0, nullptr);
}
"""
FLOAT4 = """#include <cstdint>
__global__ void kernel(const float4* x, float scale, float4* y, int64_t size) {
  int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x;
  if (i >= size) return;
  float4 v = __ldg(x + i);
  y[i] = make_float4(v.x * scale + 1.0f, v.y * scale + 1.0f, v.z * scale + 1.0f, v.w * scale + 1.0f);
}
extern "C" void run(const float* x, float scale, float* y, int64_t n) {
  kernel<<<(n * 16 + 255) / 256, 256>>>((const float4*)x, scale, (float4*)y, n * 16);
}
"""
POOL_MEMORY = CUDA.replace(
    LAUNCH,
    """float* held;
  cudaMallocAsync(&held, n * 256, 0);
  kernel<<<(n * 64 + 255) / 256, 256>>>(x, scale, held, n * 64);
  cudaMemcpyAsync(y, held, n * 256, cudaMemcpyDeviceToDevice, 0);
  cudaFreeAsync(held, 0);""",
)
CONSTANT_MEMORY = """#include <cstdint>
__constant__ float by;
__global__ void kernel(const float* x, float* y, int64_t size) {
  int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x;
  if (i < size) y[i] = x[i] * by + 1.0f;
}
extern "C" void run(const float* x, float scale, float* y, int64_t n) {
  cudaMemcpyToSymbolAsync(by, &scale, sizeof scale, 0, cudaMemcpyHostToDevice, 0);
  kernel<<<(n * 64 + 255) / 256, 256>>>(x, y, n * 64);
}
"""
TEMPLATED = CUDA.replace("__global__ void kernel", "template <int Block>\n__global__ void kernel").replace(
    "kernel<<<(n * 64 + 255) / 256, 256>>>", "kernel<128><<<(n * 64 + 127) / 128, 128>>>"
)

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

LARGE, SMALL = 1 << 15, 4
"""Rows of 64 floats: 8 MiB in and 8 MiB out, and nearly nothing."""


def with_dtype(asked: Request, dtype: str) -> Request:
    definition = asked["problem"]["definition"]
    definition["inputs"]["x"]["dtype"] = definition["outputs"]["y"]["dtype"] = dtype
    return asked


def model_with_cuda() -> dict[str, Any]:
    contents = {"model_new.py": MODEL_WITH_CUDA, "kernel.cu": COPIES}
    return model_new(language="cuda", files=[{"path": p, "content": c} for p, c in contents.items()])


def timed(kernel: dict[str, Any]) -> Request:
    """A request that times a kernel at both sizes."""
    asked = request(kernel, "benchmark", (LARGE, SMALL))
    asked["settings"]["timing"] |= {"warmup": 3, "iterations": 20}
    return asked


_CHECKED: dict[str, Callable[[], Request]] = {
    "torch operators": lambda: request(python()),
    "destination passing": lambda: request(python(DESTINATION, destinationPassing=True)),
    "bfloat16": lambda: with_dtype(request(python(on_gpu.REFERENCE)), "bfloat16"),
    "fp8": lambda: with_dtype(request(python(on_gpu.REFERENCE)), "float8_e4m3fn"),
    "a numpy reference": lambda: request(python(), reference=NUMPY_REFERENCE),
    "temporaries in place": lambda: request(python(TEMPORARIES)),
    "another stream, joined": lambda: request(python(JOINED_STREAM)),
    "a graph with its inputs copied": lambda: request(python(GRAPH)),
    "a scratch buffer kept across calls": lambda: request(python(SCRATCH)),
    "cuBLAS, with constants kept per process": lambda: request(python(MATRIX_PRODUCT)),
    "a result in column order": lambda: request(python(COLUMN_ORDER)),
    "many allocations": lambda: request(python(ALLOCATES)),
    "one file of CUDA": lambda: request(cuda()),
    "one file of CUDA, a numpy reference": lambda: request(cuda(), reference=NUMPY_REFERENCE),
    "three files with pybind11": lambda: request(extension()),
    "a graph that is updated": lambda: request(cuda(UPDATED_GRAPH)),
    "96 KiB of shared memory": lambda: request(cuda(SHARED_MEMORY)),
    "a cooperative launch": lambda: request(cuda(COOPERATIVE)),
    "vectors of four": lambda: request(cuda(FLOAT4)),
    "memory of CUDA's own pool": lambda: request(cuda(POOL_MEMORY)),
    "constant memory": lambda: request(cuda(CONSTANT_MEMORY)),
    "templates": lambda: request(cuda(TEMPLATED)),
    "Triton": lambda: request(triton()),
    "Triton, autotuned": lambda: request(triton(AUTOTUNED)),
    "Triton, bfloat16": lambda: with_dtype(request(triton(BFLOAT16_TRITON)), "bfloat16"),
    "Triton, two launches": lambda: request(triton(TWO_LAUNCHES)),
    "GPU MODE, torch": lambda: gpumode_request(submission()),
    "GPU MODE, in place": lambda: gpumode_request(submission(IN_PLACE), IN_PLACE_REFERENCE),
    "GPU MODE, .cu beside Python": lambda: gpumode_request(submission_with_cuda()),
    "GPU MODE, three files": lambda: gpumode_request(submitted_extension()),
    "GPU MODE in C++, copies there and back": lambda: blended_request(containers()),
    "KernelBench, as the reference": lambda: kernelbench_request(model_new()),
    "KernelBench, bf16": lambda: kernelbench_request(model_new(), "bf16"),
    "KernelBench, Triton": lambda: kernelbench_request(model_new(MODEL_WITH_TRITON, language="triton")),
    "KernelBench, .cu beside Python": lambda: kernelbench_request(model_with_cuda()),
    "isolated workloads, two at once": lambda: on_gpu.copied(
        request(triton()), isolateWorkloads=True, parallelWorkloads=2
    ),
}

_TIMED: dict[str, Callable[[], Request]] = {
    "torch operators": lambda: timed(python()),
    "destination passing": lambda: timed(python(DESTINATION, destinationPassing=True)),
    "another stream, joined": lambda: timed(python(JOINED_STREAM)),
    "a graph with its inputs copied": lambda: timed(python(GRAPH)),
    "a graph that is updated": lambda: timed(cuda(UPDATED_GRAPH)),
    "cuBLAS, with constants kept per process": lambda: timed(python(MATRIX_PRODUCT)),
    "one file of CUDA": lambda: timed(cuda()),
    "a cooperative launch": lambda: timed(cuda(COOPERATIVE)),
    "memory of CUDA's own pool": lambda: timed(cuda(POOL_MEMORY)),
    "three files with pybind11": lambda: timed(extension()),
    "Triton, autotuned": lambda: timed(triton(AUTOTUNED)),
}

KERNELS = [
    *(Honest(f"G{number:02}", style, asks, "gpu") for number, (style, asks) in enumerate(_CHECKED.items(), 1)),
    *(Honest(f"T{number:02}", style, asks, "gpu_timed") for number, (style, asks) in enumerate(_TIMED.items(), 1)),
]
