"""Honest kernels in numpy and C++, and in GPU MODE's format."""

from typing import Any

import affine
import blended
import masked

from honest.kernel import Honest, Request, cpp, python, short

HEAD = "import numpy as np\n"
RESULT = "x * np.float32(scale) + np.float32(1)"


def lines(*statements: str, before: str = "") -> str:
    return "".join([HEAD, before, "def affine(x, scale):\n", *(f"    {statement}\n" for statement in statements)])


LAZY_CONSTANT = lines(
    "if 'one' not in built:",
    "    built['one'] = np.ones(64, np.float32)",
    "return x * np.float32(scale) + built['one']",
    before="built = {}\n",
)
CACHED_PLAN = lines(
    "rows = plan(x.shape)",
    "y = np.empty_like(x)",
    "for part in rows:",
    "    y[part] = x[part] * np.float32(scale) + 1",
    "return y",
    before=(
        "from functools import lru_cache\n@lru_cache\ndef plan(shape):\n"
        "    return [slice(i, i + 32) for i in range(0, shape[0], 32)]\n"
    ),
)
SCRATCH = lines(
    "held = scratch.setdefault(x.shape, np.empty_like(x))",
    "np.multiply(x, np.float32(scale), out=held)",
    "return held + np.float32(1)",
    before="scratch = {}\n",
)
GENERATORS = lines(
    "return np.stack([row for row in rows(x, scale)])",
    before="def rows(x, scale):\n    for row in x:\n        yield row * np.float32(scale) + np.float32(1)\n",
)
RECURSION = lines(
    "y = np.empty_like(x)",
    "half(x, np.float32(scale), y)",
    "return y",
    before=(
        "def half(x, scale, y):\n    if len(x) <= 4:\n        y[...] = x * scale + 1\n        return\n"
        "    half(x[: len(x) // 2], scale, y[: len(x) // 2])\n    half(x[len(x) // 2 :], scale, y[len(x) // 2 :])\n"
    ),
)
POOL = lines(
    "y = np.empty_like(x)",
    "def work(part):",
    "    y[part] = x[part] * np.float32(scale) + 1",
    "list(pool.map(work, (slice(0, 48), slice(48, None))))",
    "return y",
    before="from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor(2)\n",
)
EXCEPTIONS = lines(
    "try:",
    "    return np.matmul(x, np.zeros((3, 3)))",
    "except ValueError:",
    f"    return {RESULT}",
)
LIBM = lines(
    f"return {RESULT} if libm.floor(1.5) == 1 else x",
    before=(
        "import ctypes, ctypes.util\nlibm = ctypes.CDLL('libm.so.6')\nlibm.floor.restype = ctypes.c_double\n"
        "libm.floor.argtypes = [ctypes.c_double]\n"
    ),
)

