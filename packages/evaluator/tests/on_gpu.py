"""Requests for tests on a GPU: y = scale·x + 1 (see `affine.py`) with a torch reference; kernels in every language."""

import copy
from typing import Any

import affine
import blended
import layers
import masked

from ksearch_referee.gpus import visible_gpu

REFERENCE = """
import torch

def run(x, scale):
    return (x.float() * scale + 1).to(x.dtype)
"""

PYTHON = "import torch\n\ndef run(x, scale):\n    return x * scale + 1\n"

CUDA = """#include <cstdint>
__global__ void kernel(const float* x, float scale, float* y, int64_t size) {
  int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x;
  if (i < size) y[i] = x[i] * scale + 1.0f;
}
extern "C" void run(const float* x, float scale, float* y, int64_t n) {
  kernel<<<(n * 64 + 255) / 256, 256>>>(x, scale, y, n * 64);
}
"""

HEADER = "#pragma once\n#include <torch/types.h>\ntorch::Tensor run(torch::Tensor x, double scale);\n"

EXTENSION = """#include "kernel.h"
#include <c10/cuda/CUDAStream.h>
__global__ void kernel(const float* x, float scale, float* y, int64_t size) {
  int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x;
  if (i < size) y[i] = x[i] * scale + 1.0f;
}
torch::Tensor run(torch::Tensor x, double scale) {
  auto y = torch::empty_like(x);
  auto stream = c10::cuda::getCurrentCUDAStream();
  kernel<<<(x.numel() + 255) / 256, 256, 0, stream>>>(x.data_ptr<float>(), scale, y.data_ptr<float>(), x.numel());
  return y;
}
"""

MAIN = """#include "kernel.h"
#include <torch/extension.h>
PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) { m.def("run", &run, pybind11::arg("x"), pybind11::arg("scale")); }
"""

TRITON = """
import torch
import triton
import triton.language as tl

@triton.jit
def kernel(x, y, scale, size, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(y + at, tl.load(x + at, mask=at < size) * scale + 1, mask=at < size)

def run(x, scale):
    y = torch.empty_like(x)
    kernel[(triton.cdiv(x.numel(), 1024),)](x, y, scale, x.numel(), BLOCK=1024)
    return y
"""

AUTOTUNED = (
    TRITON.replace(
        "@triton.jit",
        "@triton.autotune([triton.Config({'BLOCK': size}) for size in (256, 1024)], key=['size'])\n@triton.jit",
    )
    .replace(", BLOCK=1024)", ")")
    .replace("(triton.cdiv(x.numel(), 1024),)", "lambda m: (triton.cdiv(x.numel(), m['BLOCK']),)")
)

# GPU MODE's own way: the problem's code makes its tensors on the GPU, and the kernel gets them in one tuple.
GPU_MODE_REFERENCE = """
import torch

def generate_input(rows, cols, seed):
    source = torch.Generator(device="cuda").manual_seed(seed)
    x = torch.randn(rows, cols, device="cuda", generator=source)
    return x, torch.randn(cols, device="cuda", generator=source)

def ref_kernel(data):
    x, shift = data
    return x * 3 + shift

def check_implementation(data, output):
    expected = ref_kernel(data)
    assert output.is_cuda and expected.is_cuda
    return torch.allclose(output, expected, rtol=1e-3, atol=1e-3), "not close"
"""

IN_PLACE_REFERENCE = GPU_MODE_REFERENCE.replace("    return x * 3 + shift", "    return x.mul_(3).add_(shift)").replace(
    "    expected = ref_kernel(data)", "    expected = ref_kernel((data[0].clone(), data[1]))"
)

SUBMISSION = "def custom_kernel(data):\n    x, shift = data\n    return x * 3 + shift\n"

ROWS_CUDA = """#include <cstdint>
__global__ void kernel(const float* x, const float* shift, float* y, int64_t size, int64_t cols) {
  int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x;
  if (i < size) y[i] = x[i] * 3.0f + shift[i % cols];
}
extern "C" void rows(const float* x, const float* shift, float* y, int64_t size, int64_t cols) {
  kernel<<<(size + 255) / 256, 256>>>(x, shift, y, size, cols);
}
"""

LOADS_CUDA = """
import ctypes, os
import torch

rows = ctypes.CDLL(os.path.join(os.path.dirname(__file__), "kernel.so")).rows
rows.argtypes = (ctypes.c_void_p,) * 3 + (ctypes.c_int64,) * 2

def custom_kernel(data):
    x, shift = data
    y = torch.empty_like(x)
    rows(x.data_ptr(), shift.data_ptr(), y.data_ptr(), x.numel(), x.shape[1])
    return y
"""

ROWS_EXTENSION = (
    EXTENSION.replace("double scale", "torch::Tensor shift")
    .replace("float scale, float* y, int64_t size", "const float* shift, float* y, int64_t size, int64_t cols")
    .replace("x[i] * scale + 1.0f", "x[i] * 3.0f + shift[i % cols]")
    .replace(
        "scale, y.data_ptr<float>(), x.numel()", "shift.data_ptr<float>(), y.data_ptr<float>(), x.numel(), x.size(1)"
    )
)

