import type { Workload } from "./problems/flashinfer.ts";
import type { FailureStatus, Timing, Verdict, WorkloadVerdict } from "./referee/verdict.ts";

/** JSON has no such numbers; FlashInfer-Bench writes them as these words. */
type Measured = number | "NaN" | "Infinity";

/** A line of a trace file: what one workload said of a solution (spec/backends.md 1.5), snake_case as published. */
export type Trace = {
  definition: string;
  workload: Workload;
  solution: string;
  evaluation: {
    status: TraceStatus;
    environment: { hardware: string; libs: Record<string, string> };
    timestamp: string;
    log: string;
    /** With PASSED and INCORRECT_NUMERICAL only. */
    correctness: { max_relative_error: Measured; max_absolute_error: Measured } | null;
    /** With PASSED only. */
    performance: { latency_ms: number; reference_latency_ms: number; speedup_factor: number } | null;
  };
};

/** FlashInfer-Bench has no word for a kernel that the referee turned away: the log of such a RUNTIME_ERROR says so. */
const statuses = {
  passed: "PASSED",
  compile_error: "COMPILE_ERROR",
  incorrect_shape: "INCORRECT_SHAPE",
  incorrect_dtype: "INCORRECT_DTYPE",
  incorrect_numerical: "INCORRECT_NUMERICAL",
  runtime_error: "RUNTIME_ERROR",
  timeout: "TIMEOUT",
  rejected: "RUNTIME_ERROR",
} as const satisfies Record<"passed" | Exclude<FailureStatus, "infra_error">, string>;
export type TraceStatus = (typeof statuses)[keyof typeof statuses];

export type TraceContext = {
  definition: string;
  /** The name of the solution that was judged. */
  solution: string;
  /** The workloads as the dataset publishes them: a verdict knows only their ids. */
  workloads: readonly Workload[];
  /** What stands for a workload's calls, as in the evaluation's settings. */
  statistic: "median" | "mean";
  /** ISO 8601. */
  timestamp: string;
};

/**
 * A verdict as traces, one for each workload that it says something of (spec/backends.md 8.3). A kernel that does not
 * compile or is rejected fails everywhere, whatever a workload had said before. A fault of the host says nothing of the
 * kernel, and a workload that passed without being timed, because another failed, has no trace either.
 */
export function tracesOf(verdict: Verdict, context: TraceContext): Trace[] {
  if (verdict.status === "infra_error") return [];
  const everywhere = verdict.status === "compile_error" || verdict.status === "rejected" ? verdict.status : null;
  return verdict.workloads.flatMap((said) => {
    const status = everywhere ?? said.status;
    const workload = context.workloads.find(({ uuid }) => uuid === said.id);
    if (workload === undefined || status === "not_run" || status === "infra_error") return [];
    const performance = status === "passed" ? performanceOf(said, context.statistic) : null;
    if (status === "passed" && performance === null) return [];
    const evaluation = {
      status: statuses[status],
      environment: environmentOf(verdict),
      timestamp: context.timestamp,
      log: status === "passed" || verdict.status === "passed" ? "" : logOf(verdict.message, verdict.logs.feedback),
      correctness: status === "passed" || status === "incorrect_numerical" ? correctnessOf(said) : null,
      performance,
    };
    return [{ definition: context.definition, workload, solution: context.solution, evaluation }];
  });
}

const logOf = (message: string, feedback: string): string => (feedback === "" ? message : `${message}\n\n${feedback}`);

const environmentOf = ({ env }: Verdict): Trace["evaluation"]["environment"] => {
  const libs = { ksearch_referee: env.harnessVersion, python: env.python, numpy: env.numpy, torch: env.torch };
  return {
    hardware: env.gpu ?? env.cpu,
    libs: Object.fromEntries(Object.entries(libs).filter((entry): entry is [string, string] => entry[1] !== null)),
  };
};

const correctnessOf = ({ correctness }: WorkloadVerdict): Trace["evaluation"]["correctness"] => ({
  max_relative_error: measured(correctness?.maxRel),
  max_absolute_error: measured(correctness?.maxAbs),
});

const measured = (value: number | string | undefined): Measured =>
  typeof value === "number" ? value : value === "inf" || value === "-inf" ? "Infinity" : "NaN";

function performanceOf(
  { call, referenceCall }: WorkloadVerdict,
  statistic: TraceContext["statistic"],
): Trace["evaluation"]["performance"] {
  if (call === null || referenceCall === null) return null;
  const [own, reference] = [nanoseconds(call, statistic), nanoseconds(referenceCall, statistic)];
  return { latency_ms: own / 1e6, reference_latency_ms: reference / 1e6, speedup_factor: reference / own };
}

const nanoseconds = ({ medianNs, meanNs }: Timing, statistic: TraceContext["statistic"]): number =>
  statistic === "median" ? medianNs : meanNs;
