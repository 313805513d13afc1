"""GPU MODE problems in C++: containers in, containers out, judged by the problem's own check. On the CPU, by g++."""

import os
from typing import Any

import numpy as np
import pytest
from blended import KERNEL, REFERENCE, TASK, problem, request, submission

from ksearch_referee.contract import RequestInvalid, parse_request
from ksearch_referee.driver import judge
from ksearch_referee.examination import examine
from ksearch_referee.memory import read_memory, write_memory

LOOP = "  for (std::size_t i = 0; i < y.size(); ++i) y[i] += factor * x[i];\n"


def returning(body: str) -> dict[str, Any]:
    assert LOOP in KERNEL
    return submission(KERNEL.replace(LOOP, f"  {body}\n"))


def examined(asked: dict[str, Any]) -> tuple[str, str]:
    """Return the status of an examination, and its reasons as one text."""
    made = request(submission(), asked=asked)
    found = examine({key: made[key] for key in ("requestId", "problem", "settings", "device")} | EXAMINE)
    return found["status"], "\n".join(found["reasons"])


EXAMINE = {"schema": "ksearch.examine/1"}


def replaced(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


def test_an_honest_kernel_passes_and_only_benchmarks_are_timed() -> None:
    asked = request(submission(), "benchmark")
    asked["incumbent"] = submission(KERNEL.replace("++i", "i += 1"))
    result = judge(asked)
    assert (result["status"], result["phase"]) == ("passed", "done"), result
    assert [(w["id"], w["call"] is not None) for w in result["workloads"]] == [("t0", False), ("b0", True)]
    assert result["aggregate"]["vsIncumbent"] is not None
    assert result["workloads"][1]["correctness"]["checkedTimed"] >= 6
    assert "GB/s of inputs and outputs" in result["logs"]["feedback"]


def test_parallel_and_isolated_cases() -> None:
    asked = request(submission(), "benchmark")
    asked["settings"] |= {"isolateWorkloads": True, "parallelWorkloads": 2}
    assert judge(asked)["status"] == "passed"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ("y = x;", "incorrect_numerical", "element 0 is"),
        ("y[5] = NAN;", "incorrect_numerical", "data"),
        ("y.pop_back();", "incorrect_shape", "output 'output' has the shape [32], not [33]"),
        ("y = std::vector<float>();", "incorrect_shape", "[0], not [33]"),
        ('throw std::runtime_error("out of ideas");', "runtime_error", "out of ideas"),
        ("throw 1;", "runtime_error", "something that is no std::exception"),
        ("std::exit(3);", "runtime_error", "exited with code 3"),
        ("*(volatile int*)8 = 1;", "runtime_error", "SIGSEGV"),
        ("for (volatile bool on = true; on;) {}", "timeout", "did not answer"),
        ("y.resize(1ull << 40);", "runtime_error", "bad_alloc"),
    ],
)
def test_wrong_results(body: str, status: str, words: str) -> None:
    kernel = returning(body)
    kernel["files"][0]["content"] = "#include <cmath>\n#include <stdexcept>\n" + kernel["files"][0]["content"]
    asked = request(kernel)
    asked["settings"]["limits"]["workloadMs"] = 3_000
    result = judge(asked)
    assert (result["status"], result["phase"]) == (status, "smoke"), result
    if status != "incorrect_numerical" or "NAN" not in body:
        assert words in result["message"]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (KERNEL.replace("factor *", "faktor *"), "submission.cpp:6: error: 'faktor' was not declared"),
        (KERNEL.replace("custom_kernel(input_t data)", "custom_kernel(input_t& data)"), "no 'custom_kernel' to call"),
        (KERNEL.replace("output_t custom", "static output_t custom"), "no 'custom_kernel' to call"),
        ('#include "reference.cuh"\n' + KERNEL, "reference.cuh: No such file"),
        (KERNEL + 'extern "C" bool ksearch_run(void*) { return true; }\n', "multiple definition of `ksearch_run'"),
    ],
    ids=["an error", "another signature", "no linkage", "the reference", "our call"],
)
def test_a_kernel_that_does_not_build(source: str, words: str) -> None:
    result = judge(request(submission(source)))
    assert (result["status"], result["phase"]) == ("compile_error", "build"), result
    assert words in result["message"]
    if "to call" in words:
        assert "output_t custom_kernel(input_t data);" in result["logs"]["feedback"]


