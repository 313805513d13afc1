"""Kernels that do not play by the rules (spec/backends.md 5.2). The referee answers, quickly, with the right word."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
from affine import CPP, PYTHON, cpp, python, request

from ksearch_referee.driver import judge


def body(lines: str) -> str:
    """Return a Python kernel with `lines` before an honest result."""
    indented = "".join(f"    {line}\n" for line in lines.splitlines())
    head = "import os, sys, time\nimport numpy as np\ndef affine(x, scale):\n"
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


def test_children_die_with_the_worker() -> None:
    source = body("pid = os.fork()\nif pid == 0: time.sleep(600)\nprint(pid, flush=True)\nos._exit(3)")
    result = judge(request(python(source)))
    assert result["status"] == "runtime_error"
    assert "exited with code 3" in result["message"]
    pid = int(result["logs"]["run"].split()[0])
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}/stat").exists() and time.monotonic() < deadline:
        if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
            return  # dead, waiting for the init of this container
        time.sleep(0.01)
    assert not Path(f"/proc/{pid}").exists()


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
        "os.setsid()",
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


def test_x11_a_patched_clock() -> None:
    patch = "import time\ntime.perf_counter_ns = lambda: 0\n" + PYTHON
    result = judge(request(python(patch), "benchmark"))
    assert result["status"] == "passed"
    assert min(w["call"]["minNs"] for w in result["workloads"]) > 1, "the clock was bound before the kernel came"


def test_x11_a_forged_claim() -> None:
    source = (
        "import sys, time\n"
        "def affine(x, scale):\n"
        "    frame = sys._getframe(1)\n"
        "    frame.f_globals['Worker'].go.__defaults__ = (lambda: 0,)\n"
        "    time.sleep(0.05)\n"
        "    return x * scale + 1\n"
    )
    result = judge(request(python(source), "benchmark", (2,)))
    assert result["status"] == "rejected"
    assert guard_ids(result) == ["X11"]


def test_x16_threads_left_behind() -> None:
    lines = "for _ in range(os.cpu_count()): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()"
    result = judge(request(python("import threading\n" + body(lines)), "benchmark", (2,)))
    assert result["status"] == "rejected"
    assert guard_ids(result) == ["X16"]


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
