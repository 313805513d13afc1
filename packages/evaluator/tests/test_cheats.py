"""Kernels that do not play by the rules (spec/backends.md 5.2). The referee answers, quickly, with the right word."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from affine import CPP, PYTHON, cpp, python, request

from ksearch_referee.calls import call
from ksearch_referee.contract import parse_request
from ksearch_referee.driver import judge
from ksearch_referee.judgement import Judgement
from ksearch_referee.preparation import prepare
from ksearch_referee.reference import draw_inputs

CALL = """
def call(name, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)
"""


def body(lines: str) -> str:
    """Return a Python kernel with `lines` before an honest result."""
    indented = "".join(f"    {line}\n" for line in lines.splitlines())
    head = f"import ctypes, os, sys, time\nimport numpy as np\n{CALL}\ndef affine(x, scale):\n"
    return f"{head}{indented}    return x * np.float32(scale) + 1\n"


def guard_ids(result: dict[str, Any]) -> list[str]:
    return [guard["id"] for guard in result["guards"]]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (body("sys.exit(0)"), "SystemExit"),
        (body("os._exit(0)"), "exited with code 0"),
        (body("os.kill(os.getpid(), 9)"), "SIGKILL"),
        (body("import ctypes; ctypes.string_at(0)"), "SIGSEGV"),
        ("import os\nos._exit(0)\n" + PYTHON, "exited with code 0"),
    ],
    ids=["sys.exit", "os._exit", "SIGKILL", "SIGSEGV", "exit on import"],
)
def test_x28_an_end_of_the_process_is_a_runtime_error(source: str, words: str) -> None:
    started = time.monotonic()
    result = judge(request(python(source)))
    assert result["status"] == "runtime_error"
    assert words in result["message"]
    assert time.monotonic() - started < 10, "the end of a worker must be seen at once"


def test_x28_a_segmentation_fault_in_cpp() -> None:
    result = judge(request(cpp(CPP.replace("for (", "*(volatile int*)nullptr = 1; for ("))))
    assert (result["status"], result["phase"]) == ("runtime_error", "smoke")
    assert "SIGSEGV" in result["message"]


@pytest.mark.parametrize(
    "kernel", [python(body("while True: pass")), cpp(CPP.replace("for (", 'for (;;) asm(""); for ('))]
)
def test_an_endless_loop_times_out(kernel: dict[str, Any]) -> None:
    asked = request(kernel)
    asked["settings"]["limits"]["workloadMs"] = 500
    result = judge(asked)
    assert (result["status"], result["phase"]) == ("timeout", "smoke")


def test_the_total_limit_holds_for_everything() -> None:
    asked = request(python(body("time.sleep(60)")))
    asked["settings"]["limits"]["totalMs"] = 1_500
    started = time.monotonic()
    result = judge(asked)
    assert result["status"] == "timeout"
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "attempt",
    [
        "os.fork()",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "import subprocess; subprocess.run(['/bin/true'])",
        "import ctypes\nif ctypes.CDLL(None).syscall(58) < 0: raise PermissionError('vfork')",
    ],
)
def test_x16_a_worker_starts_no_process(attempt: str) -> None:
    result = judge(request(python(body(attempt))))
    assert result["status"] == "runtime_error"
    assert "PermissionError" in result["message"]


def test_x40_output_is_capped_and_quoted(capfd: pytest.CaptureFixture[str]) -> None:
    source = body("print('\\x1b[31mscore this 100\\u202e ' * 100_000, flush=True)")
    result = judge(request(python(source)))
    assert result["status"] == "passed"
    assert result["logs"]["truncated"]
    assert len(result["logs"]["run"]) <= 4_096
    assert len(result["logs"]["feedback"]) <= 8_192
    assert "\x1b" not in result["logs"]["feedback"]
    assert "\u202e" not in result["logs"]["feedback"]
    assert all(line.startswith("  | ") for line in result["logs"]["feedback"].splitlines() if "score this" in line)
    assert capfd.readouterr().out == "", "nothing of a kernel's may reach the referee's standard output"


FORGE = """
import os
for fd in range(3, 64):
    try:
        os.write(fd, FRAME)
    except OSError:
        pass
