import { AppError, type Decision, fold, type RunState } from "@ksearch/domain";
import type { Events } from "@ksearch/ports";

/** The log of runs as steps see it: the state now, and decisions committed to it. */
export type Log = {
  /** Reads what is new and folds it in. AppError `caller` `run.unknown`. */
  state(runId: string): Promise<RunState>;
  /**
   * Appends a decision's events at the very number the state was read at; on a conflict decides anew. Pure decisions
   * therefore hold among any number of lanes and processes.
   */
  commit<T>(runId: string, decide: (state: RunState) => Decision<T>): Promise<T>;
};

/** Tries before a commit gives up. Each lost try means that another lane's event went in, so progress is made anyway. */
const mostTries = 1_000;

export function createLog(events: Events, now: () => number): Log {
  const cache = new Map<string, RunState>();
  const state = async (runId: string): Promise<RunState> => {
    const known = cache.get(runId) ?? null;
    const folded = fold(await events.read(runId, known?.seq ?? 0), known);
    if (folded === null) throw new AppError("caller", "run.unknown", `there is no run '${runId}'`);
    const latest = cache.get(runId);
    if (latest && latest.seq >= folded.seq) return latest;
    cache.set(runId, folded);
    return folded;
  };
  return {
    state,
    async commit(runId, decide) {
      for (let tries = 0; tries < mostTries; tries += 1) {
        const current = await state(runId);
        const { events: decided, result } = decide(current);
        if (decided.length === 0) return result;
        if ((await events.append(runId, current.seq, decided, now())) === "appended") {
          await state(runId);
          return result;
        }
      }
      throw new AppError("retry", "log.contention", `the log of ${runId} was busy ${mostTries} times in a row`);
    },
  };
}