# Copies containers there and back.
CONTAINERS = """#include "task.h"
#include "utils.h"

__global__ void blend(const float* x, float* y, std::size_t size) {
  std::size_t i = blockIdx.x * std::size_t(blockDim.x) + threadIdx.x;
  if (i < size) y[i] += factor * x[i];
}

output_t custom_kernel(input_t data) {
  auto& [x, y] = data;
  const std::size_t bytes = y.size() * sizeof(float);
  float *device_x, *device_y;
  CUDA_CHECK(cudaMalloc(&device_x, bytes));
  CUDA_CHECK(cudaMalloc(&device_y, bytes));
  CUDA_CHECK(cudaMemcpy(device_x, x.data(), bytes, cudaMemcpyHostToDevice));
  CUDA_CHECK(cudaMemcpy(device_y, y.data(), bytes, cudaMemcpyHostToDevice));
  blend<<<(y.size() + 255) / 256, 256>>>(device_x, device_y, y.size());
  CUDA_CHECK(cudaMemcpy(y.data(), device_y, bytes, cudaMemcpyDeviceToHost));
  CUDA_CHECK(cudaFree(device_x));
  CUDA_CHECK(cudaFree(device_y));
  return std::move(y);
}
"""


def _with_room(asked: dict[str, Any]) -> dict[str, Any]:
    """Judge it on the GPU that is here, with time for torch to start."""
    gpu = visible_gpu()
    asked["device"] = "H100" if gpu is None else gpu.device
    asked["settings"]["limits"] |= {"buildMs": 300_000, "totalMs": 600_000, "workloadMs": 60_000, "memoryMb": 16_384}
    return asked


def request(
    kernel: dict[str, Any], mode: str = "test", sizes: tuple[int, ...] = (40, 3), reference: str = REFERENCE
) -> dict[str, Any]:
    """Return a request about the affine problem, free to be changed."""
    asked = affine.request(kernel, mode, sizes)
    asked["problem"]["definition"]["reference"] = reference
    return _with_room(asked)


def gpumode_request(
    kernel: dict[str, Any], reference: str = GPU_MODE_REFERENCE, mode: str = "test", rows: int = 64, cols: int = 32
) -> dict[str, Any]:
    problem = masked.problem(reference, task="", utils="")
    problem["tests"] = [{"id": "t0", "args": {"rows": 33, "cols": 17}}]
    problem["benchmarks"] = [{"id": "b0", "args": {"rows": rows, "cols": cols}}]
    return _with_room(masked.request(kernel, mode, problem))


def blended_request(
    kernel: dict[str, Any], mode: str = "test", reference: str = blended.REFERENCE, task: str = blended.TASK
) -> dict[str, Any]:
    return _with_room(blended.request(kernel, mode, blended.problem(reference, task)))


def kernelbench_request(kernel: dict[str, Any], precision: str = "fp32") -> dict[str, Any]:
    asked = _with_room(layers.request(kernel, "test", layers.problem(precision=precision)))
    tolerance = 1e-3 if precision == "fp32" else 3e-2  # the norm sums in another order
    asked["settings"]["correctness"] |= {"rtol": tolerance, "atol": tolerance, "rmsRel": None}
    return asked


def python(source: str = PYTHON, **fields: Any) -> dict[str, Any]:
    files = [{"path": "main.py", "content": source}]
    return {**affine.python(source), "entryPoint": "main.py::run", "files": files, **fields}


def triton(source: str = TRITON) -> dict[str, Any]:
    return python(source, language="triton")


def cuda(source: str = CUDA, **fields: Any) -> dict[str, Any]:
    files = [{"path": "kernel.cu", "content": source}]
    return {**affine.cpp(), "language": "cuda", "entryPoint": "kernel.cu::run", "files": files, **fields}


def extension(header: str = HEADER, source: str = EXTENSION, main: str = MAIN) -> dict[str, Any]:
    contents = {"kernel.h": header, "kernel.cu": source, "main.cpp": main}
    files = [{"path": path, "content": content} for path, content in contents.items()]
    return cuda(entryPoint="main.cpp::run", binding="torch", destinationPassing=False, files=files)


def submission(source: str = SUBMISSION, **fields: Any) -> dict[str, Any]:
    return masked.submission(source, **fields)


def submission_with_cuda() -> dict[str, Any]:
    contents = {"submission.py": LOADS_CUDA, "kernel.cu": ROWS_CUDA}
    files = [{"path": path, "content": content} for path, content in contents.items()]
    return submission(language="cuda", files=files)


def submitted_extension() -> dict[str, Any]:
    header = HEADER.replace("double scale", "torch::Tensor shift")
    main = MAIN.replace(', pybind11::arg("x"), pybind11::arg("scale")', "")
    return {**extension(header, ROWS_EXTENSION, main), "definition": "masked"}


def containers(source: str = CONTAINERS) -> dict[str, Any]:
    """Return a kernel in CUDA for a problem in C++."""
    return blended.submission(source, "cuda")


def model_new(source: str = layers.KERNEL, **fields: Any) -> dict[str, Any]:
    return layers.model_new(source, **fields)


def copied(request: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """Return a request with other settings."""
    made = copy.deepcopy(request)
    made["settings"] |= settings
    return made


def figures(result: dict[str, Any]) -> str:
    """Return medians in us, of kernel, reference and incumbent, and what the guards found."""
    told: list[str] = []
    for workload in result["workloads"]:
        timings = [workload[key] for key in ("call", "referenceCall", "incumbentCall") if workload[key]]
        if not timings:
            continue
        medians = " / ".join(f"{timing['medianNs'] / 1e3:.1f}" for timing in timings)
        told.append(f"{workload['id']}: {medians} us")
    told += [f"{guard['id']} {guard['level']}: {guard['evidence']}" for guard in result["guards"]]
    return "; ".join(told)