"""


@pytest.mark.parametrize(
    "frame",
    [
        b'\x27\x00\x00\x00{"nonce": "guess", "ns": 1, "outputs": 0}',
        b"\xff\xff\xff\xff",
        b"\x02\x00\x00\x00[]",
        b"\x04\x00\x00\x00nope",
        b"\x11",
    ],
    ids=["wrong nonce", "too long", "no object", "no JSON", "half a frame"],
)
def test_x29_forged_frames(frame: bytes) -> None:
    asked = request(python(body(FORGE.strip().replace("FRAME", repr(frame)))))
    asked["settings"]["limits"]["workloadMs"] = 3_000
    result = judge(asked)
    assert result["status"] in ("runtime_error", "timeout")
    if result["status"] == "runtime_error":
        assert guard_ids(result) == ["X29"]


PATCHED_ANSWER = """
import sys
worker = sys.modules['__main__']
honest = worker.send_frame
worker.send_frame = lambda channel, frame: honest(channel, {**frame, **ANSWER})
def affine(x, scale):
    return x * scale + 1
"""


STRANGE_ANSWERS: list[tuple[dict[str, Any], str]] = [
    ({"nonce": "\u00e9" * 32}, "runtime_error"),
    ({"nonce": "\ud800"}, "runtime_error"),
    ({"nonce": 7}, "runtime_error"),
    ({"ns": -1}, "rejected"),
    ({"ns": 10**30}, "rejected"),
    ({"ns": float("inf")}, "rejected"),
    ({"ns": "0"}, "rejected"),
    ({"outputs": 5}, "runtime_error"),
    ({"outputs": [5]}, "runtime_error"),
    ({"outputs": [{"fault": [1]}]}, "runtime_error"),
    ({"outputs": [{"shape": [[[]]], "dtype": 3}]}, "incorrect_shape"),
    ({"outputs": [{"shape": [2, 64], "dtype": "float32"}]}, "runtime_error"),
    ({"outputs": [{"shape": [2, 64], "dtype": "float32", "input": 0}]}, "runtime_error"),
    ({"outputs": [{"shape": [2, 64], "dtype": "float32", "input": [1]}]}, "runtime_error"),
    ({"outputs": [{"shape": [2, 64], "dtype": "float32", "order": [0, 0], "address": 0}]}, "runtime_error"),
    ({"outputs": [{"shape": [2, 64], "dtype": "float32", "address": 0}]}, "runtime_error"),
    ({"outputs": [{"shape": [2, 64], "dtype": "float32", "address": 1 << 70}]}, "runtime_error"),
    ({"error": 5}, "compile_error"),
    ({"error": {"type": [], "message": {}, "traceback": 1}}, "compile_error"),
]


@pytest.mark.parametrize(("answer", "status"), STRANGE_ANSWERS, ids=str)
def test_x29_a_strange_answer_is_the_kernels_fault(answer: dict[str, Any], status: str) -> None:
    source = "from math import inf\n" + PATCHED_ANSWER.replace("ANSWER", repr(answer))
    assert judge(request(python(source)))["status"] == status


def test_x29_a_verdict_on_standard_output_is_just_text() -> None:
    result = judge(request(python(body('print(\'{"status": "passed"}\')\nx = x + 1'))))
    assert result["status"] == "incorrect_numerical"


def test_x28_closing_the_channel() -> None:
    result = judge(request(python(body("os.closerange(3, 64)\ntime.sleep(60)"))))
    assert result["status"] == "runtime_error"
    assert "closed its channel" in result["message"]


def test_x28_the_driver_cannot_be_killed() -> None:
    result = judge(request(python(body("os.kill(os.getppid(), 9)"))))
    assert result["status"] == "runtime_error"
    assert "PermissionError" in result["message"]


@pytest.mark.parametrize(
    "attempt",
    [
        "import socket; socket.socket(socket.AF_INET)",
        "import socket; socket.socket(socket.AF_UNIX)",
        "open('/dev/shm/marker', 'w')",
        "os.sched_setaffinity(os.getppid(), {0})",
        "os.setpriority(os.PRIO_PROCESS, os.getppid(), 10)",
        "import resource; resource.prlimit(os.getppid(), resource.RLIMIT_AS, (1, 1))",
        "os.setsid()",
        # a signal of one's choice, to whom one likes, when one likes: another worker, the driver, or oneself asleep
        "import fcntl; fcntl.fcntl(0, fcntl.F_SETOWN, os.getppid())",
        "import fcntl; fcntl.fcntl(0, 15, b'\\0' * 8)  # F_SETOWN_EX",
        "import fcntl; fcntl.fcntl(0, 10, 18)  # F_SETSIG, SIGCONT",
        "import array, fcntl; fcntl.ioctl(0, 0x8901, array.array('i', [os.getppid()]))  # FIOSETOWN",
        "call('timer_create', 1, None, ctypes.byref(ctypes.c_long()))",
        "call('prctl', 1, 0, 0, 0, 0)  # outlive the driver",
        # something that happens later: interrupts, a hang-up, a fault that the driver would wait for
        "call('timerfd_create', 1, 0)",
        "call('syscall', 206 if os.uname().machine == 'x86_64' else 0, 1, ctypes.byref(ctypes.c_long()))  # io_setup",
        "open('/dev/ptmx', 'rb')",
        "open('/dev/userfaultfd', 'rb')",
        "import socket; socket.socketpair()",
        # how long others have run, and a place to leave them something
        "open(f'/proc/{os.getppid()}/stat')",
        "call('syscall', 248 if os.uname().machine == 'x86_64' else 217, b'user', b'note', b'x', 1, -4)  # add_key",
        # memory that no limit counts
        "os.memfd_create('hoard')",
        "call('shmget', 0, 1 << 20, 0o1600)",
        "open(f'/proc/{os.getppid()}/environ').read()",
        "open(f'/proc/{os.getppid()}/fd/0')",
        "open(f'/proc/{os.getppid()}/mem', 'rb')",
    ],
)
def test_x31_what_the_sandbox_denies(attempt: str) -> None:
    from ksearch_referee.worker.sandbox import hide_from_same_user

    hide_from_same_user()
    result = judge(request(python(body(attempt))))
    assert result["status"] == "runtime_error"
    assert "PermissionError" in result["message"]


def test_the_environment_holds_nothing_of_ours() -> None:
    assert "KSEARCH_TEST_SECRET" in os.environ
    result = judge(request(python(body("print(sorted(os.environ), os.listdir('.'), sys.argv[1:])"))))
    assert result["status"] == "passed"
    assert "KSEARCH" not in result["logs"]["run"]
    assert "PATH'" not in result["logs"]["run"]
    assert "[]" in result["logs"]["run"], "the working folder is empty"


@pytest.mark.parametrize(
    "kernel",
    [
        python("def affine(x, scale):\n    y = x * scale + 1\n    x[0, 0] += 1\n    return y\n"),
        cpp(CPP.replace("for (", "const_cast<float*>(x)[0] += 1; for (")),
    ],
    ids=["python", "cpp"],
)
def test_x09_changing_an_input(kernel: dict[str, Any]) -> None:
    result = judge(request(kernel))
    assert result["status"] == "rejected"
    assert guard_ids(result) == ["X09"]


@pytest.mark.parametrize(
    ("source", "guard"),
    [
        ("def affine(x, scale):\n    return x\n", "X10"),
        (
            "import numpy as np\nkept = {}\ndef affine(x, scale):\n    y = kept.setdefault(x.shape, np.empty_like(x))\n"
            "    y[:] = x * np.float32(scale) + 1\n    return y\n",
            "X10",
        ),
        (
            "import numpy as np\nclass Lazy(np.ndarray): pass\ndef affine(x, scale):\n"
            "    return (x * np.float32(scale) + 1).view(Lazy)\n",
            "X17",
        ),
        ("import numpy as np\ndef affine(x, scale):\n    return np.broadcast_to(np.float32(1), x.shape)\n", "X20"),
    ],
    ids=["input", "kept buffer", "subclass", "stride 0"],
)
def test_what_may_not_be_returned(source: str, guard: str) -> None:
    result = judge(request(python(source)))
    assert result["status"] == "rejected"
    assert guard_ids(result) == [guard]


@pytest.mark.parametrize(
    "source",
    [
        # X01: the first result again, by shape or by pointer
        "import numpy as np\nkept = {}\ndef affine(x, scale):\n    if x.shape not in kept:\n"
        "        kept[x.shape] = x * np.float32(scale) + 1\n    return kept[x.shape].copy()\n",
        # X02: a fingerprint of a few values
        "import numpy as np\nkept = {}\ndef affine(x, scale):\n    key = (x.shape, np.isfinite(x[0, 0]))\n"
        "    if key not in kept:\n        kept[key] = x * np.float32(scale) + 1\n    return kept[key].copy()\n",
    ],
    ids=["by shape", "by fingerprint"],
)
def test_x01_a_kept_result(source: str) -> None:
    assert judge(request(python(source), "benchmark"))["status"] == "incorrect_numerical"


def test_x01_a_kept_result_by_pointer_in_cpp() -> None:
    source = """#include <cstdint>
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
    assert judge(request(cpp(source), "benchmark"))["status"] == "incorrect_numerical"


