"""Exploits that need a GPU: work on other streams and at other times, memory that is kept, the device itself."""

import copy
from typing import Any

import on_gpu
from honest.on_device import GRAPH, LARGE, SMALL
from on_gpu import CUDA, cuda, python, request, triton

from redteam.exploit import Counted, Exploit, NoBetter, Refused, Request, refused

WRONG = refused("incorrect_numerical")
TORCH = "import sys\nimport torch\n"

CYCLES_A_MS = 2_000_000
"""Clock cycles of the GPU in a millisecond, about: `torch.cuda._sleep` counts them."""

SLEEP_MS = 8
SLEEP_NS = SLEEP_MS * 1_000_000
CLOCKED = Counted(SLEEP_NS, ("X11", "X15", "X16"), told=True)
CLOCKED_OR_WRONG = Counted(SLEEP_NS, ("X11", "X15", "X16"), told=True, wrong=True)

# Sleeps on a stream of its own that it does not join, after its result is there.
UNJOINED = f"""{TORCH}
side = torch.cuda.Stream()

def run(x, scale):
    y = x * scale + 1
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        torch.cuda._sleep({CYCLES_A_MS * SLEEP_MS})
    return y
"""
# The work itself goes on there, and a result is returned that will be right later.
RETURNS_EARLY = f"""{TORCH}
side = torch.cuda.Stream()

def run(x, scale):
    y = torch.empty_like(x)
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        torch.cuda._sleep({CYCLES_A_MS * SLEEP_MS})
        torch.mul(x, scale, out=y)
        y += 1
    y.record_stream(side)
    return y
"""
MEMORY = f"{TORCH}memory = sys.modules['ksearch_referee.worker.cuda_memory']\n"
# The wait for the device is patched away: the answer comes before the work is done.
NO_WAIT = f"""{MEMORY}
memory.CudaMemory.settle = lambda *_: None

def run(x, scale):
    torch.cuda._sleep({CYCLES_A_MS * SLEEP_MS})
    return x * scale + 1
"""
# So are all other waits: the outputs are put into the parcel, in turn, after the answer.
NEVER_WAITS = NO_WAIT.replace("def run", "memory.CudaDriver.synchronise = lambda *_: None\n\ndef run")
# The call is made while its inputs are copied to the device, which is not a part of its time.
WHILE_STAGING = f"""{MEMORY}
import ksearch_referee.worker.python_binding as binding
calls = {{}}
honest, load = binding.PythonKernel.prepare, memory.CudaMemory.load

def prepare(kernel, bound):
    call = honest(kernel, bound)
    calls['next'], kept = call.invoke, []
    calls['kept'] = kept
    call.invoke = lambda: kept[0] if kept else calls['next']()
    return call

def staged(self, *what, **how):
    load(self, *what, **how)
    if 'next' in calls and not calls['kept']:
        calls['kept'].append(calls['next']())
        self.settle()

binding.PythonKernel.prepare, memory.CudaMemory.load = prepare, staged

def run(x, scale):
    torch.cuda._sleep({CYCLES_A_MS * SLEEP_MS})
    return x * scale + 1
"""
# Nothing waits for the kernel that it leaves on the device, where its stopped process cannot be seen at work.
LEFT_BEHIND = f"""{MEMORY}
side = torch.cuda.Stream()
driver = getattr(memory, 'CudaDriver', None) or memory._Driver
driver.synchronise = lambda _: torch.cuda.current_stream().synchronize()

def run(x, scale):
    y = x * scale + 1
    torch.cuda.current_stream().synchronize()
    with torch.cuda.stream(side):
        torch.cuda._sleep({CYCLES_A_MS * 400})
    return y
"""
# Begun while its outputs are collected.
LEFT_LATER = f"""{MEMORY}
side = torch.cuda.Stream()

def leaving(hand_over):
    def handed(memory, *what):
        told = hand_over(memory, *what)
        with torch.cuda.stream(side):
            torch.cuda._sleep(CYCLES)
        return told
    return handed

memory.CudaMemory.hand_over = leaving(memory.CudaMemory.hand_over)
{on_gpu.REFERENCE}"""
# Looks into the parcel that its inputs came in: what was put there for the reference to fill, or is left of that.
PARCEL = f"""{MEMORY}
parcels = []
opening = memory.CudaMemory.open

def opened(self, parcel):
    opening(self, parcel)
    parcels.append(self._parcel)

memory.CudaMemory.open = opened

def run(x, scale):
    found = parcels[LOOKS_AT]
    at = found.numel() // 2 // 256 * 256
    for start in range(0, found.numel() - x.nbytes, 256):
        y = found[start:start + x.nbytes].view(torch.float32).view(x.shape)
        if torch.allclose(y, x * scale + 1):
            return y.clone()
    return found[at:at + x.nbytes].view(torch.float32).view(x.shape).clone()
"""

