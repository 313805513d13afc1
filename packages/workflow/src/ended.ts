import { AppError } from "@ksearch/domain";
import { z } from "zod";
import { bookAllLost } from "./ask.ts";
import type { LlmDeps, RefereeDeps } from "./deps.ts";
import { endCanceled } from "./runs.ts";
import { endCalls } from "./steps/llm.ts";
import { cancelEvaluations } from "./steps/referee.ts";
import { pause } from "./steps/step.ts";

export const EndedExecution = z.object({
  runId: z.string().min(1),
  /** How the engine says that it ended. */
  status: z.enum(["FAILED", "TIMED_OUT", "ABORTED"]),
  stoppedAtMs: z.int(),
});
export type EndedExecution = z.infer<typeof EndedExecution>;

const words: Record<EndedExecution["status"], string> = {
  FAILED: "the execution failed",
  TIMED_OUT: "the execution ran out of its time",
  ABORTED: "the execution was stopped from outside",
};

/**
 * Tidies up after an execution that ended without its last step: work at providers and on GPUs is canceled, money that
 * was reserved is settled or given back, and the run is canceled if that was asked for, else paused. Its claims need no
 * release: the next execution takes over those of older epochs. Idempotent; a run that a newer execution works on, or that
 * has ended, stays as it is.
 */
export async function settleExecution(
  deps: LlmDeps & RefereeDeps,
  { runId, status, stoppedAtMs }: EndedExecution,
): Promise<"settled" | "newer" | "over"> {
  const state = await deps.log.state(runId);
  if (state.status !== "running" && state.status !== "paused") return "over";
  const begun = (await deps.events.read(runId, 0)).findLast(({ event }) => event.type === "execution.started");
  if (begun !== undefined && begun.atMs > stoppedAtMs) return "newer";
  await cancelEvaluations(deps, state);
  if (state.cancelRequested) {
    await endCanceled(deps, deps.llm, runId);
    return "settled";
  }
  await endCalls(deps, deps.llm, runId);
  await bookAllLost(deps, runId);
  await deps.money.release(runId);
  const message = `${words[status]}: resume the run to go on from what is recorded`;
  await pause(deps, runId, new AppError("operator", "execution.ended", message));
  return "settled";
}
