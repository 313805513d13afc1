"""Exploits against the clock: work at another time than the call, and claims of another length."""

import os

import affine
import blended

from redteam.exploit import (
    BUSY_NS,
    Counted,
    Exploit,
    Harmless,
    Request,
    Result,
    body,
    guard_ids,
    native_patch,
    refused,
    timed_cpp,
    timed_python,
)

LIE = Counted(guards=("X11",), told=True)
WRONG = refused("incorrect_numerical")

BUSY = f"""
import gc, signal, sys, time, weakref
import numpy as np
import ksearch_referee.worker.python_binding as binding
worker = sys.modules['__main__']
clock = time.perf_counter_ns
def work():
    until = clock() + {BUSY_NS}
    while clock() < until: pass
"""
BUSY_PYTHON = f"""{BUSY}
def affine(x, scale):
    work()
    return x * np.float32(scale) + 1
"""
BUSY_CPP = f"""#include <chrono>
#include <cstdint>
static void work() {{
  auto until = std::chrono::steady_clock::now() + std::chrono::nanoseconds({BUSY_NS});
  while (std::chrono::steady_clock::now() < until) {{}}
}}
"""
# Kernels of C++ containers, whose memory comes from an allocator of their own: it works when others ask it for memory.
_ALLOCATOR = f"""#include "task.h"
{BUSY_CPP}
#include <cstdlib>
#include <new>
static input_t kept;
static float* place = nullptr;
static void finish() {{
  float* out = place;
  place = nullptr;
  work();
  for (std::size_t i = 0; i < kept[0].size(); ++i) out[i] = factor * kept[0][i] + kept[1][i];
}}
void* operator new(std::size_t size) {{
  if (WHEN) finish();
  return std::malloc(size);
}}
void operator delete(void* held) noexcept {{ std::free(held); }}
void operator delete(void* held, std::size_t) noexcept {{ std::free(held); }}
"""
WHEN_DESCRIBED = f"""{_ALLOCATOR.replace("WHEN", "place != nullptr")}
output_t custom_kernel(input_t data) {{
  kept = std::move(data);
  output_t out(kept[0].size());
  place = out.data();
  return out;
}}
"""
WHEN_MADE = f"""{_ALLOCATOR.replace("WHEN", "size == 80'000").replace("kept[0].size()", "0")}
{blended.KERNEL}"""

EARLY = """
import ksearch_referee.worker.python_binding as binding
honest = binding.PythonKernel.prepare
def prepare(kernel, bound):
    call = honest(kernel, bound)
    early = call.invoke()
    call.invoke = lambda: early
    return call
binding.PythonKernel.prepare = prepare
def affine(x, scale):
    return x * scale + 1
"""
BUSY_BEFORE = f"""{BUSY}
honest = binding.PythonKernel.prepare
def prepare(*arguments):
    work()
    return honest(*arguments)
binding.PythonKernel.prepare = prepare
def affine(x, scale):
    return x * np.float32(scale) + 1
"""
LATE = f"""{BUSY}
honest = binding.PythonKernel.prepare
def prepare(kernel, bound):
    call = honest(kernel, bound)
    class Late:
        invoke = staticmethod(lambda: None)
        def collect(self, result):
            work()
            return call.collect(call.invoke())
    return Late()
binding.PythonKernel.prepare = prepare
def affine(x, scale):
    return x * np.float32(scale) + 1
"""
LATE_CPP = """#include <cstdint>
extern "C" void affine(const float* x, float scale, float* y, int64_t n) {
  static int calls = 0;
  if (calls++ % 2 == 0) return;
  for (int64_t i = 0; i < n * 64; ++i) y[i] = x[i] * scale + 1.0f;
}
""" + native_patch("sys.modules['__main__'].Worker.collect = lambda self, _: self._call.invoke() or {'outputs': []}")