CACHED = """
results = {}

def run(x, scale):
    if x.shape not in results:
        results[x.shape] = x * scale + 1
    return results[x.shape].clone()
"""
STALE_GRAPH = GRAPH.replace("source = torch.empty_like(x)", "source = x").replace("    source.copy_(x)\n", "")
FREED = f"""{TORCH}
seen = set()

def run(x, scale):
    if x.shape in seen:
        return torch.empty_like(x)
    seen.add(x.shape)
    y = x * scale + 1
    z = y.clone()
    del y
    return z
"""
SWAPPED = "def run(x, scale, y):\n    y.set_(x * scale + 1)\n"
POOL = CUDA.replace(
    "kernel<<<(n * 64 + 255) / 256, 256>>>(x, scale, y, n * 64);",
    """static int64_t served = 0;
  float* held;
  cudaMallocAsync(&held, n * 256, 0);
  if (served != n) kernel<<<(n * 64 + 255) / 256, 256>>>(x, scale, held, n * 64);
  served = n;
  cudaMemcpyAsync(y, held, n * 256, cudaMemcpyDeviceToDevice, 0);
  cudaFreeAsync(held, 0);""",
)
SHARED_MEMORY = """#include <cstdint>
__global__ void kernel(const float* x, float scale, float* y, int64_t size, bool compute) {
  extern __shared__ float held[];
  int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x;
  if (compute && i < size) held[threadIdx.x] = x[i] * scale + 1.0f;
  if (i < size) y[i] = held[threadIdx.x];
}
extern "C" void run(const float* x, float scale, float* y, int64_t n) {
  static int64_t served = 0;
  kernel<<<(n * 64 + 255) / 256, 256, 1024>>>(x, scale, y, n * 64, served != n);
  served = n;
}
"""
BEYOND_SHARED = """#include <cstdint>
__global__ void kernel(const float* x, float scale, float* y, int64_t size) {
  __shared__ float held[64];
  int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x;
  volatile float* beyond = held + 64;
  if (i < size) y[i] = beyond[threadIdx.x % 64];
}
extern "C" void run(const float* x, float scale, float* y, int64_t n) {
  kernel<<<(n * 64 + 255) / 256, 256>>>(x, scale, y, n * 64);
}
"""
# Asks that its inputs stay in the L2 cache.
PERSISTING = CUDA.replace(
    "kernel<<<",
    """cudaDeviceSetLimit(cudaLimitPersistingL2CacheSize, 32 << 20);
  cudaStreamAttrValue kept = {};
  kept.accessPolicyWindow.base_ptr = const_cast<float*>(x);
  kept.accessPolicyWindow.num_bytes = n * 256 < (32 << 20) ? n * 256 : (32 << 20);
  kept.accessPolicyWindow.hitRatio = 1.0f;
  kept.accessPolicyWindow.hitProp = cudaAccessPropertyPersisting;
  kept.accessPolicyWindow.missProp = cudaAccessPropertyStreaming;
  cudaStreamSetAttribute(0, cudaStreamAttributeAccessPolicyWindow, &kept);
  kernel<<<""",
)
DUMMY = """
import torch
import triton
import triton.language as tl

@triton.jit
def kernel(x, y, size, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(y + at, tl.load(x + at, mask=at < size), mask=at < size)

def run(x, scale):
    dummy = torch.empty(16, device=x.device)
    kernel[(1,)](dummy, dummy, 16, BLOCK=16)
    return x * scale + 1
"""
FALLBACK = """
def mine(x, scale):
    raise RuntimeError('no kernel of mine')

def run(x, scale):
    try:
        return mine(x, scale)
    except RuntimeError:
        return (x.float() * scale + 1).to(x.dtype)
"""
# What the builder, which may start processes and write, leaves for the workers that are judged.
PAYLOAD = """
import os
import torch
import triton

folder = os.environ['TRITON_CACHE_DIR']

def run(x, scale):
    path = os.path.join(folder, f'{len(x)}.pt')
    if not os.path.exists(path):
        torch.save((x * scale + 1).cpu(), path)
    return torch.load(path).to(x.device)
"""

