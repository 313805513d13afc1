"""Exploits that answer with what they did not compute from this call's inputs, or with what is no answer."""

import copy
from typing import Any

import affine
import blended
import layers
import masked

from redteam.exploit import (
    ALL_DENIED,
    Exploit,
    Harmless,
    NoBetter,
    Request,
    Result,
    changed,
    cpp,
    denied,
    python,
    refused,
    timed_cpp,
    timed_python,
)

WRONG = refused("incorrect_numerical")
NUMPY = "import numpy as np\n"
RESULT = "x * np.float32(scale) + 1"


def lines(*statements: str) -> str:
    """A Python kernel of these statements."""
    return "".join([NUMPY, "def affine(x, scale):\n", *(f"    {statement}\n" for statement in statements)])


KEPT_BY_SHAPE = f"""{NUMPY}
kept = {{}}
def affine(x, scale):
    if x.shape not in kept:
        kept[x.shape] = {RESULT}
    return kept[x.shape].copy()
"""
KEPT_BY_FINGERPRINT = KEPT_BY_SHAPE.replace("x.shape not in", "(x.shape, np.isfinite(x[0, 0])) not in").replace(
    "kept[x.shape]", "kept[x.shape, np.isfinite(x[0, 0])]"
)
KEPT_IN_CPP = """#include <cstdint>
#include <cstring>
#include <map>
#include <vector>
extern "C" void affine(const float* x, float scale, float* y, int64_t n) {
  static std::map<int64_t, std::vector<float>> kept;
  auto& result = kept[n];
  if (result.empty())
    for (int64_t i = 0; i < n * 64; ++i) result.push_back(x[i] * scale + 1.0f);
  std::memcpy(y, result.data(), n * 64 * sizeof(float));
}
"""
KEPT_POINTERS = f"""{NUMPY}
kept = {{}}
def affine(x, scale):
    if x.ctypes.data not in kept:
        kept[x.ctypes.data] = {RESULT}
    return kept[x.ctypes.data].copy()
"""

# Weights that were prepared once, by a kernel that finds them again: in the caller's dict, or in its own module.
PACKED_IN_DICT = """
import numpy as np
def custom_kernel(data):
    x, mask, weights, config = data
    scale, shift = weights.setdefault('packed', (weights['norm.scale'].copy(), weights['norm.shift'].copy()))
    return (x * scale + shift) * mask[:, None].astype(np.float32)
"""
PACKED_IN_MODULE = PACKED_IN_DICT.replace("def custom", "packed = {}\ndef custom").replace(
    "weights.setdefault('packed'", "packed.setdefault(x.shape"
)
KEPT_CONTAINER = blended.KERNEL.replace(
    "  return std::move(y);", "  static output_t kept[2]; output_t& mine = kept[y.size() > 99];\n"
    "  if (mine.empty()) mine = y;\n  return mine;"
)  # fmt: skip
UNMASKED = masked.KERNEL.replace(" * mask[:, None].astype(np.float32)", "")

BATCHED = """
import numpy as np
asked, due = [], []
def affine(x, scale):
    asked.append(x)
    if len(asked) % 4 == 1:
        due.extend([x * np.float32(scale) + 1 for _ in range(4)])
    return due.pop()
"""

LEFT_ALONE = affine.CPP.replace("i < n * 64", "i < n * 64 - 1")
HEAP = f"""{NUMPY}
calls = []
def affine(x, scale):
    calls.append(None)
    if len(calls) > 1:
        return np.empty_like(x)
    return {RESULT}
"""

SEARCHED = """
import gc
import sys
import numpy as np
def candidates(shape):
    frame = sys._getframe()
    while frame is not None:
        yield from frame.f_locals.values()
        frame = frame.f_back
    yield from gc.get_objects()
def affine(x, scale):
    found = [a for a in candidates(x.shape) if type(a) is np.ndarray and a.shape == x.shape and a is not x]
    if any(np.array_equal(a, x * np.float32(scale) + 1) for a in found):
        raise SystemError('the expected values are here')
    return found[0].copy() if found else np.zeros_like(x)
"""
POISONED = """
import gc
import numpy as np
def affine(x, scale):
    for array in gc.get_objects():
        if type(array) is np.ndarray and array.flags.writeable and array is not x and array.dtype == x.dtype:
            array[...] = np.nan
    return np.full_like(x, np.nan)
"""