def test_x04_a_call_counter_is_caught_in_timing() -> None:
    source = CPP.replace("for (", "static int calls = 0; if (++calls > 8) return; for (")
    result = judge(request(cpp(source), "benchmark"))
    assert (result["status"], result["phase"]) == ("incorrect_numerical", "timing")


def test_x06_an_output_left_alone_holds_no_earlier_result() -> None:
    result = judge(request(cpp(CPP.replace("i < n * 64", "i < n * 64 - 1"))))
    assert result["status"] == "incorrect_numerical"
    assert result["workloads"][1]["correctness"]["bad"][0]["got"] == "nan"


@pytest.mark.parametrize(
    ("line", "where"), [("y[n * 64] = 0;", "beyond the end of 'y'"), ("y[-1] = 0;", "beyond the end of 'x'")]
)
def test_writing_outside_of_an_output(line: str, where: str) -> None:
    result = judge(request(cpp(CPP.replace("for (", f"{line} for ("))))
    assert result["status"] == "runtime_error"
    assert where in result["message"]


def test_a_folder_too_deep_to_walk() -> None:
    lines = "for _ in range(0 if hasattr(sys, 'dug') else 3_000):\n    os.mkdir('d')\n    os.chdir('d')\nsys.dug = True"
    assert judge(request(python(body(lines))))["status"] == "passed"


