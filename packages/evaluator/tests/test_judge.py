"""Honest kernels: right ones pass with plausible figures, wrong ones fail with words that help."""

from typing import Any

import pytest
from affine import CPP, PYTHON, cpp, python, request

from ksearch_referee.driver import judge


@pytest.mark.parametrize("kernel", [cpp(), python()], ids=["cpp", "python"])
def test_a_correct_kernel_passes_a_benchmark(kernel: dict[str, Any]) -> None:
    asked = request(kernel, "benchmark")
    result = judge(asked)  # judge() itself checks the result against the contract's schema
    assert (result["status"], result["phase"]) == ("passed", "done"), result
    assert [w["status"] for w in result["workloads"]] == ["passed", "passed"]
    for workload in result["workloads"]:
        assert workload["correctness"]["trials"] >= asked["settings"]["correctness"]["trials"]
        assert workload["correctness"]["checkedTimed"] >= 6
        assert workload["call"]["n"] == workload["referenceCall"]["n"] == 6
        assert workload["call"]["minNs"] <= workload["call"]["medianNs"] <= 1e9
        assert workload["incumbentCall"] is None
    score = result["score"]
    assert score["low"] <= score["value"] <= score["high"]
    assert result["aggregate"]["vsIncumbent"] is None
    assert result["env"]["gpu"] is None
    assert "GB/s" in result["logs"]["feedback"]


def test_without_timing_there_is_no_score() -> None:
    result = judge(request(cpp()))
    assert result["status"] == "passed"
    assert result["score"] is result["aggregate"] is None


def test_the_incumbent_is_timed_on_the_same_calls() -> None:
    asked = request(cpp(), "benchmark")
    asked["incumbent"] = cpp()
    result = judge(asked)
    versus = result["aggregate"]["vsIncumbent"]
    assert versus["low"] <= versus["value"] <= versus["high"]
    assert [w["incumbentCall"]["n"] for w in result["workloads"]] == [6, 6]


def test_an_incumbent_that_fails_does_not_fail_the_candidate() -> None:
    asked = request(cpp(), "benchmark", (2,))
    asked["incumbent"] = python("def affine(x, scale):\n    raise ValueError('old')\n")
    result = judge(asked)
    assert result["status"] == "passed"
    assert "K02" in [g["id"] for g in result["guards"] if g["level"] == "warn"]
    assert result["aggregate"]["vsIncumbent"] is None


@pytest.mark.timed
@pytest.mark.parametrize(
    "source",
    [
        """#include <cstdint>
extern "C" void affine(const float* x, float scale, float* y, int64_t n) {
  #pragma omp parallel for num_threads(2)
  for (int64_t i = 0; i < n * 64; ++i) y[i] = x[i] * scale + 1.0f;
}
""",
        """#include <cstdint>
#include <thread>
extern "C" void affine(const float* x, float scale, float* y, int64_t n) {
  auto part = [=](int64_t from, int64_t to) { for (int64_t i = from; i < to; ++i) y[i] = x[i] * scale + 1.0f; };
  std::thread other(part, 0, n * 32);
  part(n * 32, n * 64);
  other.join();
}
""",
    ],
    ids=["OpenMP", "std::thread"],
)
def test_threads_are_allowed(source: str) -> None:
    assert judge(request(cpp(source), "benchmark", (200,)))["status"] == "passed"


def test_destination_passing_python() -> None:
    kernel = python("def affine(x, scale, y):\n    y[:] = x * scale + 1\n")
    kernel["destinationPassing"] = True
    assert judge(request(kernel))["status"] == "passed"


def test_a_dict_by_output_name() -> None:
    assert judge(request(python(PYTHON.replace("return ", "return {'y': ") + "}")))["status"] == "passed"


def test_wrong_numbers_are_shown() -> None:
    result = judge(request(cpp(CPP.replace("+ 1.0f", "+ (i == 70 ? 9.0f : 1.0f)"))))
    assert (result["status"], result["phase"]) == ("incorrect_numerical", "smoke")
    smallest = next(w for w in result["workloads"] if w["id"] == "n2")
    bad = smallest["correctness"]["bad"]
    assert [(b["output"], b["index"]) for b in bad] == [("y", [1, 6])]
    assert abs(bad[0]["got"] - bad[0]["want"] - 8) < 1e-4
    assert "y[1, 6]: got" in result["logs"]["feedback"]


