import type { Language } from "../kernel.ts";
import type { Problem } from "../problem.ts";
import { cPrototype, type Definition, type FlashInferProblem, type TensorSpec } from "../problems/flashinfer.ts";
import { entryFile, entrySymbol } from "../replies/code.ts";
import type { RunOptions } from "../search/options.ts";

/** A prompt in two parts: what stays the same over a run comes first, so that providers' prefix caches pay. */
export type Prompt = { system: string; user: string };

const tensorLine = (name: string, spec: TensorSpec): string =>
  `- ${name}: ${spec.shape === null ? "scalar" : `[${spec.shape.join(", ")}]`} ${spec.dtype}${spec.description ? `  (${spec.description})` : ""}`;

/** The whole specification of a problem as a model reads it: maths, shapes, the sizes that are timed, the tolerance. */
export function problemText(problem: Problem, options: RunOptions): string {
  switch (problem.format) {
    case "flashinfer":
      return definitionText(problem, options);
    case "gpumode":
      return [
        `# Problem: ${problem.name}`,
        problem.description,
        ...problem.files.map(({ path, content }) => `## ${path}\n\`\`\`python\n${content.trim()}\n\`\`\``),
      ].join("\n\n");
    case "kernelbench":
      return `# Problem: ${problem.name} (${problem.title})\n\n\`\`\`python\n${problem.source.trim()}\n\`\`\``;
  }
}

function definitionText({ definition, workloads }: FlashInferProblem, options: RunOptions): string {
  const axes = Object.entries(definition.axes).map(
    ([name, axis]) =>
      `- ${name}: ${axis.type === "const" ? `always ${axis.value}` : "varies"}${axis.description ? `  (${axis.description})` : ""}`,
  );
  const { rtol, atol, bound, matchedRatio, rmsRel } = options.evaluation.correctness;
  const allowed = bound === "max" ? `max(${atol}, ${rtol}·|expected|)` : `${atol} + ${rtol}·|expected|`;
  return [
    `# Problem: ${definition.name} (${definition.op_type})`,
    definition.description ?? "",
    section("Axes", axes),
    section(
      "Inputs, in calling order",
      Object.entries(definition.inputs).map(([name, spec]) => tensorLine(name, spec)),
    ),
    section(
      "Outputs",
      Object.entries(definition.outputs).map(([name, spec]) => tensorLine(name, spec)),
    ),
    section(
      "Constraints",
      (definition.constraints ?? []).map((constraint) => `- ${constraint}`),
    ),
    section(
      "Workloads that are checked and timed (the score is the geometric mean of reference time ÷ your time)",
      workloads.map(workloadLine),
    ),
    `## Correctness\nEvery output element must lie within ${allowed} of the reference${matchedRatio < 1 ? ` (${matchedRatio * 100} % of them)` : ""}${rmsRel === null ? "" : `, and the rms error within ${rmsRel} of the rms of the reference`}. Shapes and dtypes are exact. Inputs are new for every call and must not be written to.`,
    `## Reference (Python; it defines the result, not the method)\n\`\`\`python\n${definition.reference.trim()}\n\`\`\``,
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}

const section = (title: string, lines: string[]): string =>
  lines.length === 0 ? "" : `## ${title}\n${lines.join("\n")}`;

const workloadLine = (workload: FlashInferProblem["workloads"][number]): string =>
  `- ${workload.uuid}: ${Object.entries(workload.axes)
    .map(([axis, size]) => `${axis}=${size}`)
    .join(", ")}`;

/** How the answer must look and be called, for one format and language. Stated once. */
export function answerFormat(problem: Problem, language: Language): string {
  if (problem.format !== "flashinfer") return `# Answer format: ${language}`;
  const { definition } = problem;
  const file = entryFile[language];
  const shape = `Answer with the complete code, every file whole, each in a block of its own:\n<file name="${file}">\n…\n</file>\nOther files may stand beside it in blocks of their own. Text outside the blocks is ignored.`;
  switch (language) {
    case "cpp":
      return `# Answer format: C++20\n${shape}\n\`${file}\` must define exactly this function:\n\`\`\`cpp\n#include <cstdint>\n${cPrototype(definition, entrySymbol)}\n\`\`\`\nTensors are row-major, contiguous and 64-byte aligned; outputs are allocated for you, hold garbage, and must be filled completely. No main, no prints, no files, no network. Only the C++ standard library and what the compiler flags give.`;
    case "python":
      return `# Answer format: Python\n${shape}\n\`${file}\` must define \`${entrySymbol}(${Object.keys(definition.inputs).join(", ")})\`, which takes numpy arrays and scalars in this order and returns ${outputsOf(definition)} as new contiguous arrays of the declared dtypes.`;
    case "triton":
    case "cuda":
      return `# Answer format: ${language}\n${shape}\n\`${file}\` must define \`${entrySymbol}(${Object.keys(definition.inputs).join(", ")})\`, returning ${outputsOf(definition)}.`;
  }
}

const outputsOf = (definition: Definition): string => {
  const names = Object.keys(definition.outputs);
  return names.length === 1 ? (names[0] ?? "") : `a tuple (${names.join(", ")})`;
};

/** The machine that judges, and what the referee does, so that no attempt is spent on finding it out. */
export const machineText = (options: RunOptions): string =>
  `# Machine\nTarget: ${options.device}. ${options.deviceFacts}\nEach timed call gets new values in new buffers with cold caches; every output is checked. Keeping results or prepared weights between calls, reading the clock, or leaving work to run after the return is refused. Do not fix sizes that the specification lets vary.`;

/** The stable part that all prompts of a run begin with. */
export const systemText = (problem: Problem, options: RunOptions): string =>
  [
    "You are a performance engineer who makes one numerical kernel as fast as the hardware allows while keeping its results right.",
    problemText(problem, options),
    machineText(options),
  ].join("\n\n");