@pytest.mark.parametrize(
    "kept",
    ["static output_t kept = y;", "static std::vector<output_t> all; all.push_back(y); output_t& kept = all.front();"],
)
def test_a_kept_result_is_of_no_use(kept: str) -> None:
    result = judge(request(returning(f"{LOOP.strip()} {kept} if (y.size() == kept.size()) y = kept;"), "benchmark"))
    assert result["status"] == "incorrect_numerical"


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"language": "python", "binding": "python"}, "compile_error", "use 'cpp' with 'c++'"),
        ({"binding": "c-abi"}, "compile_error", "use 'cpp' with 'c++'"),
        ({"language": "cuda"}, "infra_error", "judge it on a GPU"),
        ({"entryPoint": "submission.cpp::other"}, "compile_error", "no 'other' to call"),
    ],
)
def test_how_a_kernel_may_begin(fields: dict[str, Any], status: str, words: str) -> None:
    result = judge(request(submission(**fields)))
    assert (result["status"], result["phase"]) == (status, "static")
    assert words in result["message"]


TREE_TASK = """#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <tuple>
#include <vector>
using rows_t = std::vector<std::vector<uint16_t>>;
using points_t = std::vector<std::array<double, 2>>;
using input_t = std::tuple<rows_t, std::pair<int, bool>, std::array<std::array<float, 3>, 2>, points_t>;
using output_t = std::tuple<rows_t, int64_t, std::array<std::vector<double>, 2>>;
constexpr std::array<const char*, 6> ArgumentNames = {"rows", "seed", "mode", "half", "on", "step"};
"""

TREE_REFERENCE = """#include "task.h"
input_t generate_input(long rows, unsigned seed, const std::string& mode, double half, bool on, int8_t step) {
  if (mode != "wide" || half != 0.5 || !on || step != -128) throw std::invalid_argument("mode is " + mode);
  std::mt19937 source(seed);
  input_t data;
  auto& [lists, pair, table, points] = data;
  for (long row = 0; row < rows; ++row) {
    lists.emplace_back();
    for (long i = 0; i <= row; ++i) lists.back().push_back(source() % 60'000);
    points.push_back({source() % 100 * half, 1.0 * row});
  }
  pair = {static_cast<int>(source() % 1'000) - 500, true};
  for (auto& each : table)
    for (auto& value : each) value = source() % 7;
  return data;
}

output_t ref_kernel(const input_t& data) {
  const auto& [lists, pair, table, points] = data;
  output_t out;
  auto& [doubled, sum, columns] = out;
  doubled = lists;
  for (auto& row : doubled)
    for (auto& value : row) value ^= 1;
  sum = pair.second ? pair.first : 0;
  for (const auto& each : table)
    for (float value : each) sum += static_cast<int64_t>(value);
  for (const auto& point : points)
    for (int i : {0, 1}) columns[i].push_back(point[i]);
  return out;
}

bool check_implementation(const output_t& out, const output_t& want) { return out == want; }
"""

TREE_KERNEL = '#include "task.h"\n' + TREE_REFERENCE[
    TREE_REFERENCE.index("output_t ref_kernel") : TREE_REFERENCE.index("bool check")
].replace("ref_kernel(const input_t& data)", "custom_kernel(input_t data)").replace("const auto& [", "auto& [")


def tree_problem(**files: str) -> dict[str, Any]:
    asked = problem(**{"reference": TREE_REFERENCE, "task": TREE_TASK, **files})
    asked["tests"] = []
    asked["benchmarks"] = [{"id": "b0", "args": {"rows": 9, "mode": "wide", "half": 0.5, "on": True, "step": -128}}]
    return asked


@pytest.mark.parametrize(
    ("old", "new", "status", "words"),
    [
        ("", "", "passed", ""),
        ("value ^= 1", "value ^= 3", "incorrect_numerical", "the problem's check refuses it"),
        ("sum = pair.second ? pair.first : 0", "sum = 0", "incorrect_numerical", "the problem's check refuses it"),
        ("  return out;", "  doubled.pop_back();\n  return out;", "runtime_error", "another number of containers"),
        (
            "  return out;",
            "  doubled[3].pop_back();\n  return out;",
            "incorrect_shape",
            "'output[0][3]' has the shape [3]",
        ),
    ],
)
def test_trees_of_containers_and_numbers_survive_the_way(old: str, new: str, status: str, words: str) -> None:
    result = judge(request(submission(replaced(TREE_KERNEL, old, new)), asked=tree_problem()))
    assert result["status"] == status, result
    assert words in result.get("message", "")


def test_an_examination_admits_them() -> None:
    assert examined(problem()) == ("admitted", "")
    assert examined(tree_problem()) == ("admitted", "")


OWN_TYPE = "output_t = struct Own : std::vector<float> { using std::vector<float>::vector; };"


