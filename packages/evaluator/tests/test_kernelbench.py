"""KernelBench's format: what honest and hostile kernels get. Its problems need torch."""

import re
from typing import Any

import pytest
from affine import SETTINGS
from affine import cpp as affine_cpp
from affine import request as affine_request
from layers import KERNEL, PROBLEM, model_new, problem, request

from ksearch_referee.contract import RequestInvalid
from ksearch_referee.driver import judge
from ksearch_referee.environment import package_version
from ksearch_referee.examination import examine

needs_torch = pytest.mark.skipif(package_version("torch") is None, reason="no torch here (scripts/torch.sh)")

RETURN = "return self.norm(torch.clamp(self.linear(x), min=-0.5)) * self.scale * keep[:, None]"


def kernel(replaced: str = "", by: str = "") -> dict[str, Any]:
    assert replaced in KERNEL
    return model_new(KERNEL.replace(replaced, by))


def of(result: dict[str, Any], level: str) -> list[str]:
    return [guard["id"] for guard in result["guards"] if guard["level"] == level]


@needs_torch
def test_an_honest_kernel_passes() -> None:
    result = judge(request(kernel(), "benchmark"))
    assert (result["status"], result["phase"]) == ("passed", "done"), result
    assert [(w["id"], w["axes"], w["status"]) for w in result["workloads"]] == [("kernelbench_l2_p900", {}, "passed")]
    assert result["score"]["value"] > 0
    assert "K05" not in of(result, "info"), "the same constructor under the same seed"


@needs_torch
def test_integers_and_the_precision_of_everything_else() -> None:
    checks = """assert x.dtype == self.scale.dtype == self.linear.weight.dtype == torch.bfloat16
        assert keep.dtype == torch.int64 and self.norm.num_batches_tracked.dtype == torch.int64
        assert not torch.is_grad_enabled() and self.training
        """
    asked = request(kernel(RETURN, checks + RETURN), asked=problem(precision="bf16"))
    assert judge(asked)["status"] == "passed"


@needs_torch
@pytest.mark.parametrize(
    ("replaced", "by", "status", "said"),
    [
        ("self.linear =", "torch.manual_seed(1); self.linear =", "passed", "made other values: .*linear.weight"),
        ("self.linear", "self.fc", "passed", "no weight of that name and shape.*: linear.weight, linear.bias$"),
        ("self.linear =", "torch.manual_seed(1); self.fc =", "incorrect_numerical", ""),
    ],
    ids=["reseeds", "renames", "both"],
)
def test_weights_match_by_seed_then_by_name(replaced: str, by: str, status: str, said: str) -> None:
    source = KERNEL.replace(replaced, by)
    result = judge(request(model_new(source.replace("self.linear(x)", "self.fc(x)") if "self.fc" in by else source)))
    assert result["status"] == status, result
    evidence = [guard["evidence"] for guard in result["guards"] if guard["id"] == "K05"]
    assert len(evidence) == 1
    assert re.search(said, evidence[0])


@needs_torch
@pytest.mark.parametrize(
    ("body", "status", "guard"),
    [
        ("return x.view(-1)[: 96 * 24].view(96, 24)", "rejected", "X10"),
        ("return x.new_zeros(1, 1).expand(96, 24)", "rejected", "X20"),
        ("import sys; sys.exit(0)", "runtime_error", ""),
        ("self.__dict__.setdefault('kept', " + RETURN[7:] + "); return self.kept.clone()", "incorrect_numerical", ""),
        ("import reference; return reference.Model(32, 24)(x, keep)", "runtime_error", ""),
    ],
)
def test_what_fails(body: str, status: str, guard: str) -> None:
    result = judge(request(kernel(RETURN, body)))
    assert result["status"] == status, result["message"]
    assert of(result, "reject") == ([guard] if guard else [])


@needs_torch
@pytest.mark.parametrize(
    ("replaced", "by", "words"),
    [
        ("(nn.Module)", "", "is no torch.nn.Module|has no attribute|object"),
        ("def __init__(self, width, out)", "def __init__(self)", "takes 1 positional argument"),
        ("import torch\n", "import torch\nimport sys\nsys.exit(0)\n", "SystemExit"),
    ],
)
def test_a_kernel_that_cannot_be_constructed(replaced: str, by: str, words: str) -> None:
    result = judge(request(kernel(replaced, by)))
    assert (result["status"], result["phase"]) == ("compile_error", "build")
    assert re.search(words, result["message"]), result["message"]


@needs_torch
def test_what_a_kernel_does_to_names_of_the_problem_does_not_matter() -> None:
    """X13, X14: upstream runs both in one namespace."""
    rebinding = "\nbatch = 1\ndef get_inputs():\n    return [torch.zeros(1, 32), torch.zeros(1)]\ntorch.clamp = None\n"
    honest = KERNEL.replace("torch.clamp(self.linear(x), min=-0.5)", "self.linear(x).clamp(min=-0.5)")
    assert judge(request(model_new(honest + rebinding)))["status"] == "passed"


TWO = """
import torch

class Model(torch.nn.Module):
    def forward(self, x, sizes):
        return [x.transpose(0, 1) * sizes["by"], x.sum()]

def get_inputs():
    return [torch.rand(5, 7).T, {"by": 3}]

def get_init_inputs():
    return []
"""


@needs_torch
def test_several_outputs_a_plain_input_and_no_weights() -> None:
    source = """
import torch
class ModelNew(torch.nn.Module):
    def forward(self, x, sizes):
        assert x.shape == (7, 5) and x.stride() == (1, 7)
        return x.T * sizes["by"], x.sum()
"""
    asked = problem(TWO)
    assert judge(request(model_new(source), asked=asked))["status"] == "passed"
    assert (
        judge(request(model_new(source.replace("x.sum()", "x.mean()")), asked=asked))["status"] == "incorrect_numerical"
    )


