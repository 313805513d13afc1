import type { Problem } from "../problem.ts";
import type { Verdict } from "../referee/verdict.ts";
import { standing } from "../search/standing.ts";
import type { Attempt, RunState } from "../search/state.ts";
import { frontier } from "../tree/node.ts";
import type { TrackedValues } from "./records.ts";
import { originalScore } from "./score.ts";
import type { Tally } from "./tally.ts";

export type Judged = {
  readonly attempt: Attempt;
  /** Null: the attempt came to no verdict of its own. */
  readonly verdict: Verdict | null;
  /** Who drafted it, as the answer says; null: nobody answered. */
  readonly model: string | null;
};

/** The row of a judged attempt: K-Search's keys with its score, then ours. `state` and `tally`: after the judgement. */
export function attemptValues(state: RunState, tally: Tally, problem: Problem, judged: Judged): TrackedValues {
  const { attempt, verdict, model } = judged;
  return {
    ...originalValues(state.problem, tally, verdict === null ? null : originalScore(verdict, problem)),
    "ksearch/attempt": attempt.attempt,
    "ksearch/lane": state.cycles.get(attempt.cycle)?.lane ?? null,
    "ksearch/node": attempt.nodeId,
    "ksearch/nodeAttempt": attempt.nodeAttempt,
    "ksearch/kind": attempt.kind,
    "ksearch/model": attempt.model ?? model,
    "ksearch/status": attempt.status,
    "ksearch/passed": attempt.score === null ? 0 : 1,
    "ksearch/kernel": attempt.kernelId,
    "ksearch/sameAs": attempt.sameAs,
    "ksearch/score": attempt.score?.value ?? null,
    "ksearch/scoreLow": attempt.score?.low ?? null,
    "ksearch/scoreHigh": attempt.score?.high ?? null,
    "ksearch/forecast": attempt.forecast,
    "ksearch/callNs": attempt.callNs,
    "ksearch/attemptCostMicroUsd": attempt.costMicroUsd,
    "ksearch/llmMs": attempt.llmMs,
    "ksearch/refereeMs": attempt.refereeMs,
    "ksearch/workloadsPassed": verdict?.workloads.filter(({ status }) => status === "passed").length ?? null,
    ...guardValues(verdict?.guards ?? []),
    ...runValues(state, tally),
  };
}

/** Exactly what K-Search logs a round. A score without a name, because nothing passed, is its `round_score`. */
const originalValues = (task: string, { best }: Tally, score: ReturnType<typeof originalScore>): TrackedValues => ({
  [`${task}/generate/${score?.name ?? "round_score"}`]: score?.value ?? null,
  ...(best === null ? {} : { [`${task}/generate/best_${best.name}`]: best.value }),
  [`${task}/generate/best_score`]: best?.value ?? null,
});

/** What the referee noted, `info` left out: how many findings of each level, and which guards they come from. */
function guardValues(guards: Verdict["guards"]): TrackedValues {
  const of = (wanted: string) => guards.filter(({ level }) => level === wanted);
  return {
    "ksearch/guardsWarned": of("warn").length,
    "ksearch/guardsRejected": of("reject").length,
    "ksearch/guards": [...new Set([...of("reject"), ...of("warn")].map(({ id }) => id))].join(" "),
  };
}

/** Where the run as a whole stands, times since its beginning. */
const runValues = (state: RunState, { tokens }: Tally): TrackedValues => ({
  "ksearch/bestScore": standing(state)?.score ?? null,
  "ksearch/costMicroUsd": state.spentMicroUsd,
  "ksearch/inputTokens": tokens.inputTokens,
  "ksearch/cachedInputTokens": tokens.cachedInputTokens,
  "ksearch/outputTokens": tokens.outputTokens,
  "ksearch/reasoningTokens": tokens.reasoningTokens,
  "ksearch/modelCalls": state.callsMade.llm,
  "ksearch/evaluations": state.callsMade.referee,
  "ksearch/elapsedMs": state.updatedAtMs - state.startedAtMs,
  "ksearch/nodes": state.tree.nodes.size - 1,
  "ksearch/frontier": frontier(state.tree).length,
  "ksearch/solved": [...state.tree.nodes.values()].filter(({ solution }) => solution !== null).length,
});

/** What stands at the end of an execution. */
export function endValues(state: RunState, tally: Tally): TrackedValues {
  const best = standing(state);
  return {
    ...runValues(state, tally),
    "ksearch/runStatus": state.status,
    "ksearch/reason": state.pause?.message ?? state.reason,
    "ksearch/attempts": state.judged,
    "ksearch/bestKernel": best?.kernelId ?? null,
    "ksearch/confirmed": best?.confirmed ?? false,
  };
}