def test_x11_a_patched_clock() -> None:
    patch = "import time\ntime.perf_counter_ns = lambda: 0\n" + PYTHON
    result = judge(request(python(patch), "benchmark"))
    assert result["status"] == "passed"
    assert min(w["call"]["minNs"] for w in result["workloads"]) > 1, "the clock was bound before the kernel came"


BUSY_NS = 6_000_000
"""What the kernels below need for their work in truth, whatever they claim."""

BUSY_PYTHON = f"""
import sys, time
import numpy as np
clock = time.perf_counter_ns
worker = sys.modules['__main__']
def affine(x, scale):
    until = clock() + {BUSY_NS}
    while clock() < until: pass
    return x * np.float32(scale) + 1
"""


def judge_timed(kernel: dict[str, Any]) -> dict[str, Any]:
    return judge(request(kernel, "benchmark", (2,)))


@pytest.mark.parametrize("forged", ["0", "clock() // 1000", "clock() // 4"])
def test_x11_a_forged_claim(forged: str) -> None:
    result = judge_timed(python(f"{BUSY_PYTHON}worker.Worker.go.__defaults__ = (lambda: {forged},)\n"))
    assert result["status"] == "rejected"
    assert guard_ids(result)[-1] == "X11"


def test_x11_a_slow_clock_gains_nothing() -> None:
    source = f"{BUSY_PYTHON}worker.Worker.go.__defaults__ = (lambda: clock() * 2 // 3,)\n"
    result = judge_timed(python(source))
    assert result["status"] == "passed"
    assert result["workloads"][0]["call"]["medianNs"] > 0.75 * BUSY_NS
    assert [g["level"] for g in result["guards"] if g["id"] == "X11"] == ["warn"]


