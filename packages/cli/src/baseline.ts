import {
  AppError,
  type Device,
  type EvaluationSettings,
  type FlashInferProblem,
  type Kernel,
  kernelId,
  type RunOptions,
} from "@ksearch/domain";
import type { Referee } from "@ksearch/ports";
import { baselineLatencies, findSolution } from "./local.ts";
import { verdictOf } from "./verdict.ts";

export type FoundBaseline = { baseline: NonNullable<RunOptions["baseline"]>; baselineNs: Record<string, number> };

/**
 * How fast a named solution of the dataset is, call by call: by its traces on this very hardware if they cover every
 * workload that is judged, else measured now. Never a mean over some of them (spec/ksearch.md B15). AppError `caller`: there
 * is no such solution, or it does not pass here.
 */
export async function findBaseline(
  referee: Referee,
  {
    dataset,
    problem,
    solution,
    device,
    hardware,
    settings,
  }: {
    dataset: string;
    problem: FlashInferProblem;
    solution: string;
    device: Device;
    /** As traces name it. */
    hardware: string;
    settings: EvaluationSettings;
  },
): Promise<FoundBaseline> {
  const kernel = findSolution(dataset, problem.definition.name, solution);
  const { latencyNs } = baselineLatencies(dataset, problem.definition.name, solution, hardware);
  const known = problem.workloads.flatMap(({ uuid }) => {
    const ns = latencyNs[uuid];
    return ns === undefined ? [] : [[uuid, ns] as const];
  });
  if (known.length === problem.workloads.length)
    return { baseline: { solution, source: "traces" }, baselineNs: Object.fromEntries(known) };
  return {
    baseline: { solution, source: "measured" },
    baselineNs: await measured(referee, kernel, { problem, device, settings }),
  };
}

async function measured(
  referee: Referee,
  kernel: Kernel,
  { problem, device, settings }: { problem: FlashInferProblem; device: Device; settings: EvaluationSettings },
): Promise<Record<string, number>> {
  const verdict = await verdictOf(referee, {
    schema: "ksearch.request/1",
    requestId: `baseline/${kernelId(kernel)}`,
    problem,
    kernel,
    incumbent: null,
    settings,
    device,
  });
  if (verdict.status !== "passed")
    throw new AppError(
      "caller",
      "baseline.failed",
      `the baseline does not pass here (${verdict.status}: ${verdict.message}): name another --baseline-solution, or none`,
    );
  return Object.fromEntries(
    verdict.workloads.flatMap(({ id, call }) => (call === null ? [] : [[id, call[`${settings.timing.statistic}Ns`]]])),
  );
}