NATIVE = f"""{BUSY_CPP}
{native_patch("sys.modules['__main__'].Worker.go.__defaults__ = (lambda: 0,)")}
extern "C" void affine(const float* x, float scale, float* y, int64_t n) {{
  work();
  for (int64_t i = 0; i < n * 64; ++i) y[i] = x[i] * scale + 1.0f;
}}
"""
AFTER_THE_ANSWER = """#include <chrono>
#include <cstdint>
#include <thread>
extern "C" void affine(const float* x, float scale, float* y, int64_t n) {
  std::thread([=] {
    std::this_thread::sleep_for(std::chrono::milliseconds(6));
    for (int64_t i = 0; i < n * 64; ++i) y[i] = x[i] * scale + 1.0f;
  }).detach();
}
"""
WHEN_FLUSHED = """#include <cstdint>
#include <cstdio>
static const float* from; static float* to; static float by; static int64_t count;
static ssize_t late(void*, const char*, size_t size) {
  for (int64_t i = 0; i < count; ++i) to[i] = from[i] * by + 1.0f;
  return size;
}
extern "C" void affine(const float* x, float scale, float* y, int64_t n) {
  static FILE* stream = fopencookie(nullptr, "w", {nullptr, late, nullptr, nullptr});
  from = x; to = y; by = scale; count = n * 64;
  fputc('.', stream);
}
"""
IN_A_THREAD = f"""#include <atomic>
#include <thread>
{BUSY_CPP}
static const float* from; static float* to; static float by; static int64_t count;
static std::atomic<int> asked{{0}}, done{{0}};
static void serve() {{
  for (;;) {{
    while (asked == done) {{}}
    work();
    for (int64_t i = 0; i < count; ++i) to[i] = from[i] * by + 1.0f;
    ++done;
  }}
}}
extern "C" void affine(const float* x, float scale, float* y, int64_t n) {{
  static std::thread helper = [] {{ std::thread t(serve); t.detach(); return t; }}();
  from = x; to = y; by = scale; count = n * 64;
  ++asked;
  while (asked != done) {{}}
}}
"""
# Writes on in shared memory, in the hope that it is read late.
REMAPPED = """#include <cstdint>
#include <sys/mman.h>
extern "C" void affine(const float* x, float scale, float* y, int64_t n) {
  auto page = (char*)((uintptr_t)y & ~4095ul);
  mmap(page, 4096 + n * 256, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  for (int64_t i = 0; i < n * 64; ++i) y[i] = x[i] * scale + 1.0f;
}
"""

HOOKED = f"""{BUSY}
calls = {{}}
honest = binding.PythonKernel.prepare
def prepare(kernel, bound):
    call = honest(kernel, bound)
    calls.clear()
    calls['kernel'] = call.invoke
    call.invoke = lambda: calls.pop('result') if 'result' in calls else calls['kernel']()
    return call
binding.PythonKernel.prepare = prepare
def ahead():
    if 'kernel' in calls and 'result' not in calls:
        calls['result'] = calls['kernel']()
def affine(x, scale):
    work()
    return x * np.float32(scale) + 1
"""
IN_THE_READER = f"""{HOOKED}
read = worker.FrameReader.read
def early(self, *arguments):
    frame = read(self, *arguments)
    if frame['op'] == 'go': ahead()
    return frame
worker.FrameReader.read = early
"""
IN_A_HANDLER = f"{HOOKED}\nsignal.signal(signal.SIGCONT, lambda *_: ahead())\n"
IN_A_PROFILER = f"""{HOOKED}
def profile(frame, event, argument):
    if event == 'call' and frame.f_code.co_name == 'go': ahead()
sys.setprofile(profile)
"""
# The result is filled in when the collector runs, right after the second reading of the clock.
BY_THE_COLLECTOR = f"""{BUSY}
due = []
def fill(phase, _):
    while due and phase == 'start':
        x, scale, y = due.pop()
        work()
        y[:] = x * np.float32(scale) + 1
gc.callbacks.append(fill)
gc.set_threshold(1)
def affine(x, scale):
    y = np.empty_like(x)
    due.append((x, scale, y))
    return y
"""
BY_A_FINALIZER = f"""{BUSY}
class Due:
    def __init__(self, *arguments): self.arguments = arguments
    def __del__(self):
        x, scale, y = self.arguments
        work()
        y[:] = x * np.float32(scale) + 1
honest = worker.send_frame
def send(channel, frame):
    due.clear()
    honest(channel, frame)
worker.send_frame = send
due = []
def affine(x, scale):
    y = np.empty_like(x)
    due.append(Due(x, scale, y))
    return y
"""
SWAPPED = f"""{BUSY}
import ksearch_referee.worker.numpy_arrays as arrays
inputs = []
honest = arrays.facts
arrays.facts = lambda array: {{**honest(array), 'address': inputs[-1].ctypes.data}}
def affine(x, scale):
    inputs.append(x)
    return np.empty_like(x)
"""
# The first thread ends, and another answers in its place: what is stopped, and read, is the process and not a thread.
SUCCESSION = f"""{BUSY}
import ctypes, os, threading
def serve(held, nonce):
    answer = {{'ns': 1, 'stagedNs': 0}}
    while True:
        worker.send_frame(held['channel'], {{'nonce': nonce, **answer}})
        frame = held['reader'].read()
        nonce, answer = frame['nonce'], held['operations'][frame['op']](frame)
        if 'ns' in answer: answer['ns'] = 1
def affine(x, scale, y):
    work()
    y[:] = x * np.float32(scale) + 1
    if threading.current_thread() is threading.main_thread():
        frame = sys._getframe()
        while 'operations' not in frame.f_locals: frame = frame.f_back
        threading.Thread(target=serve, args=(frame.f_locals, frame.f_locals['frame']['nonce'])).start()
        ctypes.CDLL(None).syscall({60 if os.uname().machine == "x86_64" else 93}, 0)
"""