@pytest.mark.parametrize(
    ("reference", "task", "words"),
    [
        (REFERENCE.replace("normal(source)", "norml(source)"), TASK, "reference.cuh:8: error: 'norml' was"),
        (REFERENCE, TASK.replace("factor = 3", "factor 3"), "task.h:9: error: "),
        (REFERENCE, TASK.replace("std::vector<float>, 2", "std::vector<bool>, 2"), "std::vector<bool> packs"),
        (REFERENCE, TASK.replace("output_t = std::vector<float>;", OWN_TYPE), "have to be made up of"),
        (REFERENCE, TASK.replace('{"size", "seed"}', '{"size"}').replace("2> Arg", "1> Arg"), "name every argument"),
        (REFERENCE, TASK[: TASK.index("constexpr std::array")] + "const float factor = 3;\n", "name every argument"),
        (REFERENCE.replace("(TestReporter& reporter, ", "("), TASK, "reporter"),
        (REFERENCE.replace("(TestReporter&", "(int, TestReporter&"), TASK, "check_implementation has to take"),
        ("#include <nowhere.h>\n" + REFERENCE, TASK, "nowhere.h: No such file"),
        ("#include <cuda_fp16.h>\n" + REFERENCE, TASK, "the problem's code is CUDA's"),
    ],
    ids=["reference", "task", "bool", "text", "names", "no names", "reporter", "check", "header", "cuda"],
)  # fmt: skip
def test_a_problem_that_does_not_build_is_refused_with_the_place(reference: str, task: str, words: str) -> None:
    status, reasons = examined(problem(reference, task))
    assert status == "refused"
    assert words in reasons


def test_a_problem_that_does_not_build_is_not_the_kernels_fault() -> None:
    result = judge(request(submission(), asked=problem(REFERENCE.replace("normal(source)", "norml(source)"))))
    assert result["status"] == "infra_error"
    assert "the problem's reference failed: reference.cuh:8: error" in result["message"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({}, "case t0: the reference raised RuntimeError: the case has no 'size'"),
        ({"size": 3, "width": 1}, "the case has 'width', which ArgumentNames in task.h does not list"),
        ({"size": "wide"}, "'size' is 'wide', which its type in generate_input cannot hold"),
        ({"size": 1 << 40}, "'size' is '1099511627776', which its type in generate_input cannot hold"),
        ({"size": 0.5}, "'size' is '0.5', which"),
    ],
)
def test_a_case_that_does_not_fit_the_generator(args: dict[str, Any], words: str) -> None:
    asked = problem()
    asked["tests"], asked["benchmarks"] = [{"id": "t0", "args": args}], [{"id": "b0", "args": args}]
    status, reasons = examined(asked)
    assert (status, words in reasons) == ("refused", True), reasons


# A problem with many faults, of which its case names one.
FAULTY = """#include "task.h"
static std::string fault;

static input_t generate_input(int seed, bool yes, unsigned size, std::string named) {
  fault = named;
  std::mt19937 source(fault == "no seed" ? 1 : seed);
  input_t data;
  for (auto& each : data)
    for (unsigned i = 0; i < size + (fault == "sizes" ? seed % 7 : 0); ++i) each.push_back(source() % 100);
  return data;
}

static output_t ref_kernel(input_t data) {
  if (fault == "throws") throw 1;
  if (fault == "ends") std::exit(5);
  return {data[0][0] + data[1][0], data[0][1]};
}

static void check_implementation(TestReporter& reporter, input_t data, output_t out) {
  if (fault == "silent") return;
  if (fault == "takes all" || reporter.check_equal("sum", out[0], ref_kernel(data)[0])) reporter.pass();
  if (fault == "twice") reporter.pass();
}
"""


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"fault": "no seed"}, "its inputs do not follow the seed"),
        ({"fault": "sizes"}, "sizes have to follow from the case alone"),
        ({"fault": "silent"}, "neither passed nor failed the output"),
        ({"fault": "twice"}, "decided twice"),
        ({"fault": "takes all"}, "X21: 'zeros'"),
        ({"fault": "throws"}, "no std::exception"),
        ({"fault": "ends"}, "exited with code 5"),
        ({"fault": "none", "yes": 2}, "'yes' is '2', which"),
        ({"fault": "none", "size": -1}, "'size' is '-1', which"),
    ],
)
def test_a_problem_that_cannot_be_judged_by(args: dict[str, Any], words: str) -> None:
    names = TASK.replace('2> ArgumentNames = {"size", "seed"}', '4> ArgumentNames = {"seed", "yes", "size", "fault"}')
    asked = problem(FAULTY, names)
    asked["tests"], asked["benchmarks"] = [], [{"id": "b0", "args": {"size": 9, "yes": True} | args}]
    status, reasons = examined(asked)
    assert (status, words in reasons) == ("refused", True), reasons


