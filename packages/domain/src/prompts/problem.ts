import { type Problem, workloadsOf } from "../problem.ts";
import type { FlashInferProblem, TensorSpec } from "../problems/flashinfer.ts";
import { type GpuModeProblem, isCppTask } from "../problems/gpumode.ts";
import type { KernelBenchProblem } from "../problems/kernelbench.ts";
import type { EvaluationSettings } from "../referee/request.ts";
import type { RunOptions } from "../search/options.ts";
import { caseTable, micros } from "./cases.ts";

/** A prompt in two parts: what stays the same over a run comes first, so that providers' prefix caches pay. */
export type Prompt = { system: string; user: string };

type Settings = EvaluationSettings;

/**
 * The whole specification of a problem as a model reads it: what is computed, on what, how exactly, and what the score is.
 * It depends on the problem and the run's options alone, so it heads every prompt of a run.
 */
export function problemText(problem: Problem, { evaluation }: Pick<RunOptions, "evaluation">): string {
  switch (problem.format) {
    case "flashinfer":
      return parts(definitionText(problem, evaluation));
    case "gpumode":
      return parts(gpuModeText(problem, evaluation));
    case "kernelbench":
      return parts(kernelBenchText(problem, evaluation));
  }
}

function definitionText(problem: FlashInferProblem, settings: Settings): string[] {
  const { definition } = problem;
  const axes = Object.entries(definition.axes).map(
    ([name, axis]) =>
      `- ${name}: ${axis.type === "const" ? `always ${axis.value}` : "varies"}${axis.description ? `  (${axis.description})` : ""}`,
  );
  return [
    `# Problem: ${definition.name} (${definition.op_type})`,
    definition.description ?? "",
    section("Axes", axes),
    section("Inputs, in calling order", Object.entries(definition.inputs).map(tensorLine)),
    section("Outputs", Object.entries(definition.outputs).map(tensorLine)),
    section(
      "Constraints",
      (definition.constraints ?? []).map((constraint) => `- ${constraint}`),
    ),
    section("Workloads", caseTable(workloadsOf(problem), settings.baselineNs)),
    section("Correctness", [`${toleranceText(settings)} Shapes and dtypes are exact.`]),
    section("Score", [scoreText(settings, "workload")]),
    `## Reference (Python; it defines the result, not the method)\n${pythonFence(definition.reference)}`,
  ];
}

function gpuModeText(problem: GpuModeProblem, settings: Settings): string[] {
  const cases = workloadsOf(problem);
  const checked = cases.filter(({ timed }) => !timed);
  const timed = cases.filter((one) => one.timed);
  return [
    `# Problem: ${problem.name}`,
    problem.description.trim(),
    section("Cases that are checked", caseTable(checked, null)),
    section("Cases that are checked and timed", caseTable(timed, settings.baselineNs)),
    section("Correctness", [
      "Every case: inputs come from `generate_input` with these arguments and a secret seed, and your output goes through `check_implementation`, tolerances as written there.",
    ]),
    section("Score", [scoreText(settings, "timed case")]),
    ...problem.files
      .filter(({ path }) => !notShown.has(path))
      .map(({ path, content }) => `## ${path}\n${path.endsWith(".py") ? pythonFence(content) : cppFence(content)}`),
  ];
}

/** GPU MODE's runner and its sample answer say nothing of what is computed. */
const notShown = new Set(["eval.py", "submission.py"]);

const dtypeOf = { fp32: "float32", fp16: "float16", bf16: "bfloat16" } as const;

function kernelBenchText(problem: KernelBenchProblem, settings: Settings): string[] {
  const targetNs = settings.baselineNs?.[problem.name];
  return [
    `# Problem: ${problem.name} (${problem.title.replaceAll("_", " ").trim()})`,
    `## Reference (it defines the result, not the method)\n${pythonFence(problem.source)}`,
    section("What ModelNew must keep", [
      "- The constructor: it is called with what `get_init_inputs` returns, as Model's is.",
      "- `forward`: called with what `get_inputs` returns, it returns what Model's returns, in shape and dtype.",
      "- Names and shapes of parameters and buffers: after both are constructed, Model's are copied into ModelNew's by name.",
    ]),
    section("Precision", [`Parameters and floating-point inputs are ${dtypeOf[problem.precision]}.`]),
    section("Correctness", [toleranceText(settings)]),
    section("Score", [
      scoreText(settings, null),
      ...(targetNs === undefined ? [] : [`Target: ${micros(targetNs)} µs (lower is better).`]),
    ]),
  ];
}

