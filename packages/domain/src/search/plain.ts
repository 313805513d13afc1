import type { Policy } from "./policy.ts";
import { attemptOf } from "./state.ts";

/**
 * Policy `plain` (spec/ksearch.md 2.2): no world model. Each lane revises its own latest draft, with the run's best kernel
 * beside it, until the budget is used. All attempts stand at the root.
 */
export const plainPolicy: Policy = {
  name: "plain",
  usesTree: false,
  initialActions: () => 0,
  next: ({ tree }) => ({ do: "work", nodeId: tree.rootId }),
  attempt(state, cycle) {
    const drafts = cycle.attempts.filter((number) => attemptOf(state, number).kernelId !== null);
    const previousAttempt = drafts.at(-1) ?? cycle.attempts.at(-1) ?? null;
    const shown = previousAttempt === null ? null : attemptOf(state, previousAttempt).kernelId;
    const best = state.best?.kernelId ?? null;
    const baseKernelId = best === shown ? null : best;
    return { kind: previousAttempt === null && best === null ? "draft_spec" : "revise", baseKernelId, previousAttempt };
  },
  afterAttempt: () => "again",
  afterEdit: () => ({ do: "end" }),
  demand: () => "",
};