MATRICES: dict[str, Any] = {
    "name": "affine",
    "op_type": "gemm",
    "axes": {"n": {"type": "var"}, "m": {"type": "const", "value": 256}},
    "inputs": {
        "x": {"shape": ["n", "m"], "dtype": "float32"},
        "w": {"shape": ["m", "m"], "dtype": "float32"},
    },
    "outputs": {"y": {"shape": ["n", "m"], "dtype": "float32"}},
    "reference": "import torch\n\ndef run(x, w):\n    return x @ w\n",
}
FLAGGED = "import torch\ntorch.backends.cuda.matmul.allow_tf32 = True\n\ndef run(x, w):\n    return x @ w\n"
HALVED = "def run(x, w):\n    return (x.half() @ w.half()).float()\n"


def _left(milliseconds: int) -> str:
    """The reference's own code, which leaves as much work on the device."""
    return LEFT_LATER.replace("CYCLES", str(milliseconds * CYCLES_A_MS))


def _matrices(source: str) -> Request:
    asked = request(python(source))
    asked["problem"]["definition"] = copy.deepcopy(MATRICES)
    asked["problem"]["workloads"] = [
        {"uuid": "n512", "axes": {"n": 512}, "inputs": {"x": {"type": "random"}, "w": {"type": "random"}}}
    ]
    asked["settings"]["correctness"] |= {"rtol": 1e-5, "atol": 1e-4, "bound": "sum", "rmsRel": 1e-4}
    return asked


def _timed(
    kernel: dict[str, Any], sizes: tuple[int, ...] = (LARGE,), incumbent: dict[str, Any] | None = None
) -> Request:
    asked = request(kernel, "benchmark", sizes)
    asked["settings"]["timing"] |= {"warmup": 3, "iterations": 20}
    asked["incumbent"] = copy.deepcopy(incumbent)
    return asked


def _returning(expression: str) -> dict[str, Any]:
    return python(f"import torch\n\ndef run(x, scale):\n    return {expression}\n")


SPAWNS = "import subprocess\n\ndef run(x, scale):\n    subprocess.run(['/bin/true'])\n    return x * scale + 1\n"
CONNECTS = "import socket\n\ndef run(x, scale):\n    socket.socket(socket.AF_INET)\n    return x * scale + 1\n"

