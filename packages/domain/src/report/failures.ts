import type { AttemptStatus } from "../search/events.ts";
import type { Attempt, RunState } from "../search/state.ts";

export type FailureClass = { status: AttemptStatus; attempts: readonly Attempt[] };

/** Attempts that brought no score, by how they ended, the commonest first. */
export function failureClasses(state: RunState): FailureClass[] {
  const failed = state.attempts.filter(({ status }) => status !== null && status !== "passed");
  return [...Map.groupBy(failed, ({ status }) => status)]
    .flatMap(([status, attempts]) => (status === null ? [] : [{ status, attempts }]))
    .sort((a, b) => b.attempts.length - a.attempts.length);
}