RETURNED_SUCCESSION = (
    SUCCESSION.replace("(x, scale, y)", "(x, scale)")
    .replace("    y[:] = x", "    y = x")
    .replace("def serve(held, nonce):", "def serve(held, nonce, result):\n    held['worker']._result = result")
    .replace("['nonce'])).start()", "['nonce'], y)).start()")
    + "    return y\n"
)
SLOW_TO_WARM_UP = f"{BUSY}calls = []\n" + BUSY_PYTHON[len(BUSY) :].replace(
    "    work()", "    calls.append(None)\n    if len(calls) < 5: work()"
)
CLAIMS_0 = f"{affine.PYTHON}\nimport sys\nsys.modules['__main__'].Worker.go.__defaults__ = (lambda: 0,)\n"


def _many_threads() -> Request:
    line = "for _ in range(os.cpu_count()): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()"
    request = timed_python("import threading\n" + body(line))()
    request["settings"]["limits"]["memoryMb"] = None
    return request


def _in_place(source: str) -> Request:
    kernel = {**affine.python(source), "destinationPassing": True}
    return affine.request(kernel, "benchmark", (2,))


def _is_more_than_nothing(result: Result) -> None:
    assert min(w["call"]["minNs"] for w in result["workloads"]) > 1, "the clock was bound before the kernel came"


def _is_not_steered(result: Result) -> None:
    assert [w["call"]["n"] for w in result["workloads"]] == [affine.SETTINGS["timing"]["iterations"]]


def _tells_what_was_added(result: Result) -> None:
    if result["status"] == "passed" and "K03" not in guard_ids(result):
        assert "X11" in guard_ids(result, "warn")


def _counts_10_us(result: Result) -> None:
    assert all(w["call"]["minNs"] >= 10_000 for w in result["workloads"])


TWO_THIRDS = "clock() * 2 // 3"


def forged(clock: str) -> str:
    return f"{BUSY_PYTHON}worker.Worker.go.__defaults__ = (lambda: {clock},)\n"


def _contained(source: str) -> Request:
    return blended.request(blended.submission(source), "benchmark")


EXPLOITS = [
    Exploit("X05", "calls itself while the arguments are bound", timed_python(EARLY), WRONG),
    Exploit(
        "X05",
        "works while the arguments are bound",
        timed_python(BUSY_BEFORE),
        refused("rejected", "X05"),
    ),
    Exploit("X05", "works while the results are handed over", timed_python(LATE), LIE),
    Exploit("X05", "works while containers are made for it", lambda: _contained(WHEN_MADE), refused("rejected", "X05")),
    Exploit("X05", "works while what it returned in containers is told", lambda: _contained(WHEN_DESCRIBED), LIE),
    Exploit("X05", "works while nothing is handed over", timed_cpp(LATE_CPP), WRONG),
    Exploit(
        "X11",
        "patches the clock's module",
        timed_python("import time\ntime.perf_counter_ns = lambda: 0\n" + affine.PYTHON),
        Harmless(),
        also=_is_more_than_nothing,
    ),
    *(
        Exploit("X11", f"claims {clock}", timed_python(forged(clock)), LIE)
        for clock in ("0", "clock() // 1000", "clock() // 4")
    ),
    Exploit("X11", "claims two thirds", timed_python(forged(TWO_THIRDS)), Counted(), also=_tells_what_was_added),
    Exploit("X11", "patches the clock from native code", timed_cpp(NATIVE), LIE),
    Exploit("X16", "works on in a thread after its answer", timed_cpp(AFTER_THE_ANSWER), WRONG),
    Exploit("X16", "works when output streams are flushed", timed_cpp(WHEN_FLUSHED), WRONG),
    Exploit("X16", "works in a thread that waits for the inputs", timed_cpp(IN_A_THREAD), Counted()),
    Exploit("X16", "leaves threads behind", _many_threads, refused("rejected", "X16")),
    Exploit(
        "X32",
        "is slow in its first calls",
        timed_python(SLOW_TO_WARM_UP),
        Harmless(),
        also=_is_not_steered,
    ),
    Exploit(
        "X37",
        "claims no time for little work",
        timed_python(CLAIMS_0),
        Harmless("X37"),
        also=_counts_10_us,
    ),
    Exploit("R08", "works in the reader of frames, before the clock", timed_python(IN_THE_READER), LIE),
    Exploit("R09", "works in the handler of SIGCONT", timed_python(IN_A_HANDLER), LIE),
    Exploit("R10", "works in a profiler's hook", timed_python(IN_A_PROFILER), LIE),
    Exploit("R11", "works when garbage is collected, after the clock", timed_python(BY_THE_COLLECTOR), LIE),
    Exploit("R12", "works in a finalizer, after the clock", timed_python(BY_A_FINALIZER), LIE),
    Exploit("R13", "declares other memory than it returned", timed_python(SWAPPED), refused("rejected", "X10")),
    Exploit("R14", "lays memory of its own over the outputs", timed_cpp(REMAPPED), WRONG),
    Exploit("R15", "goes on without its first thread", lambda: _in_place(SUCCESSION), Counted()),
    Exploit(
        "R15",
        "returns memory of a process without its first thread",
        timed_python(RETURNED_SUCCESSION),
        refused("runtime_error", words="cannot be read"),
    ),
]
