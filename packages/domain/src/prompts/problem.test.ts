import { expect, test } from "vitest";
import { sampleCppTask, sampleGpuMode, sampleKernelBench } from "../../test/problems.ts";
import { sampleOptions, sampleProblem } from "../../test/samples.ts";
import type { Problem } from "../problem.ts";
import { type EvaluationSettings, hardenedSettings } from "../referee/request.ts";
import { caseTable } from "./cases.ts";
import { machineText, problemText, systemText } from "./problem.ts";

const options = (changes: Partial<EvaluationSettings> = {}) =>
  sampleOptions({ evaluation: { ...hardenedSettings, ...changes } });
const linesOf = (problem: Problem, changes: Partial<EvaluationSettings> = {}) =>
  problemText(problem, options(changes)).split("\n");
const everyProblem = [sampleProblem(), sampleGpuMode(), sampleCppTask(), sampleKernelBench()];

test("the specification of a definition is whole: axes, tensors, sizes, tolerance, score, reference", () => {
  const lines = linesOf(sampleProblem());
  for (const line of [
    "# Problem: scale_rows (elementwise)",
    "Every row times a scalar.",
    "- batch: varies",
    "- width: always 64",
    "- x: [batch, width] float32",
    "- scale: scalar float32",
    "- total: [] int64",
    "batch",
    "8",
    "512",
    "def run(x, half, scale):",
  ])
    expect(lines).toContain(line);
  expect(lines).toContainEqual(
    expect.stringContaining("within max(0.01, 0.01·|expected|) of the reference, and the rms"),
  );
  expect(lines).toContainEqual(
    expect.stringMatching(/^The geometric mean of reference time ÷ your time over the workloads; higher is better/),
  );
});

test("the specification of a GPU MODE problem shows its own modules and never the runner", () => {
  const text = problemText(sampleGpuMode(), options());
  for (const part of [
    "Every element times the factor of the case.",
    "## task.py",
    "class Case(TypedDict):",
    "## utils.py",
    "< 2e-2",
    "## reference.py",
    "def ref_kernel(data):",
    "your output goes through `check_implementation`",
    "over the timed cases",
  ])
    expect(text).toContain(part);
  expect(text).not.toMatch(/eval\.py|SECRET_OF_THE_RUNNER|0\.01/);
});

test("cases are told once each, those that are only checked apart from those that are timed", () => {
  const text = problemText(sampleGpuMode(), options());
  const [checked = "", timed = ""] = text.split("## Cases that are checked and timed\n");
  expect(checked.endsWith("## Cases that are checked\nsize | masked | factor\n32 | true | 3\n\n")).toBe(true);
  expect(timed.startsWith("All: factor=3\nsize | masked\n1024 | false\n65536 | true\n\n")).toBe(true);
});

test("the specification of a KernelBench problem says what ModelNew must keep, and how exactly", () => {
  const correctness = { ...hardenedSettings.correctness, rtol: 1e-4, atol: 1e-4, bound: "sum" as const, rmsRel: null };
  const text = problemText({ ...sampleKernelBench(), precision: "bf16" }, options({ correctness }));
  for (const part of [
    "# Problem: kernelbench_l1_p3 (Scale by a weight)",
    "class Model(nn.Module):",
    "def get_init_inputs():",
    "- The constructor:",
    "- `forward`:",
    "copied into ModelNew's by name",
    "floating-point inputs are bfloat16",
    "within 0.0001 + 0.0001·|expected| of the reference.",
    "Reference time ÷ your time; higher is better",
  ])
    expect(text).toContain(part);
});