const tensorLine = ([name, spec]: [string, TensorSpec]): string =>
  `- ${name}: ${spec.shape === null ? "scalar" : `[${spec.shape.join(", ")}]`} ${spec.dtype}${spec.description ? `  (${spec.description})` : ""}`;

/** When an output is right, for problems without a check of their own. */
function toleranceText({ correctness }: Settings): string {
  const { rtol, atol, bound, matchedRatio, rmsRel } = correctness;
  const allowed = bound === "max" ? `max(${atol}, ${rtol}·|expected|)` : `${atol} + ${rtol}·|expected|`;
  const share = matchedRatio < 1 ? `${matchedRatio * 100} % of the elements of every output` : "Every output element";
  const rms = rmsRel === null ? "" : `, and the rms error within ${rmsRel} of the rms of the reference`;
  return `${share} must lie within ${allowed} of the reference${rms}.`;
}

/** What the score is; `unit` is what it is averaged over, null where there is but one. */
function scoreText({ aggregate, baselineNs }: Settings, unit: string | null): string {
  const ratio = aggregate.endsWith("vs_baseline") ? "baseline time ÷ your time" : "reference time ÷ your time";
  const over = unit === null ? ratio : scoreOver(aggregate, ratio, unit);
  const targets = baselineNs === null ? "" : " Targets are the baseline's times on this device.";
  return `${capital(over)}; higher is better. A kernel that fails anywhere has none.${targets}`;
}

function scoreOver(aggregate: Settings["aggregate"], ratio: string, unit: string): string {
  if (aggregate === "total_speedup") return `${ratio}, each added up over the ${unit}s`;
  if (aggregate === "last_speedup") return `${ratio} on the last ${unit}`;
  return `the ${aggregate.startsWith("geomean") ? "geometric" : "arithmetic"} mean of ${ratio} over the ${unit}s`;
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
const pythonFence = (code: string): string => `\`\`\`python\n${code.trim()}\n\`\`\``;
const cppFence = (code: string): string => `\`\`\`cpp\n${code.trim()}\n\`\`\``;
const section = (title: string, lines: readonly string[]): string =>
  lines.length === 0 ? "" : `## ${title}\n${lines.join("\n")}`;
const parts = (list: readonly string[]): string => list.filter((part) => part !== "").join("\n\n");

/** The machine that judges, and what the referee does, so that no attempt is spent on finding it out. */
export function machineText(problem: Problem, { device, deviceFacts, evaluation }: RunOptions): string {
  const { timing, correctness } = evaluation;
  const calls = timing.inputs === "fresh" ? "new values in new buffers" : "the same inputs";
  const isCpp = problem.format === "gpumode" && isCppTask(problem);
  const gpu = isCpp
    ? "All that you begin on the GPU has to be over when you return."
    : "Launch on the current stream (the default one where none is named) and do not synchronise: the referee waits for that stream.";
  return [
    `# Machine\nTarget: ${device}. ${deviceFacts}`,
    `Each timed call gets ${calls}${timing.flushCache ? " with cold caches" : ""}${correctness.checkTimed === "all" ? "; every output is checked" : ""}.${device === "cpu" ? "" : ` ${gpu}`}`,
    `Refused: ${isCpp ? "" : "writing to inputs; returning memory of an input or of an earlier result; "}keeping results or prepared weights from one call to the next; reading the clock; leaving work to run after the return (threads, other streams); other processes, so compilers too (load_inline, torch.compile); network; files but the kernel's own.`,
    "Do not fix sizes that the specification lets vary.",
  ].join("\n");
}

/** The stable part that all prompts of a run begin with. */
export const systemText = (problem: Problem, options: RunOptions): string =>
  parts([
    "You are a performance engineer who makes one numerical kernel as fast as the hardware allows while keeping its results right.",
    problemText(problem, options),
    machineText(problem, options),
  ]);
