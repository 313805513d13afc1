import type { GpuModeProblem, KernelBenchProblem } from "../src/index.ts";

/** y = x · factor in GPU MODE's format, with a test and two timed cases. */
export const sampleGpuMode = (): GpuModeProblem => ({
  format: "gpumode",
  name: "scale",
  description: "Every element times the factor of the case.",
  files: [
    { path: "task.py", content: "from typing import TypedDict\n\nclass Case(TypedDict):\n    size: int\n" },
    { path: "utils.py", content: "def close(got, want):\n    return bool((got - want).abs().max() < 2e-2)\n" },
    {
      path: "reference.py",
      content:
        "import torch\nfrom utils import close\n\ndef generate_input(size, masked, factor, seed):\n    return torch.rand(size), factor\n\ndef ref_kernel(data):\n    return data[0] * data[1]\n\ndef check_implementation(data, output):\n    return close(output, ref_kernel(data))\n",
    },
    { path: "eval.py", content: "SECRET_OF_THE_RUNNER = 1\n" },
  ],
  tests: [{ id: "small", args: { size: 32, masked: true, factor: 3 } }],
  benchmarks: [
    { id: "one", args: { size: 1_024, masked: false, factor: 3 } },
    { id: "two", args: { size: 65_536, masked: true, factor: 3 } },
  ],
  rankingBy: "geom",
  madeFor: "cpu",
});

/** y = x · factor in GPU MODE's format, in C++. */
export const sampleCppTask = (): GpuModeProblem => ({
  ...sampleGpuMode(),
  files: [
    {
      path: "task.h",
      content:
        '#include <array>\n#include <vector>\nusing input_t = std::vector<float>;\nusing output_t = input_t;\nconstexpr std::array<const char*, 4> ArgumentNames = {"size", "masked", "factor", "seed"};\n',
    },
    {
      path: "reference.cuh",
      content:
        "static input_t generate_input(int size, bool masked, int factor, int seed) {\n  return input_t(size, seed);\n}\nstatic output_t ref_kernel(input_t data) {\n  return data;\n}\nstatic void check_implementation(TestReporter& reporter, input_t data, output_t out) {\n  reporter.pass();\n}\n",
    },
  ],
});

/** x · weight as a KernelBench module. */
export const sampleKernelBench = (): KernelBenchProblem => ({
  format: "kernelbench",
  name: "kernelbench_l1_p3",
  level: 1,
  problemId: 3,
  title: "Scale_by_a_weight_",
  source:
    "import torch\nimport torch.nn as nn\n\nclass Model(nn.Module):\n    def __init__(self, width):\n        super().__init__()\n        self.weight = nn.Parameter(torch.rand(width))\n\n    def forward(self, x):\n        return x * self.weight\n\ndef get_inputs():\n    return [torch.rand(8, 64)]\n\ndef get_init_inputs():\n    return [64]\n",
  precision: "fp32",
  madeFor: "cpu",
});
