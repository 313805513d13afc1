"""Times taken on a GPU: what may and may not make a kernel look faster. Run alone: nothing else may use the GPU."""

from collections.abc import Callable
from typing import Any

import pytest
from honest.on_device import timed as timed_request
from on_gpu import (
    CUDA,
    REFERENCE,
    cuda,
    figures,
    gpumode_request,
    kernelbench_request,
    model_new,
    python,
    submission,
)

from ksearch_referee.driver import judge
from ksearch_referee.examination import examine

pytestmark = pytest.mark.gpu_timed


Judge = Callable[..., dict[str, Any]]


@pytest.fixture
def timed(record_property: Callable[[str, object], None]) -> Judge:
    """What benchmarks a kernel, and keeps the figures for scripts/gpu-tests.sh to print."""

    def judged(kernel: dict[str, Any], **fields: Any) -> dict[str, Any]:
        result = judge(timed_request(kernel) | fields)
        record_property("figures", figures(result))
        return result

    return judged


def test_a_gibibyte_in_and_one_out(record_property: Callable[[str, object], None]) -> None:
    """Tensors stay on the GPU; the figures say how long all of it took."""
    request = gpumode_request(submission(), mode="benchmark", rows=1 << 18, cols=1 << 10)
    result = judge(request)
    record_property("figures", f"{figures(result)}; {result['usage']['wallMs']} ms in all")
    assert (result["status"], result["phase"]) == ("passed", "done"), result
    assert result["workloads"][1]["call"]["medianNs"] > 500_000, "2 GiB at 3.35 TB/s take 0.64 ms"


def test_published_figures_of_the_other_formats(record_property: Callable[[str, object], None]) -> None:
    for asked in (gpumode_request(submission()), kernelbench_request(model_new())):
        asked["settings"] |= {"mode": "benchmark", "profile": "compat"}
        asked["settings"]["correctness"] |= {"checkTimed": "none"}
        asked["settings"]["timing"] |= {"warmup": 3, "iterations": 20, "inputs": "same", "statistic": "mean"}
        result = judge(asked)
        record_property("figures", figures(result))
        assert (result["status"], result["profile"], result["timing"]) == ("passed", "compat", "claimed"), result


def test_torchs_compiler_is_a_baseline(record_property: Callable[[str, object], None]) -> None:
    asked = kernelbench_request(model_new())
    kept = {key: asked[key] for key in ("requestId", "problem", "settings", "device")}
    examination = examine({"schema": "ksearch.examine/1", "baseline": "torch_compile", **kept})
    (workload,) = examination["workloads"]
    record_property(
        "figures", f"eager {workload['referenceNs'] / 1e3:.1f} us, compiled {workload['baselineNs'] / 1e3:.1f}"
    )
    assert examination["status"] == "admitted", examination


def test_an_incumbent_of_the_same_bytes_is_not_slower(timed: Judge) -> None:
    versus = timed(cuda(), incumbent=cuda())["aggregate"]["vsIncumbent"]
    assert versus["low"] < 1.02
    assert versus["high"] > 0.98


def test_a_slower_kernel_is_slower(timed: Judge) -> None:
    slow = CUDA.replace("y[i] =", "for (int k = 0; k < 100'000; ++k) scale = __fadd_rn(scale, 0.0f); y[i] =")
    assert timed(cuda(slow))["score"]["value"] < timed(cuda())["score"]["value"] / 2


def test_the_same_code_takes_the_same_time_in_all_three_roles(timed: Judge) -> None:
    result = timed(python(REFERENCE), incumbent=python(REFERENCE))
    for workload in result["workloads"]:
        times = [workload[key]["medianNs"] for key in ("call", "referenceCall", "incumbentCall")]
        assert max(times) < 1.25 * min(times)