SIMD = """#include <cstdint>
typedef float lanes __attribute__((vector_size(32), aligned(4)));
extern "C" void affine(const float* x, float scale, float* y, int64_t n) {
  for (int64_t i = 0; i < n * 64; i += 8) *(lanes*)(y + i) = *(const lanes*)(x + i) * scale + 1.0f;
}
"""
INTRINSICS = """#include <cstdint>
#ifdef __AVX2__
#include <immintrin.h>
#endif
extern "C" void affine(const float* x, float scale, float* y, int64_t n) {
#ifdef __AVX2__
  __m256 by = _mm256_set1_ps(scale), one = _mm256_set1_ps(1.0f);
  for (int64_t i = 0; i < n * 64; i += 8)
    _mm256_storeu_ps(y + i, _mm256_add_ps(_mm256_mul_ps(_mm256_loadu_ps(x + i), by), one));
#else
  for (int64_t i = 0; i < n * 64; ++i) y[i] = x[i] * scale + 1.0f;
#endif
}
"""
TEMPLATES = """#include <array>
#include <cstdint>
#include <utility>
template <int Width, typename T> struct Rows {
  template <typename F> static void each(const T* x, T* y, int64_t n, F&& f) {
    for (int64_t i = 0; i < n; ++i)
      for (int j = 0; j < Width; ++j) y[i * Width + j] = f(x[i * Width + j]);
  }
};
extern "C" void affine(const float* x, float scale, float* y, int64_t n) {
  Rows<64, float>::each(x, y, n, [scale](float v) { return v * scale + 1.0f; });
}
"""
THROWS = """#include <cstdint>
#include <stdexcept>
static float one(int64_t row) {
  if (row % 2) throw std::runtime_error("an odd row");
  return 1.0f;
}
extern "C" void affine(const float* x, float scale, float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    float add;
    try { add = one(i); } catch (const std::exception&) { add = 1.0f; }
    for (int j = 0; j < 64; ++j) y[i * 64 + j] = x[i * 64 + j] * scale + add;
  }
}
"""
OPENMP = """#include <cstdint>
extern "C" void affine(const float* x, float scale, float* y, int64_t n) {
#pragma omp parallel for
  for (int64_t i = 0; i < n * 64; ++i) y[i] = x[i] * scale + 1.0f;
}
"""
THREADS = """#include <cstdint>
#include <thread>
#include <vector>
extern "C" void affine(const float* x, float scale, float* y, int64_t n) {
  auto part = [=](int64_t from, int64_t to) { for (int64_t i = from; i < to; ++i) y[i] = x[i] * scale + 1.0f; };
  std::thread other(part, 0, n * 32);
  part(n * 32, n * 64);
  other.join();
}
"""
POOLED = """#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
struct Pool {
  std::mutex lock; std::condition_variable due, over;
  const float* x; float scale; float* y; int64_t from, to; bool asked = false, done = false;
  Pool() { std::thread([this] { serve(); }).detach(); }
  void serve() {
    for (;;) {
      std::unique_lock held(lock);
      due.wait(held, [this] { return asked; });
      for (int64_t i = from; i < to; ++i) y[i] = x[i] * scale + 1.0f;
      asked = false; done = true;
      over.notify_one();
    }
  }
};
extern "C" void affine(const float* x, float scale, float* y, int64_t n) {
  static Pool* pool = new Pool;
  { std::lock_guard held(pool->lock); pool->x = x; pool->scale = scale; pool->y = y; pool->from = 0; pool->to = n * 32;
    pool->asked = true; pool->done = false; }
  pool->due.notify_one();
  for (int64_t i = n * 32; i < n * 64; ++i) y[i] = x[i] * scale + 1.0f;
  std::unique_lock held(pool->lock);
  pool->over.wait(held, [] { return pool->done; });
}
"""
BIG_STACK = """#include <cstdint>
#include <cstring>
extern "C" void affine(const float* x, float scale, float* y, int64_t n) {
  volatile float held[1 << 20];
  for (int64_t i = 0; i < n * 64; ++i) held[i] = x[i] * scale;
  for (int64_t i = 0; i < n * 64; ++i) y[i] = held[i] + 1.0f;
}
"""
DLOPEN = """#include <cstdint>
#include <dlfcn.h>
extern "C" void affine(const float* x, float scale, float* y, int64_t n) {
  static auto fma = (float (*)(float, float, float))dlsym(dlopen("libm.so.6", RTLD_NOW), "fmaf");
  for (int64_t i = 0; i < n * 64; ++i) y[i] = fma(x[i], scale, 1.0f);
}
"""
HEADER = "#pragma once\n#include <cstdint>\nvoid scaled(const float* x, float scale, float* y, int64_t size);\n"
SECOND = (
    '#include "scaled.h"\nvoid scaled(const float* x, float scale, float* y, int64_t size) {\n'
    "  for (int64_t i = 0; i < size; ++i) y[i] = x[i] * scale + 1.0f;\n}\n"
)
FIRST = (
    '#include "scaled.h"\nextern "C" void affine(const float* x, float scale, float* y, int64_t n) '
    "{ scaled(x, scale, y, n * 64); }\n"
)
STATIC_SCRATCH = """#include <cstdint>
#include <vector>
extern "C" void affine(const float* x, float scale, float* y, int64_t n) {
  static thread_local std::vector<double> held;
  held.assign(x, x + n * 64);
  for (int64_t i = 0; i < n * 64; ++i) y[i] = float(held[i] * scale + 1.0);
}
"""

ROWS_CPP = """#include <cstdint>
extern "C" void rows(const float* x, const bool* mask, const float* scale, const float* shift, float* y, int64_t n,
                     int64_t cols) {
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < cols; ++j) y[i * cols + j] = mask[i] ? x[i * cols + j] * scale[j] + shift[j] : 0.0f;
}
"""
LOADS_CPP = """
import ctypes, os
import numpy as np

rows = ctypes.CDLL(os.path.join(os.path.dirname(__file__), "kernel.so")).rows
rows.argtypes = (ctypes.c_void_p,) * 5 + (ctypes.c_int64,) * 2

def custom_kernel(data):
    x, mask, weights, config = data
    y = np.empty_like(x)
    arrays = (x, mask, weights["norm.scale"], weights["norm.shift"], y)
    rows(*(array.ctypes.data for array in arrays), *x.shape)
    return y
"""
READS_CONFIG = masked.KERNEL.replace("    return", "    assert config.get('nothing') is None\n    return").replace(
    "* mask", "* np.ones(config['cols'], np.float32) * mask"
)