def test_more_containers_than_can_be_told_of() -> None:
    task = TASK.replace("std::array<std::vector<float>, 2>", "std::vector<std::vector<float>>")
    asked = problem(REFERENCE.replace("input_t data;", "input_t data(1'025);"), task)
    assert "more than 1024 tensors" in examined(asked)[1]


OLDER = """
#include "task.h"
static input_t generate_input() {
  input_t data;
  for (auto& each : data)
    for (int i = 0; i < 40; ++i) each.push_back(rand() % 1000 / 8.0f);
  return data;
}
static output_t ref_kernel(input_t data) { return {data[0][0] + data[1][0], data[0][1]}; }
"""


@pytest.mark.parametrize(
    "check",
    [
        "bool check_implementation(output_t out, output_t ref, float eps = 1e-5) { return out[0] == ref[0]; }",
        "void check_implementation(TestReporter& r, output_t out, output_t ref, float eps = 1e-5) {"
        " if (r.check_equal(\"value\", out[0], ref[0])) r.pass(); }",
    ],
)  # fmt: skip
def test_older_ways_of_a_problem(check: str) -> None:
    """Before ArgumentNames, with std::rand, and a check that gets the reference's output."""
    task = TASK[: TASK.index("constexpr std::array")] + "constexpr float factor = 3;\n"
    asked = problem(OLDER + check, task)
    asked["tests"], asked["benchmarks"] = [], [{"id": "b0", "args": {}}]
    assert examined(asked) == ("admitted", "")
    for sign, status in (("+", "passed"), ("-", "incorrect_numerical")):
        body = f"{{ return {{d[0][0] {sign} d[1][0], d[0][1]}}; }}"
        kernel = submission(f'#include "task.h"\noutput_t custom_kernel(input_t d) {body}\n')
        assert judge(request(kernel, asked=asked))["status"] == status


REPORTER = """#pragma once
#include <sstream>
struct Reporter {
  bool good = false;
  void pass() { good = true; }
  std::ostream& fail() { return std::cerr; }
  template <class T> bool check_equal(const char*, const T& a, const T& b) { return a == b; }
  bool has_passed() const { return good; }
  std::string message() const { return "in the problem's own words"; }
};
class TestReporter : public Reporter {};
"""


def test_a_problems_own_utils_take_the_place_of_ours() -> None:
    asked = problem(utils=REPORTER)
    asked["files"][-1]["content"] = "#include <iostream>\n" + REPORTER
    assert judge(request(submission(), asked=asked))["status"] == "passed"
    assert judge(request(returning("y = x;"), asked=asked))["message"].endswith("in the problem's own words")


def test_a_kernel_may_include_the_problems_other_headers() -> None:
    asked = problem(more="constexpr float third = 3.0f;\n")
    source = '#include "more.h"\n' + KERNEL.replace("factor", "third")
    assert judge(request(submission(source), asked=asked))["status"] == "passed"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"reference.cuh": None}, "there is no file reference.py, nor reference.cuh"),
        ({"reference.py": ""}, "there is both a reference.py and a reference.cuh"),
        ({"task.h": None}, "there is no task.h with 'input_t'"),
        ({"task.h": "using input_t = float;"}, "there is no task.h with 'output_t'"),
        ({"eval.cu": ""}, "'eval.cu' would be compiled by itself"),
        ({"reference.cuh": "int generate_input();"}, "reference.cuh has no top-level 'ref_kernel'"),
    ],
)
def test_what_the_contract_refuses(changed: dict[str, str | None], words: str) -> None:
    asked = request(submission())
    contents = {file["path"]: file["content"] for file in asked["problem"]["files"]} | changed
    files = [{"path": path, "content": content} for path, content in contents.items() if content is not None]
    asked["problem"]["files"] = files
    with pytest.raises(RequestInvalid, match=words):
        parse_request(asked)


def test_memory_is_written_where_it_may_be_and_nowhere_else() -> None:
    here = np.zeros(8, dtype=np.uint8)
    write_memory(os.getpid(), here.ctypes.data, np.arange(8, dtype=np.uint8))
    assert read_memory(os.getpid(), here.ctypes.data, 8).tolist() == list(range(8))
    with pytest.raises(OSError, match="Bad address"):
        write_memory(os.getpid(), 8, here)
