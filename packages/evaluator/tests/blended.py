"""Requests for tests of GPU MODE problems in C++: out = a·x + y of two vectors, with `a` in the task's header."""

import copy
from typing import Any

import masked

TASK = """#pragma once
#include <array>
#include <vector>

using input_t = std::array<std::vector<float>, 2>;
using output_t = std::vector<float>;

constexpr std::array<const char*, 2> ArgumentNames = {"size", "seed"};
constexpr float factor = 3.0f;
"""

REFERENCE = """#include "task.h"

static input_t generate_input(int size, int seed) {
  std::mt19937 source(seed);
  std::normal_distribution<float> normal;
  input_t data;
  for (auto& each : data)
    for (int i = 0; i < size; ++i) each.push_back(normal(source));
  return data;
}

static output_t ref_kernel(input_t data) {
  output_t out(data[0].size());
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = factor * data[0][i] + data[1][i];
  return out;
}

static void check_implementation(TestReporter& reporter, input_t data, output_t out, float tolerance = 1e-5f) {
  output_t want = ref_kernel(data);
  if (!reporter.check_equal("size", out.size(), want.size())) return;
  for (std::size_t i = 0; i < want.size(); ++i)
    if (std::fabs(out[i] - want[i]) > tolerance * (1 + std::fabs(want[i]))) {
      reporter.fail() << "element " << i << " is " << out[i] << ", not " << want[i];
      return;
    }
  reporter.pass();
}
"""

KERNEL = """#include "task.h"
#include "utils.h"

output_t custom_kernel(input_t data) {
  auto& [x, y] = data;
  for (std::size_t i = 0; i < y.size(); ++i) y[i] += factor * x[i];
  return std::move(y);
}
"""


def problem(reference: str = REFERENCE, task: str = TASK, **files: str) -> dict[str, Any]:
    """Return the problem; `files` are more headers, by name."""
    contents = {"task.h": task, "reference.cuh": reference, **{f"{name}.h": text for name, text in files.items()}}
    return {
        **masked.problem(),
        "name": "blended",
        "files": [{"path": path, "content": content} for path, content in contents.items()],
        "tests": [{"id": "t0", "args": {"size": 33}}],
        "benchmarks": [{"id": "b0", "args": {"size": 20_000}}],
    }


def submission(source: str = KERNEL, language: str = "cpp", **fields: Any) -> dict[str, Any]:
    """Return a kernel of one file."""
    file = f"submission.{'cu' if language == 'cuda' else 'cpp'}"
    return {
        "definition": "blended",
        "language": language,
        "entryPoint": f"{file}::custom_kernel",
        "binding": "c++",
        "destinationPassing": False,
        "targetHardware": ["cpu"],
        "dependencies": [],
        "files": [{"path": file, "content": source}],
        **fields,
    }


def request(kernel: dict[str, Any], mode: str = "test", asked: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a request, free to be changed."""
    return copy.deepcopy({**masked.request(kernel, mode, problem() if asked is None else asked)})