RELU = """
import torch
class Model(torch.nn.Module):
    def forward(self, x):
        return torch.relu(x)
def get_inputs():
    return [torch.randn(1000)]
def get_init_inputs():
    return []
"""


@needs_torch
def test_native_code_and_isolation() -> None:
    python = """
import ctypes, os
import torch
lib = ctypes.CDLL(os.path.join(os.path.dirname(__file__), "kernel.so"))
class ModelNew(torch.nn.Module):
    def forward(self, x):
        y = torch.empty_like(x)
        lib.relu(ctypes.c_void_p(x.data_ptr()), ctypes.c_void_p(y.data_ptr()), ctypes.c_int64(x.numel()))
        return y
"""
    cpp = """#include <cstdint>
extern "C" void relu(const float* x, float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] > 0 ? x[i] : 0;
}
"""
    files = [{"path": "model_new.py", "content": python}, {"path": "kernel.cpp", "content": cpp}]
    asked = request(model_new(language="cpp", files=files), "benchmark", problem(RELU))
    asked["settings"]["isolateWorkloads"] = True
    assert judge(asked)["status"] == "passed"


def test_a_missing_class_is_found_before_anything_runs() -> None:
    result = judge(request(kernel("ModelNew", "Other")))
    assert (result["status"], result["phase"]) == ("compile_error", "static")
    assert "class ModelNew(torch.nn.Module):" in result["logs"]["feedback"]


@pytest.mark.skipif(package_version("torch") is not None, reason="torch is here")
def test_without_torch_the_mend_is_named() -> None:
    result = judge(request(kernel()))
    assert result["status"] == "infra_error"
    assert "scripts/torch.sh" in result["message"]
    assert "Traceback" not in result["logs"]["feedback"]


def test_a_torch_that_is_too_old_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def old(_name: str) -> str:
        return "2.7.1+cpu"

    monkeypatch.setattr("ksearch_referee.environment.package_version", old)
    result = judge(request(kernel()))
    assert result["status"] == "infra_error"
    assert "a newer torch than the 2.7.1+cpu" in result["message"]


def examined(source: str, level: int = 2) -> dict[str, Any]:
    """Examine by KernelBench's own rules: without a bound on the rms error, zeros may pass."""
    correctness = {**SETTINGS["correctness"], "rmsRel": None}
    return examine(
        {
            "schema": "ksearch.examine/1",
            "requestId": "test",
            "problem": problem(source, level=level),
            "settings": {**SETTINGS, "correctness": correctness},
            "device": "cpu",
        }
    )


@needs_torch
def test_an_honest_problem_is_admitted() -> None:
    examination = examined(PROBLEM)
    assert (examination["status"], examination["reasons"]) == ("admitted", [])


@needs_torch
@pytest.mark.parametrize(
    ("replaced", "by", "words"),
    [
        ("* keep[:, None]", "* 1e-5", "X21: 'zeros' everywhere passes on every workload"),
        ("torch.clamp(self.linear(x), min=-0.5)", "nn.functional.dropout(self.linear(x), 0.5)", "another answer"),
        ("return [torch.rand", "torch.manual_seed(42)\n    return [torch.rand", "do not follow the seed"),
        ("def get_inputs():\n", "def get_inputs():\n    import transformers\n", "needs the module 'transformers'"),
        ("return [32, 24]", "return [33, 24]", "in forward: return self.norm"),
        ("return [torch.rand(96, 32) - 0.5, torch.randint(0, 2, (96,))]", "return 5", "returned a int, not the list"),
        (
            "import torch\n",
            "import torch\nmodel_name = 'facebook/opt-1.3b'\n"
            "raise OSError(\"We couldn't connect to 'https://huggingface.co' to load the files\")\n",
            "pretrained weights 'facebook/opt-1.3b'",
        ),
    ],
)
def test_a_problem_that_cannot_be_judged_is_refused(replaced: str, by: str, words: str) -> None:
    assert replaced in PROBLEM
    examination = examined(PROBLEM.replace(replaced, by, 1), level=4)
    assert examination["status"] == "refused", examination
    assert any(re.search(words, reason) for reason in examination["reasons"]), examination["reasons"]


@needs_torch
def test_the_model_by_torchs_compiler_is_timed_beside_the_reference() -> None:
    asked = examination_of(RELU)
    asked["settings"]["limits"] |= {"buildMs": 120_000, "totalMs": 240_000, "memoryMb": 16_384}
    found = examine({**asked, "baseline": "torch_compile"})
    assert (found["status"], found["reasons"]) == ("admitted", [])
    (workload,) = found["workloads"]
    assert workload["referenceNs"] > 0
    assert workload["baselineNs"] > 0


@needs_torch
def test_a_model_that_does_not_compile_in_time_is_told() -> None:
    asked = examination_of(PROBLEM)
    asked["settings"]["limits"]["buildMs"] = 1
    found = examine({**asked, "baseline": "torch_compile"})
    assert found["status"] == "infra_error"
    assert "torch.compile of the reference fails here" in found["reasons"][0]


def examination_of(source: str) -> dict[str, Any]:
    asked = {**request(kernel(), asked=problem(source)), "schema": "ksearch.examine/1"}
    del asked["kernel"], asked["incumbent"]
    return asked


def test_only_a_module_has_a_compiled_baseline() -> None:
    asked = {**affine_request(affine_cpp()), "schema": "ksearch.examine/1", "baseline": "torch_compile"}
    del asked["kernel"], asked["incumbent"]
    with pytest.raises(RequestInvalid, match="belongs to problems of KernelBench"):
        examine(asked)
