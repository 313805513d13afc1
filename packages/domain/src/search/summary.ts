import { z } from "zod";
import { standing } from "./standing.ts";
import type { RunState } from "./state.ts";

const RunStatus = z.enum(["running", "paused", "succeeded", "failed", "canceled"]);

/** One run in a line, as `ksearch list --json` prints it. Times ISO 8601, money in micro-dollars. */
export const RunSummary = z.strictObject({
  id: z.string(),
  problem: z.string(),
  status: RunStatus,
  attempts: z.int().nonnegative(),
  /** Score of the standing kernel: the confirmed one once there is one. */
  bestScore: z.number().nullable(),
  /** Reference time ÷ time of the best kernel, a geometric mean over the workloads; equals the score in this version. */
  speedup: z.number().nullable(),
  costMicroUsd: z.int().nonnegative(),
  startedAt: z.string(),
  endedAt: z.string().nullable(),
});
export type RunSummary = z.infer<typeof RunSummary>;

export function summarise(state: RunState, iso: (ms: number) => string): RunSummary {
  const score = standing(state)?.score ?? null;
  return {
    id: state.runId,
    problem: state.problem,
    status: state.status,
    attempts: state.judged,
    bestScore: score,
    speedup: score,
    costMicroUsd: state.spentMicroUsd,
    startedAt: iso(state.startedAtMs),
    endedAt: state.endedAtMs === null ? null : iso(state.endedAtMs),
  };
}

/** Attempts in the order in which they were judged, with the best score after each: the curve of a run. */
export function curve(state: RunState): { attempt: number; score: number | null; best: number | null; atMs: number }[] {
  const judged = state.attempts
    .filter((attempt) => attempt.endedAtMs !== null)
    .sort((a, b) => (a.endedAtMs ?? 0) - (b.endedAtMs ?? 0) || a.attempt - b.attempt);
  let best: number | null = null;
  return judged.map(({ attempt, score, endedAtMs }) => {
    if (score !== null && (best === null || score.value > best)) best = score.value;
    return { attempt, score: score?.value ?? null, best, atMs: endedAtMs ?? 0 };
  });
}