test("baseline times stand beside the sizes, in microseconds, for whoever has some", () => {
  expect(linesOf(sampleProblem(), { baselineNs: { w8: 18_345, w512: 1_234_567 } })).toEqual(
    expect.arrayContaining(["batch | target µs (lower is better)", "8 | 18.3", "512 | 1235"]),
  );
  expect(linesOf(sampleProblem(), { baselineNs: { w8: 999_600 } })).toEqual(
    expect.arrayContaining(["8 | 1000", "512 | none"]),
  );
  expect(linesOf(sampleGpuMode(), { baselineNs: { one: 5_000, two: 99_990 } })).toEqual(
    expect.arrayContaining(["size | masked | factor", "1024 | false | 5.00", "65536 | true | 100"]),
  );
  expect(linesOf(sampleKernelBench(), { baselineNs: { kernelbench_l1_p3: 70_400 } })).toContain(
    "Target: 70.4 µs (lower is better).",
  );
  for (const problem of everyProblem) expect(problemText(problem, options())).not.toMatch(/target/i);
});

test("the score is told as it is computed", () => {
  const score = (aggregate: EvaluationSettings["aggregate"]) =>
    linesOf(sampleProblem(), { aggregate, baselineNs: { w8: 1_000 } }).find((line) => line.includes("÷"));
  expect(score("geomean_speedup")).toContain("The geometric mean of reference time ÷ your time");
  expect(score("mean_speedup")).toContain("The arithmetic mean of reference time ÷ your time");
  expect(score("geomean_vs_baseline")).toContain("The geometric mean of baseline time ÷ your time");
  expect(score("mean_vs_baseline")).toContain("The arithmetic mean of baseline time ÷ your time");
});

test("a share of elements that may be wrong is told", () => {
  const correctness = { ...hardenedSettings.correctness, matchedRatio: 0.95 };
  expect(problemText(sampleProblem(), options({ correctness }))).toContain("95 % of the elements of every output must");
});

test("cases of one size are told apart by their ids, and what one case lacks is a dash", () => {
  const one = (id: string, axes: Record<string, number | string | boolean>) => ({ id, axes, timed: true });
  expect(caseTable([one("a", { n: 1 }), one("b", { n: 1 })], null)).toEqual(["All: n=1", "case", "a", "b"]);
  expect(caseTable([one("a", { n: 1 }), one("b", { m: "x" })], null)).toEqual(["n | m", "1 | -", "- | x"]);
  expect(caseTable([one("a", {})], null)).toEqual([]);
  expect(caseTable([], null)).toEqual([]);
});

test("the text is the same whenever it is made, for equal problems and settings", () => {
  for (const problem of everyProblem)
    expect(systemText(structuredClone(problem), structuredClone(options()))).toBe(systemText(problem, options()));
});

test("the machine text says what the referee does, and nothing of what these settings leave out", () => {
  const hardened = machineText(sampleProblem(), options());
  expect(hardened).toContain("Target: cpu. 2 cores.");
  expect(hardened).toContain("new values in new buffers with cold caches; every output is checked");
  for (const rule of ["writing to inputs", "from one call to the next", "after the return", "other processes"])
    expect(hardened).toContain(rule);
  const compat = machineText(
    sampleProblem(),
    options({
      profile: "compat",
      timing: { ...hardenedSettings.timing, inputs: "same", flushCache: false },
      correctness: { ...hardenedSettings.correctness, checkTimed: "none" },
    }),
  );
  expect(compat).toContain("Each timed call gets the same inputs.");
  expect(compat).not.toMatch(/new values|cold caches|every output/);
});

test("only a GPU has streams to launch on", () => {
  expect(machineText(sampleProblem(), options())).not.toMatch(/synchronise/);
  expect(machineText(sampleProblem(), { ...options(), device: "H100" })).toContain("Launch on the current stream");
});

test("containers are the kernel's own to write to, and nobody waits for its work on a GPU", () => {
  const text = machineText(sampleCppTask(), { ...options(), device: "H100" });
  expect(text).toContain("has to be over when you return");
  expect(text).not.toMatch(/writing to inputs|memory of an input|current stream/);
});

test("prompts name no version of a library and order no tensor cores", () => {
  for (const problem of everyProblem)
    expect(systemText(problem, { ...options(), device: "H100", deviceFacts: "" })).not.toMatch(
      /\b(triton|torch|cuda|numpy) ?\d|tensor.core|\bMMA\b/i,
    );
});