def test_workloads_that_pass_are_told_beside_those_that_fail() -> None:
    result = judge(request(cpp(CPP.replace("+ 1.0f", "+ (n == 8 ? 2.0f : 1.0f)")), sizes=(8, 4, 2)))
    assert (result["status"], result["phase"]) == ("incorrect_numerical", "correctness")
    assert [w["status"] for w in result["workloads"]] == ["incorrect_numerical", "passed", "passed"]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ("x[:1] * scale", "incorrect_shape", "shape [1, 64], not [2, 64]"),
        ("(x * scale + 1).astype('float64')", "incorrect_dtype", "float64, not float32"),
        ("(x * scale + 1).astype('>f4')", "incorrect_dtype", ">f4, not float32"),
        ("[1.0, 2.0]", "runtime_error", "2 values for the outputs"),
        ("{'z': x}", "runtime_error", "keys ['z']"),
        ("1.0", "runtime_error", "is a float, not a numpy.ndarray"),
        ("x.nope", "runtime_error", "AttributeError"),
    ],
)
def test_a_wrong_result(body: str, status: str, words: str) -> None:
    result = judge(request(python(f"def affine(x, scale):\n    return {body}\n")))
    assert (result["status"], result["phase"]) == (status, "smoke")
    assert words in result["message"]


def test_a_compile_error_names_its_line() -> None:
    result = judge(request(cpp(CPP.replace("y[i] = x[i]", "y[i] = undefined_name + x[i]"))))
    assert (result["status"], result["phase"]) == ("compile_error", "build")
    assert "kernel.cpp:3: error: 'undefined_name' was not declared" in result["logs"]["feedback"]
    assert ">    3 |   for (int64_t i" in result["logs"]["feedback"]


def test_a_syntax_error_names_its_line() -> None:
    result = judge(request(python("def affine(x, scale):\n    return x *\n")))
    assert (result["status"], result["phase"]) == ("compile_error", "static")
    assert "kernel.py:2: error" in result["message"]


def test_a_symbol_without_c_linkage_gets_the_prototype() -> None:
    result = judge(request(cpp(CPP.replace('extern "C" ', ""))))
    assert (result["status"], result["phase"]) == ("compile_error", "build")
    prototype = 'extern "C" void affine(const float* x, float scale, float* y, int64_t n);'
    assert prototype in result["logs"]["feedback"]


def test_a_symbol_that_is_not_there() -> None:
    for kernel in (cpp(symbol="other"), python("x = 1\n"), cpp("int unrelated;\n")):
        result = judge(request(kernel))
        assert (result["status"], result["phase"]) == ("compile_error", "static")


def test_an_import_that_fails_is_a_compile_error() -> None:
    result = judge(request(python("import nothing_of_that_name\n" + PYTHON)))
    assert (result["status"], result["phase"]) == ("compile_error", "build")
    assert "nothing_of_that_name" in result["message"]


@pytest.mark.parametrize(
    ("line", "dialect"),
    [("import tilelang.language as T", "TileLang"), ("from cutlass import cute", "CuTe (the CUTLASS DSL)")],
)
def test_kernels_in_languages_of_others_are_refused_by_name(line: str, dialect: str) -> None:
    result = judge(request(python(f"{line}\n{PYTHON}")))
    assert (result["status"], result["phase"]) == ("compile_error", "static")
    assert f"kernel.py:1: the kernel is in {dialect}: this referee judges no kernels in it" in result["message"]


def test_a_reference_that_fails_is_not_the_kernels_fault() -> None:
    asked = request(cpp())
    asked["problem"]["definition"]["reference"] = "def run(x, scale):\n    raise ValueError('broken')\n"
    result = judge(asked)
    assert result["status"] == "infra_error"
    assert "broken" in result["message"]


def test_a_reference_that_needs_torch_says_so() -> None:
    asked = request(cpp())
    asked["problem"]["definition"]["reference"] = "import torch\ndef run(x, scale):\n    return x\n"
    result = judge(asked)
    if result["env"]["torch"] is None:
        assert result["status"] == "infra_error"
        assert "needs torch" in result["message"]


def test_a_gpu_is_not_here() -> None:
    asked = request(python())
    asked["device"] = "H100"
    result = judge(asked)
    assert result["status"] == "infra_error"
    assert "this host has no H100" in result["message"]


def test_nonfinite_values_must_be_matched() -> None:
    asked = request(python("import numpy as np\ndef affine(x, scale):\n    return np.full_like(x, VALUE)\n"))
    reference = "import numpy as np\ndef run(x, scale):\n    return np.full_like(x, -np.inf)\n"
    asked["problem"]["definition"]["reference"] = reference
    source = asked["kernel"]["files"][0]["content"]
    for value, status in (("-np.inf", "passed"), ("np.inf", "incorrect_numerical"), ("0.0", "incorrect_numerical")):
        asked["kernel"]["files"][0]["content"] = source.replace("VALUE", value)
        result = judge(asked)
        assert result["status"] == status
    assert result["workloads"][1]["correctness"]["bad"][0]["want"] == "-inf"
