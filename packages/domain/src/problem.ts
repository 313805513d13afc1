import { z } from "zod";
import { digestOf } from "./digest.ts";
import { FlashInferProblem, sizesFor } from "./problems/flashinfer.ts";
import { GpuModeProblem } from "./problems/gpumode.ts";
import { KernelBenchProblem } from "./problems/kernelbench.ts";

/** What a run makes fast, in one of the three formats (spec/backends.md 1 to 3): all that the referee needs, inline. */
export const Problem = z.discriminatedUnion("format", [FlashInferProblem, GpuModeProblem, KernelBenchProblem]);
export type Problem = z.infer<typeof Problem>;
export type Format = Problem["format"];

export const problemDigest = (problem: Problem): string => digestOf(problem);

/** The name under which runs, kernels and folders know a problem. */
export const problemName = (problem: Problem): string =>
  problem.format === "flashinfer" ? problem.definition.name : problem.name;

/** What a problem's sizes are meant for; null: nothing says. */
export const madeFor = (problem: Problem): "cpu" | "gpu" | null =>
  problem.format === "flashinfer" ? sizesFor(problem.definition) : problem.madeFor;

/** One thing that a problem's kernels are checked or timed on: a FlashInfer-Bench workload, a GPU MODE case, all of KernelBench. */
export type WorkloadFacts = { id: string; axes: Record<string, number | string | boolean>; timed: boolean };

/** All that a problem's kernels are judged on, in order; a verdict speaks of each by its id. */
export function workloadsOf(problem: Problem): WorkloadFacts[] {
  switch (problem.format) {
    case "flashinfer":
      return problem.workloads.map(({ uuid, axes }) => ({ id: uuid, axes, timed: true }));
    case "gpumode":
      return [
        ...problem.tests.map(({ id, args }) => ({ id, axes: args, timed: false })),
        ...problem.benchmarks.map(({ id, args }) => ({ id, axes: args, timed: true })),
      ];
    case "kernelbench":
      return [{ id: problem.name, axes: {}, timed: true }];
  }
}