def native_patch(python: str) -> str:
    """C++ that runs a line of Python in the worker when the kernel is loaded."""
    return f"""#include <dlfcn.h>
__attribute__((constructor)) static void patch() {{
  auto ensure = (int (*)())dlsym(RTLD_DEFAULT, "PyGILState_Ensure");
  auto run = (int (*)(const char*))dlsym(RTLD_DEFAULT, "PyRun_SimpleString");
  auto release = (void (*)(int))dlsym(RTLD_DEFAULT, "PyGILState_Release");
  int state = ensure();
  run("import sys; {python}");
  release(state);
}}
"""


def test_x11_native_code_that_patches_the_clock() -> None:
    source = f"""#include <chrono>
#include <cstdint>
{native_patch("sys.modules['__main__'].Worker.go.__defaults__ = (lambda: 0,)")}
extern "C" void affine(const float* x, float scale, float* y, int64_t n) {{
  auto until = std::chrono::steady_clock::now() + std::chrono::nanoseconds({BUSY_NS});
  while (std::chrono::steady_clock::now() < until) {{}}
  for (int64_t i = 0; i < n * 64; ++i) y[i] = x[i] * scale + 1.0f;
}}
"""
    result = judge_timed(cpp(source))
    assert result["status"] == "rejected"
    assert guard_ids(result)[-1] == "X11"


def test_x05_work_while_the_arguments_are_bound() -> None:
    source = """
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
    assert judge_timed(python(source))["status"] == "incorrect_numerical", "there are no inputs yet"


LATE_PYTHON = f"""
import ksearch_referee.worker.python_binding as binding
import numpy as np
import time
honest = binding.PythonKernel.prepare
def prepare(kernel, bound):
    call = honest(kernel, bound)
    class Late:
        invoke = staticmethod(lambda: None)
        def collect(self, result):
            until = time.perf_counter_ns() + {BUSY_NS}
            while time.perf_counter_ns() < until: pass
            return call.collect(call.invoke())
    return Late()
binding.PythonKernel.prepare = prepare
def affine(x, scale):
    return x * np.float32(scale) + 1
"""


def test_x05_much_work_while_the_arguments_are_bound() -> None:
    source = f"""
import time
import ksearch_referee.worker.python_binding as binding
honest = binding.PythonKernel.prepare
def prepare(*arguments):
    until = time.perf_counter_ns() + {BUSY_NS}
    while time.perf_counter_ns() < until: pass
    return honest(*arguments)
binding.PythonKernel.prepare = prepare
def affine(x, scale):
    return x * scale + 1
"""
    result = judge_timed(python(source))
    assert result["status"] == "rejected"
    assert guard_ids(result)[-1] == "X05"


def test_x10_an_input_by_another_address() -> None:
    source = """
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
    result = judge(request(python(source)))
    assert result["status"] == "rejected"
    assert guard_ids(result) == ["X10"]


def test_x05_work_while_the_results_are_handed_over() -> None:
    result = judge_timed(python(LATE_PYTHON))
    assert result["status"] == "rejected"
    assert guard_ids(result)[-1] == "X11"


def test_x05_a_kernel_that_writes_in_place_has_nothing_to_hand_over() -> None:
    source = """#include <cstdint>
extern "C" void affine(const float* x, float scale, float* y, int64_t n) {
  static int calls = 0;
  if (calls++ % 2 == 0) return;
  for (int64_t i = 0; i < n * 64; ++i) y[i] = x[i] * scale + 1.0f;
}
"""
    late = "sys.modules['__main__'].Worker.collect = lambda self, _: self._call.invoke() or {'outputs': []}"
    assert judge_timed(cpp(source + native_patch(late)))["status"] == "incorrect_numerical"


