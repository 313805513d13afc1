"""Judgements on a GPU: honest kernels of every language, format and style pass, wrong and hostile ones do not."""

import time
from pathlib import Path
from typing import Any

import pytest
from affine import cpp
from on_gpu import (
    AUTOTUNED,
    CUDA,
    PYTHON,
    TRITON,
    cuda,
    extension,
    gpumode_request,
    python,
    request,
    submission,
    triton,
)

from ksearch_referee.doctor import diagnose
from ksearch_referee.driver import judge
from ksearch_referee.examination import examine
from ksearch_referee.gpus import visible_gpu
from ksearch_referee.judgement import Judgement
from ksearch_referee.keeper import Keeper
from ksearch_referee.measures import PARCELS
from ksearch_referee.runner import Runner

pytestmark = pytest.mark.gpu

ILLEGAL = CUDA.replace("y[i] =", "*(float*)(8 + 4 * i) =")
ENDLESS = CUDA.replace("if (i < size)", 'for (;;) asm volatile("nanosleep.u32 1000;"); if (i < size)')

LATE_COMPILER = TRITON.replace("BLOCK: tl.constexpr", "BLOCK: tl.constexpr, KEY: tl.constexpr").replace(
    "BLOCK=1024)", "BLOCK=1024, KEY=int(x.view(-1)[0].abs().item() * 1e6))"
)

TORCH_COMPILE = PYTHON.replace("def run", "@torch.compile\ndef run")


def returning(expression: str) -> dict[str, Any]:
    return python(f"import torch\n\ndef run(x, scale):\n    return {expression}\n")


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "other numbers": (returning("x * scale + 2"), "incorrect_numerical", "wrong numbers"),
    "float64": (returning("(x * scale + 1).double()"), "incorrect_dtype", "float64"),
    "another shape": (returning("(x * scale + 1)[:1].clone()"), "incorrect_shape", "shape"),
    "too much device memory": (returning("torch.empty(1 << 45, device='cuda')"), "runtime_error", "out of memory"),
    "too much memory": (returning("torch.ones(1 << 33) + 1"), "runtime_error", "can't allocate memory"),
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


@pytest.fixture
def roles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The workers that were started since, in a cache that knows nothing yet."""
    monkeypatch.setenv("KSEARCH_REFEREE_CACHE", str(tmp_path))
    start, started = Judgement.start_worker, list[str]()

    def start_worker(session: Judgement, role: str, *given: Any, **named: Any) -> Runner:
        started.append(role)
        return start(session, role, *given, **named)

    monkeypatch.setattr(Judgement, "start_worker", start_worker)
    return started


@pytest.mark.parametrize("source", [TRITON, AUTOTUNED], ids=["plain", "autotuned"])
def test_what_triton_compiled_is_compiled_once(roles: list[str], source: str) -> None:
    asked = request(triton(source))  # without times: their slot lies in the cache, and other tests have another cache
    first = judge(asked)
    assert (first["status"], roles.count("builder of the kernel")) == ("passed", 1), first
    roles.clear()
    second = judge(asked)
    assert (second["status"], second["resources"]) == ("passed", first["resources"]), second
    assert not any("builder" in role for role in roles), roles
    assert first["usage"]["buildMs"] > second["usage"]["buildMs"] == 0
    judge(request(triton(source), sizes=(41,)))
    assert "builder of the kernel" in roles, "of another workload nothing is known"


@pytest.mark.parametrize(
    "source", [TRITON.replace("tl.load", "tl.lode"), TRITON.replace("* scale + 1", "* scale")], ids=["error", "wrong"]
)
def test_what_a_kernel_that_fails_compiled_is_not_kept(roles: list[str], source: str) -> None:
    first, second = (judge(request(triton(source), sizes=(3,))) for _ in range(2))
    assert first["status"] == second["status"] in ("compile_error", "incorrect_numerical")
    assert first["message"] == second["message"] or first["status"] == "incorrect_numerical"
    assert roles.count("builder of the kernel") == 2


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


@pytest.mark.parametrize("which", ["FlashInfer", "GPU MODE"])
def test_where_no_memory_of_the_gpu_is_shared_tensors_go_through_the_host(
    which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request(cuda(), "benchmark") if which == "FlashInfer" else gpumode_request(submission())
    shared = judge(asked)

    def try_sharing(_keeper: Keeper, _other: Runner) -> None:
        """Find that nothing can be shared."""

    monkeypatch.setattr(Keeper, "try_sharing", try_sharing)
    result = judge(asked)
    assert (shared["status"], result["status"]) == ("passed", "passed"), (shared, result)
    assert PARCELS in shared["env"]["isolation"], "this host does not share memory of the GPU: nothing was compared"
    assert PARCELS not in result["env"]["isolation"]


def test_a_problem_is_examined_on_the_gpu() -> None:
    asked = request(python())
    kept = {key: asked[key] for key in ("requestId", "problem", "settings", "device")}
    examination = examine({"schema": "ksearch.examine/1", **kept})
    assert examination["status"] == "admitted", examination
    assert all(workload["referenceNs"] for workload in examination["workloads"])
