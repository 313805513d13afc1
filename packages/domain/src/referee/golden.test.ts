import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { kernelId } from "../kernel.ts";
import { problemName, workloadsOf } from "../problem.ts";
import { vetKernel } from "../search/vet.ts";
import { tracesOf } from "../trace.ts";
import { originalScore } from "../tracking/score.ts";
import { EvaluationRequest } from "./request.ts";
import { Verdict, VerdictStatus } from "./verdict.ts";

/** What packages/evaluator/tests/golden/generate.py wrote: the same files hold the referee to what it says. */
const folder = new URL("../../../evaluator/tests/golden/", import.meta.url);
const names = readdirSync(folder).filter((name) => name.endsWith(".json"));
const golden = (name: string): { request: unknown; result: unknown } =>
  JSON.parse(readFileSync(new URL(name, folder), "utf8"));

test("every status of every format is there, and both profiles; of problems in C++ those that differ", () => {
  const endings = [...VerdictStatus.options, "passed-compat"];
  const expected = ["flashinfer", "gpumode", "kernelbench"].flatMap((format) =>
    endings.map((ending) => `${format}-${ending}.json`),
  );
  const inCpp = ["compile_error", "incorrect_numerical", "passed"].map((ending) => `gpumode_cpp-${ending}.json`);
  expect(names.toSorted()).toEqual([...expected, ...inCpp].toSorted());
});

describe.each(names)("%s", (name) => {
  const { request: asked, result } = golden(name);

  test("request and verdict are what zod knows, nothing lost and nothing added", () => {
    expect(EvaluationRequest.parse(asked)).toEqual(asked);
    expect(Verdict.parse(result)).toEqual(result);
  });

  test("the verdict is of this kernel and of these workloads", () => {
    const { problem, kernel, requestId } = EvaluationRequest.parse(asked);
    const verdict = Verdict.parse(result);
    expect(verdict).toMatchObject({ requestId, kernelDigest: kernelId(kernel) });
    expect(verdict.workloads.map(({ id }) => id)).toEqual(workloadsOf(problem).map(({ id }) => id));
    expect(kernel.definition).toBe(problemName(problem));
  });

  test("what is made of it holds: score, traces, words for the model", () => {
    const { problem, settings } = EvaluationRequest.parse(asked);
    const verdict = Verdict.parse(result);
    const isTimed = verdict.status === "passed" && settings.mode === "benchmark";
    expect(originalScore(verdict, problem) !== null).toBe(isTimed);
    if (verdict.status !== "passed") expect(verdict.logs.feedback).toContain(verdict.message.slice(0, 60));
    if (problem.format !== "flashinfer") return;
    const { workloads, definition } = problem;
    const context = { definition: definition.name, solution: "s", workloads, statistic: "median", timestamp: "t" };
    const traces = tracesOf(verdict, { ...context, statistic: "median" });
    const expected = verdict.status === "infra_error" ? [] : workloads.map(({ uuid }) => uuid);
    expect(traces.map(({ workload }) => workload.uuid)).toEqual(expected);
  });
});

test("a cheat in the golden files is one that only running it shows", () => {
  const { request: asked } = golden("gpumode-rejected.json");
  const { kernel, problem } = EvaluationRequest.parse(asked);
  expect(vetKernel(kernel, problem)).toBeNull();
});
