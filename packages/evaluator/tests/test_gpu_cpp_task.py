"""GPU MODE problems in C++ on a GPU: kernels that copy containers there and back, references with and without CUDA."""

from typing import Any

import blended
import pytest
from blended import REFERENCE, TASK, problem
from on_gpu import CONTAINERS, blended_request, containers

from ksearch_referee.driver import judge
from ksearch_referee.examination import examine

pytestmark = pytest.mark.gpu

# The same on the device as ref_kernel, which GPU MODE's problems may do.
ON_HOST = REFERENCE.replace("output_t want = ref_kernel(data)", "output_t want = on_host(data)")
DEVICE_REFERENCE = ON_HOST.replace("static output_t ref_kernel", "static output_t on_host").replace(
    "static void check_implementation",
    CONTAINERS[CONTAINERS.index("__global__") :].replace("custom_kernel", "ref_kernel")
    + "\nstatic void check_implementation",
)

HALF_TASK = TASK.replace("#include <array>", "#include <cuda_fp16.h>\n#include <array>").replace(
    "std::vector<float>, 2", "std::vector<__half>, 2"
)
HALF_INPUTS = REFERENCE.replace("each.push_back(normal(source))", "each.push_back(__float2half(normal(source)))")
HALF_REFERENCE = HALF_INPUTS.replace(
    "factor * data[0][i] + data[1][i]", "factor * __half2float(data[0][i]) + __half2float(data[1][i])"
)
HALF_KERNEL = """#include "task.h"
output_t custom_kernel(input_t data) {
  output_t out;
  for (std::size_t i = 0; i < data[0].size(); ++i)
    out.push_back(factor * __half2float(data[0][i]) + __half2float(data[1][i]));
  return out;
}
"""


def examined(asked: dict[str, Any]) -> tuple[str, list[str]]:
    keys = ("requestId", "problem", "settings", "device")
    found = examine({"schema": "ksearch.examine/1", **{key: asked[key] for key in keys}})
    return found["status"], found["reasons"]


@pytest.mark.parametrize("reference", [REFERENCE, DEVICE_REFERENCE], ids=["on the host", "on the device"])
def test_an_honest_kernel_passes(reference: str) -> None:
    asked = blended_request(containers(CONTAINERS), "benchmark", reference)
    assert examined(asked) == ("admitted", [])
    result = judge(asked)
    assert result["status"] == "passed", result
    assert result["workloads"][1]["call"] is not None
    assert result["workloads"][1]["device"] is None, "the call copies to the device and back itself"
    assert [kernel["name"] for kernel in result["resources"]] == ["blend"]
    assert ("K06" in {guard["id"] for guard in result["guards"]}) == (reference is REFERENCE)


def test_published_figures_are_the_hosts_clock() -> None:
    asked = blended_request(containers(CONTAINERS), "benchmark")
    asked["settings"]["profile"] = "compat"
    asked["settings"]["timing"] |= {"inputs": "same", "flushCache": False, "statistic": "mean"}
    asked["settings"]["correctness"]["checkTimed"] = "none"
    result = judge(asked)
    assert (result["status"], result["timing"]) == ("passed", "claimed"), result


def test_narrow_floats_of_cuda() -> None:
    asked = blended_request(containers(HALF_KERNEL), "test", HALF_REFERENCE, HALF_TASK)
    assert examined(asked) == ("admitted", [])
    assert judge(asked)["status"] == "passed"


@pytest.mark.parametrize(
    ("old", "new", "status", "words"),
    [
        ("factor * x[i]", "x[i]", "incorrect_numerical", "element 0 is"),
        ("y[i] += factor", "((float*)16)[i] += factor", "runtime_error", "illegal"),
        ("cudaMalloc(&device_x, bytes)", "cudaMalloc(&device_x, 1ull << 50)", "runtime_error", "out of memory"),
        ("__global__ void blend", "__global__ void blent", "compile_error", "submission.cu"),
        ("output_t custom_kernel", "static output_t custom_kernel", "compile_error", "no 'custom_kernel' to call"),
        ("return std::move(y);", "y.pop_back(); return std::move(y);", "incorrect_shape", "the shape [32], not [33]"),
    ],
)  # fmt: skip
def test_wrong_kernels_fail(old: str, new: str, status: str, words: str) -> None:
    assert old in CONTAINERS
    result = judge(blended_request(containers(CONTAINERS.replace(old, new))))
    assert result["status"] == status, result
    assert words in result["message"] + result["logs"]["feedback"] + result["logs"]["run"]


def test_a_fault_that_nobody_looks_at_is_seen_all_the_same() -> None:
    """The referee waits for the whole device within the call."""
    fault = "__global__ void fault() { *(int*)8 = 1; }\n\noutput_t custom"
    source = CONTAINERS.replace("output_t custom", fault).replace("  return", "  fault<<<1, 1>>>();\n  return")
    result = judge(blended_request(containers(source)))
    assert result["status"] == "runtime_error", result


def test_a_kernel_for_a_processor_is_sent_there() -> None:
    result = judge(blended_request(blended.submission()))
    assert result["status"] == "infra_error"
    assert "take `cpu`" in result["message"]


def test_a_digest_says_why_there_is_none() -> None:
    asked = blended_request(containers(CONTAINERS), "benchmark")
    asked["settings"]["digest"] = "counters"
    assert "no profile here" in judge(asked)["logs"]["feedback"]


def test_a_reference_that_does_not_build_is_refused_with_the_place() -> None:
    asked = blended_request(containers(CONTAINERS))
    asked["problem"] = problem(DEVICE_REFERENCE.replace("blockDim.x)", "blockDim.q)"))
    status, reasons = examined(asked)
    assert status == "refused"
    assert "reference.cuh:" in reasons[0]