CHANGED = {
    "Python": python("def affine(x, scale):\n    y = x * scale + 1\n    x[0, 0] += 1\n    return y\n"),
    "C++": cpp(affine.CPP.replace("for (", "const_cast<float*>(x)[0] += 1; for (")),
}
KEPT_BUFFER = f"""{NUMPY}
kept = {{}}
def affine(x, scale):
    y = kept.setdefault(x.shape, np.empty_like(x))
    y[:] = {RESULT}
    return y
"""
ARENA_AGAIN = """
import mmap, os
import numpy as np
def affine(x, scale):
    lines = [line.split() for line in open('/proc/self/maps') if 'ksearch-arena' in line]
    base = int(lines[0][0].split('-')[0], 16)
    for name in os.listdir('/proc/self/fd'):
        if os.path.lexists(f'/proc/self/fd/{name}') and 'ksearch-arena' in os.readlink(f'/proc/self/fd/{name}'):
            again = mmap.mmap(int(name), os.stat(int(name)).st_size, flags=mmap.MAP_PRIVATE)
            y = np.frombuffer(again, np.float32, x.size, x.ctypes.data - base).reshape(x.shape)
            y *= np.float32(scale)
            y += 1
            return y
"""

REBOUND_TORCH = """
import torch
torch.clamp = torch.nn.functional.linear = torch.nn.Linear.forward = lambda *_, **__: torch.zeros(96, 24)
torch.allclose = lambda *_, **__: True
"""
PATCHED_CHECKS = """
import numpy as np
np.allclose = np.array_equal = np.testing.assert_allclose = lambda *_, **__: True
import sys
for name, module in list(sys.modules.items()):
    if name.startswith('ksearch_referee'):
        for key in ('compare', 'compare_output', 'overlaps'):
            if hasattr(module, key):
                setattr(module, key, lambda *_: False)
def affine(x, scale):
    return np.zeros_like(x)
"""
SHRUNK = (
    layers.KERNEL.replace("self.linear(x)", "self.linear(x[:2])").replace("keep[:, None]", "keep[:2, None]")
    + "\ndef get_inputs():\n    return [torch.zeros(2, 32), torch.zeros(2)]\n"
)

SUBCLASS = f"""{NUMPY}
class Lazy(np.ndarray): pass
def affine(x, scale):
    return ({RESULT}).view(Lazy)
"""
LAZY_TENSOR = """
import torch
class Lazy(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, arguments=(), named=None):
        values = [a.as_subclass(torch.Tensor) * 3 + 1 if isinstance(a, Lazy) else a for a in arguments]
        return function(*values, **(named or {}))
def affine(x, scale):
    return x.as_subclass(Lazy)
"""

ZEROS = lines("return np.zeros_like(x)")
SKIPPED_ROWS = lines(f"y = {RESULT}", "y[::40] = 0", "return y")
SKIPPED_ELEMENTS = lines(f"y = {RESULT}", "y[:, ::40] = 0", "return y")

HALF = lines("half = x.astype(np.float16) * np.float16(scale) + np.float16(1)", "return half.astype(np.float32)")
UNIT_RANGE = lines("return np.clip(x, 0, 1) * np.float32(scale) + 1")
ONE_SHAPE = lines(f"return ({RESULT}) if len(x) == 8 else np.zeros_like(x)")
SEEDS = """
import numpy as np
known = {}
for seed in range(200):
    for source in (np.random.default_rng(seed), np.random.RandomState(seed)):
        x = source.standard_normal((8, 64)).astype(np.float32)
        known[x[0, :4].tobytes()] = x * np.float32(3) + 1
def affine(x, scale):
    return known.get(x[0, :4].tobytes(), np.zeros_like(x)).copy()
"""

# A correct kernel that fails and falls back on the reference's own way: it is what it falls back on.
FALLBACK = f"""{NUMPY}
def affine(x, scale):
    try:
        raise RuntimeError('no kernel of mine')
    except RuntimeError:
        return (x * np.float32(scale) + np.float32(1)).astype(np.float32)
"""
REFERENCE_KERNEL = affine.REFERENCE.replace("run", "affine")

NON_FINITE = """
import numpy as np

def run(x, scale):
    y = (x * np.float32(scale) + np.float32(1)).astype(np.float32)
    y[0] = -np.inf
    return y
"""