def _in_place() -> Request:
    source = "import numpy as np\ndef affine(x, scale, y):\n    np.multiply(x, np.float32(scale), out=y)\n    y += 1\n"
    return short(affine.request({**affine.python(source), "destinationPassing": True}, sizes=(96, 3)))


def _masked(source: str = masked.KERNEL, **fields: Any) -> Request:
    return short(masked.request(masked.submission(source, **fields)))


def _with_cpp() -> Request:
    contents = {"submission.py": LOADS_CPP, "kernel.cpp": ROWS_CPP}
    return _masked(language="cpp", files=[{"path": path, "content": text} for path, text in contents.items()])


PARALLEL = blended.KERNEL.replace(
    "  for (", "  static std::vector<float> scratch;\n  scratch.resize(y.size());\n#pragma omp parallel for\n  for ("
).replace("y[i] += factor * x[i];", "scratch[i] = y[i] + factor * x[i];\n  y.assign(scratch.begin(), scratch.end());")


def _contained(source: str) -> Request:
    return short(blended.request(blended.submission(source)))


KERNELS = [
    Honest(
        "H01", "temporaries in place", python(lines("y = x.copy()", "y *= np.float32(scale)", "y += 1", "return y"))
    ),
    Honest(
        "H02",
        "views within, a fresh copy out",
        python(lines("y = x.T.reshape(8, -1, len(x)) * np.float32(scale) + 1", "return y.reshape(64, -1).T.copy()")),
    ),
    Honest("H03", "a result in column order", python(lines(f"return np.asfortranarray({RESULT})"))),
    Honest(
        "H04",
        "non-contiguous internals",
        python(lines("y = np.empty((len(x), 128), np.float32)", f"y[:, ::2] = {RESULT}", "return y[:, ::2].copy()")),
    ),
    Honest("H05", "functools.lru_cache on shapes", python(CACHED_PLAN)),
    Honest("H06", "a constant built lazily, kept per process", python(LAZY_CONSTANT)),
    Honest("H07", "a scratch buffer kept across calls", python(SCRATCH)),
    Honest("H08", "generators", python(GENERATORS)),
    Honest("H09", "recursion", python(RECURSION)),
    # To stop and continue its sleeping threads takes 0.1 to 0.2 ms a call, and that is added (docs/referee/threats.md).
    Honest("H10", "a pool of threads in Python", python(POOL), told=(("X11", "warn"),)),
    Honest(
        "H11", "accumulation in float64", python(lines("return (x.astype(np.float64) * scale + 1).astype(np.float32)"))
    ),
    Honest(
        "H12",
        "half precision within the tolerance",
        python(lines("return (x.astype(np.float16) * np.float16(scale)).astype(np.float32) + 1")),
    ),
    Honest("H13", "exceptions used internally", python(EXCEPTIONS)),
    Honest(
        "H14",
        "several Python files",
        python("from parts import one\n" + lines("return x * np.float32(scale) + one"), parts_py="one = 1\n"),
    ),
    Honest("H15", "destination passing", _in_place),
    Honest("H16", "libm by ctypes", python(LIBM)),
    Honest("H17", "outputs by name in a dict", python(lines(f"return {{'y': {RESULT}}}"))),
    Honest("H18", "a line of progress on standard output", python(lines("print('row', len(x))", f"return {RESULT}"))),
    Honest("H19", "vectors of the compiler", cpp(SIMD)),
    Honest("H20", "SIMD intrinsics", cpp(INTRINSICS)),
    Honest("H21", "templates", cpp(TEMPLATES)),
    Honest("H22", "C++ exceptions", cpp(THROWS)),
    Honest("H23", "OpenMP", cpp(OPENMP)),
    Honest("H24", "a std::thread a call", cpp(THREADS)),
    Honest("H25", "a pool of threads that sleeps", cpp(POOLED)),
    Honest("H26", "4 MiB of stack", cpp(BIG_STACK)),
    Honest("H27", "dlopen of libm", cpp(DLOPEN)),
    Honest("H28", "two sources and a header", cpp(FIRST, scaled_h=HEADER, second_cpp=SECOND)),
    Honest("H29", "a static scratch vector of doubles", cpp(STATIC_SCRATCH)),
    Honest("H30", "GPU MODE, reads its config", lambda: _masked(READS_CONFIG)),
    Honest("H31", "GPU MODE, C++ beside Python", _with_cpp),
    Honest("H39", "GPU MODE in C++, in place", lambda: _contained(blended.KERNEL)),
    Honest("H40", "GPU MODE in C++, OpenMP and scratch of its own", lambda: _contained(PARALLEL)),
]
