import type { AttemptStatus, KernelId, RunOptions } from "../src/index.ts";
import { afterAttempt, claim, readDocument, seedsOf, startAttempt } from "../src/index.ts";
import { Log, looseDocument, looseNode, sampleOptions } from "./samples.ts";

/** A run in its first round with the nodes of `ideas` below the root: name and score, or a whole node. */
export function started(ideas: (string | object)[], changes: Partial<RunOptions> = {}): Log {
  const log = new Log(sampleOptions(changes));
  const nodes = ideas.map((idea, index) =>
    typeof idea === "string"
      ? looseNode(idea, "root", { action: { title: idea, score_0_to_1: 0.9 - index / 10, difficulty_1_to_5: 1 } })
      : idea,
  );
  const tree = readDocument(looseDocument(nodes))?.tree;
  if (!tree) throw new Error("no tree");
  log.append(
    { type: "execution.started", epoch: 1, lanes: 2 },
    {
      type: "tree.initialised",
      call: "init1",
      kernelSummary: "",
      openQuestions: [],
      rootId: "root",
      rootNotes: "",
      nodes: seedsOf(tree),
      repairs: [],
    },
    { type: "round.opened", round: 1 },
  );
  return log;
}

export const lane = (number: number, changes: { epoch?: number; round?: number; left?: number } = {}) => ({
  lane: number,
  epoch: 1,
  round: 1,
  left: 5,
  ...changes,
});
export const take = (log: Log, number: number, changes = {}) => {
  const { events, result } = claim(log.state, lane(number, changes));
  log.append(...events);
  return result;
};
/** Opens a cycle for a lane and returns its name. */
export const work = (log: Log, number: number): string => {
  const claimed = take(log, number);
  if (claimed.next !== "work") throw new Error(`lane ${number} got ${claimed.next}`);
  return claimed.cycle;
};
export const open = (log: Log, cycle: string): number | null => {
  const { events, result } = startAttempt(log.state, cycle);
  log.append(...events);
  return result?.attempt ?? null;
};
/** Judges an attempt: a number is a passing score, a word a status. */
export const judge = (
  log: Log,
  attempt: number,
  outcome: number | Exclude<AttemptStatus, "passed">,
  kernelId: KernelId | null = `ker_${attempt}`,
  message?: string,
): void => {
  const score = typeof outcome === "number" ? { value: outcome, low: outcome, high: outcome } : null;
  const status = typeof outcome === "number" ? "passed" : outcome;
  log.append(
    { type: "attempt.drafted", attempt, kernelId, sameAs: null },
    {
      type: "attempt.judged",
      attempt,
      status,
      score,
      vsBaseline: null,
      callNs: null,
      message: message ?? `it was ${status}`,
    },
  );
};
export const attempt = (log: Log, cycle: string, outcome: Parameters<typeof judge>[2]): string => {
  judge(log, open(log, cycle) ?? 0, outcome);
  const { events, result } = afterAttempt(log.state, cycle);
  log.append(...events);
  return result;
};
export const nodeOf = (log: Log, id: string) => log.state.tree.nodes.get(id);