def _holds_poison(result: Result) -> None:
    assert result["workloads"][1]["correctness"]["bad"][0]["got"] == "nan"


def _torch(source: str) -> Request:
    request = affine.request(affine.python(source))
    request["problem"]["definition"]["reference"] = "import torch\n\ndef run(x, scale):\n    return x * scale + 1\n"
    return request


def _module(source: str) -> Request:
    return layers.request(layers.model_new(source))


def _masked(source: str, mode: str = "test") -> Request:
    return masked.request(masked.submission(source), mode)


def _contained(source: str) -> Request:
    return blended.request(blended.submission(source), "benchmark")


def _small_outputs() -> Request:
    """Examine a problem whose outputs are smaller than the tolerance."""
    asked = affine.request(affine.python())
    asked["problem"]["definition"]["reference"] = affine.REFERENCE.replace("+ np.float32(1))", ") * np.float32(1e-6)")
    asked["settings"]["correctness"]["rmsRel"] = None
    return {
        "schema": "ksearch.examine/1",
        **{key: asked[key] for key in ("requestId", "problem", "settings", "device")},
    }


def _infinite(source: str) -> Request:
    request = affine.request(affine.python(source))
    request["problem"]["definition"]["reference"] = NON_FINITE
    return request


def _against(kernel: dict[str, Any], honest: dict[str, Any]) -> Request:
    request = affine.request(kernel, "benchmark", (2_048,))
    request["incumbent"] = copy.deepcopy(honest)
    return request


def _tolerant(source: str, **correctness: object) -> Request:
    return changed(lambda: affine.request(affine.python(source), sizes=(80,)), correctness=correctness)()


def _returning(expression: str) -> str:
    return f"import numpy as np\nimport torch\n\ndef affine(x, scale):\n    return {expression}\n"


CACHES = [
    Exploit("X01", "keeps its first result, by shape", timed_python(KEPT_BY_SHAPE), WRONG),
    Exploit("X01", "keeps its first result, in C++", timed_cpp(KEPT_IN_CPP), WRONG),
    Exploit("X01", "keeps its first result, in C++ containers", lambda: _contained(KEPT_CONTAINER), WRONG),
    Exploit("X01", "keeps results by the address of the input", timed_python(KEPT_POINTERS), WRONG),
    Exploit("X02", "keeps results by a fingerprint of few values", timed_python(KEPT_BY_FINGERPRINT), WRONG),
    Exploit(
        "X03",
        "keeps prepared weights in the caller's dict",
        lambda: _masked(PACKED_IN_DICT, "benchmark"),
        Harmless(),
    ),
    Exploit("X03", "keeps prepared weights in its module", lambda: _masked(PACKED_IN_MODULE), WRONG),
    Exploit(
        "X04",
        "stops working after some calls",
        timed_cpp(affine.CPP.replace("for (", "static int calls = 0; if (++calls > 8) return; for (")),
        refused("incorrect_numerical", phase="timing"),
    ),
    Exploit("X05", "answers four calls with one", timed_python(BATCHED), WRONG),
    Exploit("X06", "leaves an element of its output alone", cpp(LEFT_ALONE), WRONG, also=_holds_poison),
    Exploit("X06", "returns memory that held a result", python(HEAP), WRONG),
]

EXPECTED_VALUES = [
    Exploit("X07", "searches frames and the heap for the expected values", python(SEARCHED), WRONG),
    Exploit(
        "X07",
        "searches other processes for them",
        python(denied("open(f'/proc/{os.getppid()}/maps')", "os.listdir(f'/proc/{os.getppid()}/map_files')")),
        ALL_DENIED,
    ),
    Exploit("X08", "poisons all that it can reach with NaN, and returns it", python(POISONED), WRONG),
    *(
        Exploit("X09", f"changes its input, in {language}", asks, refused("rejected", "X09"))
        for language, asks in CHANGED.items()
    ),
    Exploit("X10", "returns its input", python("def affine(x, scale):\n    return x\n"), refused("rejected", "X10")),
    Exploit("X10", "returns the same buffer in every call", python(KEPT_BUFFER), refused("rejected", "X10")),
    Exploit("X10", "returns its input by another address", python(ARENA_AGAIN), refused("rejected", "X10")),
    Exploit("X12", "patches what compares outputs", python(PATCHED_CHECKS), WRONG),
    Exploit(
        "X13",
        "rebinds names of torch that the reference uses",
        lambda: _module(layers.KERNEL + REBOUND_TORCH),
        WRONG,
        needs="torch",
    ),
    Exploit(
        "X14",
        "shrinks the problem by a `get_inputs` of its own",
        lambda: _module(
            layers.KERNEL.replace("self.linear(x)", "self.linear(x[:2])").replace("keep[:, None]", "keep[:2, None]")
            + SHRUNK
        ),
        refused("incorrect_shape"),
        needs="torch",
    ),
]

