"""The profile on request: what it tells, how ncu's table is read, and that no trouble with it changes a verdict."""

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import layers
import pytest
from affine import cpp, request

from ksearch_referee import ncu, profiling
from ksearch_referee.digest import Profiled
from ksearch_referee.driver import judge
from ksearch_referee.environment import package_version
from ksearch_referee.folders import make_folder, remove_folder
from ksearch_referee.users import spare_user, why_none

NEEDS_TORCH = pytest.mark.skipif(package_version("torch") is None, reason="there is no torch here")

# As ncu prints with --csv --page raw --print-units base: a line of names, one of units, one a launch.
NAMES = ["ID", "Process ID", "Kernel Name", "Block Size", *ncu.METRICS]


def table(*launches: tuple[str, float, float]) -> str:
    def line(values: list[Any]) -> str:
        return ",".join(f'"{value}"' for value in values)

    rows = [
        line([i, 7, name, "(256, 1, 1)", ns, percent, *[1.5] * 10]) for i, (name, ns, percent) in enumerate(launches)
    ]
    text = ["==PROF== Connected to process 7", line(NAMES), line(["", "", "", "", "ns", *["%"] * 11]), *rows]
    return "\n".join([*text, "==PROF== Disconnected"])


def benchmark(kernel: dict[str, Any]) -> dict[str, Any]:
    asked = request(kernel, "benchmark", (2,))
    asked["settings"]["digest"] = "counters"
    return asked


def model_benchmark(source: str) -> dict[str, Any]:
    asked = layers.request(layers.model_new(source), "benchmark", layers.problem())
    asked["settings"]["digest"] = "counters"
    return asked


def test_a_table_of_ncus_is_read_by_kernel(tmp_path: Path) -> None:
    file = tmp_path / "counters.csv"
    launches = (("add(float *)", 1_000, 20), ("gemm<128>(Args)", 9_000, 60), ("add(float *)", 3_000, 40))
    file.write_text(table(*launches), "utf-8")
    gemm, add = ncu.read_table(file)
    assert (gemm.name, gemm.launches, gemm.duration_ns) == ("gemm<128>(Args)", 1, 9_000)
    assert (add.launches, add.duration_ns) == (2, 4_000)
    assert add.figures["DRAM % of peak"] == 35, "weighted by time"
    assert sum(words.startswith("stalled on ") for words in add.figures) == 2


def test_a_table_that_is_none_tells_of_no_kernel(tmp_path: Path) -> None:
    file = tmp_path / "counters.csv"
    for text in ("", "==ERROR== ERR_NVGPUCTRPERM - no permission\n", '"Kernel Name"\n', table(("a", float("nan"), 1))):
        file.write_text(text, "utf-8")
        assert [kernel.duration_ns for kernel in ncu.read_table(file)] in ([], [0])


def test_what_a_worker_says_of_kernels_is_taken_as_far_as_it_makes_sense() -> None:
    told = [{"name": "good", "launches": 1, "ns": 5}, {"name": 3}, "x", {"name": "a", "launches": -1, "ns": 5}]
    told += [{"name": "b", "launches": True, "ns": 1}, {"name": "c", "launches": 1, "ns": 1 << 60}]
    assert profiling._kernels(told) == [Profiled("good", 1, 5)]  # pyright: ignore[reportPrivateUsage]
    assert profiling._kernels("no list") == []  # pyright: ignore[reportPrivateUsage]


def test_nobody_who_does_not_ask_gets_a_digest() -> None:
    assert judge(request(cpp(), "benchmark", (2,)))["digest"] is None


def test_a_kernel_without_torch_has_no_profile_and_passes() -> None:
    result = judge(benchmark(cpp()))
    assert result["status"] == "passed"
    assert result["digest"]["source"] == "none"
    assert result["digest"]["kernels"] == []


@NEEDS_TORCH
def test_torch_tells_its_operators_on_a_cpu() -> None:
    result = judge(model_benchmark(layers.KERNEL))
    assert result["status"] == "passed", result
    assert result["digest"]["source"] == "torch", result["digest"]
    names = [kernel["name"] for kernel in result["digest"]["kernels"]]
    assert any(name.startswith("aten::") for name in names), names
    assert "Profile of one call (torch):" in result["logs"]["feedback"]


@NEEDS_TORCH
@pytest.mark.parametrize("end", ["os._exit(3)", "raise ValueError('no')", "time.sleep(600)"])
def test_trouble_with_a_digest_changes_no_verdict(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ksearch_referee.profiling._LIMIT_S", 2.0)
    head = "    def forward(self, x, keep):\n"
    trap = f"        if 'ksearch_referee.worker.profiling' in sys.modules:\n            {end}\n"
    source = layers.KERNEL.replace(head, head + trap)
    assert source != layers.KERNEL
    result = judge(model_benchmark(f"import os, sys, time\n{source}"))
    assert result["status"] == "passed", result
    assert result["digest"]["source"] == "none"
    assert result["digest"]["note"].startswith("no profile: ")


REACHES = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 2); print('reached')"
ITSELF = """
import socket
with socket.create_server(("127.0.0.1", 0)) as server:
    socket.create_connection(server.getsockname(), 2)
    print("itself")
"""


@pytest.mark.parametrize("program", [REACHES, ITSELF], ids=["the host", "itself"])
def test_under_a_profiler_a_worker_reaches_itself_and_nobody_else(program: str) -> None:
    if why_none() is not None:
        pytest.skip(f"no process gets a user of its own here: {why_none()}")
    folder = make_folder("test-")
    work = folder / "work"
    work.mkdir()
    folder.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as server:
        whom = json.dumps({"user": spare_user(None), "bounds": {}})
        command = [sys.executable, "-I", "-B", "-m", "ksearch_referee.worker.counted", whom]
        command += [sys.executable, "-I", "-c", program, str(server.getsockname()[1])]
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=60, check=False)
    remove_folder(folder)
    assert "reached" not in done.stdout
    if program is ITSELF and "of its own" not in done.stderr:
        assert done.stdout == "itself\n", done.stderr