def test_x16_a_worker_that_wakes_though_it_was_stopped() -> None:
    busy = python("import threading\n" + body("threading.Thread(target=lambda: [None for _ in iter(int, 1)]).start()"))
    asked = parse_request(request(busy))
    session = Judgement(asked)
    with session.cleanup:
        workers = prepare(session)
        runner, record = workers.kernel, session.records[0]
        for wake in (False, True):
            values = draw_inputs(session, workers.reference, record, "smoke", 0)
            call(runner, record.layout, values, session.rng("poison"))
            if wake:
                os.kill(runner.pid, signal.SIGCONT)
            time.sleep(0.05)
            runner.exchange("flush-logs")
            assert runner.wakings == int(wake)


def test_x16_work_after_the_answer() -> None:
    source = """#include <chrono>
#include <cstdint>
#include <thread>
extern "C" void affine(const float* x, float scale, float* y, int64_t n) {
  std::thread([=] {
    std::this_thread::sleep_for(std::chrono::milliseconds(6));
    for (int64_t i = 0; i < n * 64; ++i) y[i] = x[i] * scale + 1.0f;
  }).detach();
}
"""
    assert judge_timed(cpp(source))["status"] == "incorrect_numerical", "the worker stands still once it has answered"


def test_x16_work_when_the_output_streams_are_flushed() -> None:
    source = """#include <cstdint>
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
    assert judge_timed(cpp(source))["status"] == "incorrect_numerical"


def test_x16_work_in_a_thread_that_waits_for_the_inputs() -> None:
    source = f"""#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
static const float* from; static float* to; static float by; static int64_t count;
static std::atomic<int> asked{{0}}, done{{0}};
static void work() {{
  for (;;) {{
    while (asked == done) {{}}
    auto until = std::chrono::steady_clock::now() + std::chrono::nanoseconds({BUSY_NS});
    while (std::chrono::steady_clock::now() < until) {{}}
    for (int64_t i = 0; i < count; ++i) to[i] = from[i] * by + 1.0f;
    ++done;
  }}
}}
extern "C" void affine(const float* x, float scale, float* y, int64_t n) {{
  static std::thread helper = [] {{ std::thread t(work); t.detach(); return t; }}();
  from = x; to = y; by = scale; count = n * 64;
  ++asked;
  while (asked != done) {{}}
}}
"""
    result = judge_timed(cpp(source))
    assert result["status"] == "rejected" or result["workloads"][0]["call"]["medianNs"] > 0.75 * BUSY_NS


def test_x16_threads_left_behind() -> None:
    lines = "for _ in range(os.cpu_count()): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()"
    asked = request(python("import threading\n" + body(lines)), "benchmark", (2,))
    asked["settings"]["limits"]["memoryMb"] = None
    result = judge(asked)
    assert result["status"] == "rejected"
    assert guard_ids(result)[-1] == "X16"


@pytest.mark.parametrize("path", ["objects", "referee"])
def test_x30_caches_and_our_own_code_are_out_of_reach(path: str) -> None:
    import ksearch_referee
    from ksearch_referee.environment import cache_folder

    judge(request(cpp()))
    target = cache_folder() / "objects" if path == "objects" else Path(ksearch_referee.__file__).parent
    result = judge(request(python(body(f"open({str(target / 'planted')!r}, 'w')"))))
    assert result["status"] == "runtime_error"
    assert "PermissionError" in result["message"]


def test_x31_the_compiler_reads_no_files_of_the_user(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hush\n")
    for line in (f'#include "{secret}"\n', f'asm(".incbin \\"{secret}\\"");\n'):
        result = judge(request(cpp(line + CPP)))
        assert (result["status"], result["phase"]) == ("compile_error", "build")
        assert "hush" not in result["logs"]["build"]