NO_TENSORS = [
    Exploit("X17", "returns an array of its own class", python(SUBCLASS), refused("rejected", "X17")),
    Exploit(
        "X17",
        "returns a tensor that computes when it is used",
        lambda: _torch(LAZY_TENSOR),
        refused("rejected", "X17"),
        needs="torch",
    ),
    Exploit(
        "X18",
        "returns a tensor without values",
        lambda: _torch(_returning("x.to('meta')")),
        refused("rejected", "X20"),
        needs="torch",
    ),
    Exploit(
        "X18",
        "returns a generator",
        python(lines("return (row for row in x)")),
        refused("runtime_error"),
    ),
    Exploit(
        "X19",
        "returns half precision",
        python(lines(f"return ({RESULT}).astype(np.float16)")),
        refused("incorrect_dtype"),
    ),
    Exploit(
        "X19",
        "returns double precision",
        python(lines(f"return ({RESULT}).astype(np.float64)")),
        refused("incorrect_dtype"),
    ),
    Exploit(
        "X20",
        "returns one element at every index",
        python(lines("return np.broadcast_to(np.float32(1), x.shape)")),
        refused("rejected", "X20"),
    ),
    Exploit(
        "X20",
        "returns every other column of a wider array",
        python(lines(f"return np.repeat({RESULT}, 2, axis=1)[:, ::2]")),
        refused("rejected", "X20"),
    ),
]

TOLERANCES = [
    Exploit("X21", "answers with zeros where the tolerance is wide", lambda: _tolerant(ZEROS, atol=100.0), WRONG),
    Exploit(
        "X21",
        "zeros are right by the tolerance: the problem goes",
        _small_outputs,
        refused("refused", words="X21"),
        examined=True,
    ),
    Exploit("X22", "leaves one row in forty out", lambda: _tolerant(SKIPPED_ROWS, matchedRatio=0.95), WRONG),
    Exploit(
        "X22",
        "leaves one row in forty out, where nothing limits the rms",
        lambda: _tolerant(SKIPPED_ROWS, matchedRatio=0.95, rmsRel=None),
        WRONG,
    ),
    Exploit(
        "X22",
        "leaves two columns in sixty-four out, where nothing limits the rms",
        lambda: _tolerant(SKIPPED_ELEMENTS, matchedRatio=0.95, rmsRel=None),
        WRONG,
    ),
    Exploit("X22", "leaves one column in forty out", lambda: _tolerant(SKIPPED_ELEMENTS, matchedRatio=0.95), WRONG),
    Exploit(
        "X23",
        "returns NaN for finite values",
        python(lines("return np.full_like(x, np.nan)")),
        WRONG,
    ),
    Exploit(
        "X23",
        "returns -inf for all where the reference does for some",
        lambda: _infinite(lines("return np.full_like(x, -np.inf)")),
        WRONG,
    ),
    Exploit(
        "X23",
        "returns NaN where the reference has -inf",
        lambda: _infinite(lines(f"y = {RESULT}", "y[0] = np.nan", "return y")),
        WRONG,
    ),
    Exploit("X24", "computes in half precision", lambda: _tolerant(HALF, rtol=1e-5, atol=1e-5, rmsRel=1e-5), WRONG),
    Exploit("X25", "knows one shape only", python(ONE_SHAPE), WRONG),
    Exploit("X25", "is right for values from 0 to 1", python(UNIT_RANGE), WRONG),
    Exploit("X25", "never applies the mask", lambda: _masked(UNMASKED), WRONG),
    Exploit("X26", "computes ahead for all likely seeds", python(SEEDS), WRONG),
    Exploit(
        "X27",
        "falls back on the reference's own code",
        lambda: _against(affine.python(FALLBACK), affine.python(REFERENCE_KERNEL)),
        NoBetter(),
    ),
]

EXPLOITS = [*CACHES, *EXPECTED_VALUES, *NO_TENSORS, *TOLERANCES]