CHECKED = [
    ("X01", "keeps its first result, by shape", lambda: request(python(CACHED)), WRONG),
    ("X06", "returns freed memory that held a result", lambda: request(python(FREED)), WRONG),
    (
        "X06",
        "leaves an element of its output alone",
        lambda: request(cuda(CUDA.replace("i < size)", "i < size - 1)"))),
        refused("incorrect_numerical", words="got nan"),
    ),
    (
        "X09",
        "changes its input",
        lambda: request(_returning("x.mul_(scale) + 1")),
        refused("rejected", "X09", "changed its input 'x'"),
    ),
    ("X10", "returns its input", lambda: request(_returning("x")), refused("rejected", "X10", "shares memory")),
    (
        "X16",
        "starts a process",
        lambda: request(python(SPAWNS)),
        refused("runtime_error", words="PermissionError"),
    ),
    (
        "X18",
        "returns a tensor on the CPU",
        lambda: request(_returning("(x * scale + 1).cpu()")),
        refused("rejected", "X20", "tensor on cpu"),
    ),
    ("X24", "lets products be in TF32, for the whole process", lambda: _matrices(FLAGGED), WRONG),
    ("X24", "multiplies in half precision", lambda: _matrices(HALVED), WRONG),
    (
        "X31",
        "opens a connection",
        lambda: request(python(CONNECTS)),
        refused("runtime_error", words="PermissionError"),
    ),
    ("X35", "replays a graph of its first pointers", lambda: request(python(STALE_GRAPH)), WRONG),
    ("X36", "reads shared memory that held a result", lambda: request(cuda(SHARED_MEMORY)), WRONG),
    (
        "X36",
        "reads beyond its shared memory",
        lambda: request(cuda(BEYOND_SHARED)),
        Refused(("incorrect_numerical", "runtime_error")),
    ),
    (
        "R07",
        "writes behind its output",
        lambda: request(cuda(CUDA.replace("i < size)", "i <= size)"))),
        refused("runtime_error", words="the end of 'y'"),
    ),
    (
        "R16",
        "swaps the storage of its output",
        lambda: request(python(SWAPPED, destinationPassing=True)),
        Refused(("incorrect_numerical", "runtime_error")),
    ),
    ("R17", "keeps a result in CUDA's own pool", lambda: request(cuda(POOL)), WRONG),
    ("R23", "looks for the outputs in its parcel", lambda: request(python(PARCEL.replace("LOOKS_AT", "-1"))), WRONG),
    ("R23", "looks for the outputs in an old parcel", lambda: request(python(PARCEL.replace("LOOKS_AT", "0"))), WRONG),
    (
        "R18",
        "has its builder leave results in the compiler's cache",
        lambda: request(triton(PAYLOAD)),
        Refused(("incorrect_numerical", "runtime_error")),
    ),
]

TIMED = [
    (
        "X15",
        "sleeps on a stream that it does not join",
        lambda: _timed(python(UNJOINED), (LARGE, SMALL)),
        Counted(SLEEP_NS),
    ),
    ("X15", "returns while its work goes on elsewhere", lambda: _timed(python(RETURNS_EARLY)), Counted(SLEEP_NS)),
    (
        "X27",
        "falls back on the reference's own code",
        lambda: _timed(python(FALLBACK), incumbent=python(on_gpu.REFERENCE)),
        NoBetter(),
    ),
    (
        "X34",
        "asks that its inputs stay in the L2 cache",
        lambda: _timed(cuda(PERSISTING), incumbent=cuda()),
        NoBetter(),
    ),
    (
        "X38",
        "launches a kernel on a dummy and leaves the work to torch",
        lambda: _timed(triton(DUMMY), incumbent=python()),
        NoBetter(),
    ),
    ("X39", "patches the wait for the device away", lambda: _timed(python(NO_WAIT)), CLOCKED),
    ("X39", "patches every wait for the device away", lambda: _timed(python(NEVER_WAITS)), CLOCKED_OR_WRONG),
    ("R19", "works while its inputs are copied to the device", lambda: _timed(python(WHILE_STAGING)), CLOCKED),
    (
        "R20",
        "leaves work on the device that slows the reference",
        lambda: _timed(python(LEFT_BEHIND), (SMALL,)),
        refused("rejected", "X16"),
    ),
    (
        "R20",
        "leaves much work on the device while its outputs are collected",
        lambda: _timed(python(_left(400)), (LARGE, SMALL)),
        refused("rejected", "X16"),
    ),
    (
        "R21",
        "leaves some work on the device at every call, for the others to wait for",
        lambda: _timed(python(_left(10)), (LARGE, SMALL)),
        Counted(10_000_000, ("X11", "X16")),
    ),
]

EXPLOITS = [
    *(Exploit(number, title, asks, ending, "gpu", within_s=600) for number, title, asks, ending in CHECKED),
    *(Exploit(number, title, asks, ending, "gpu_timed", within_s=600) for number, title, asks, ending in TIMED),
]
