import {
  afterAttempt,
  afterEdit,
  attemptOf,
  beginExecution,
  type Claimed,
  type Cycle,
  claim,
  closeRound,
  type Decision,
  draftCall,
  type EditLimits,
  evaluateCall,
  type KernelId,
  type Lane,
  maxNewNodes,
  nextDuel,
  openRound,
  planEdits,
  policyOf,
  type Rng,
  type RunEvent,
  type RunOptions,
  type RunState,
  readDocument,
  refineCall,
  rngFor,
  seedsOf,
  startAttempt,
  verdictOn,
} from "../src/index.ts";
import { Log, looseDocument, looseNode } from "./samples.ts";

export type Simulation = {
  options: RunOptions;
  seed: number;
  /** Chance that an attempt passes, that a step kills the whole execution, that the model proposes something. */
  passes?: number;
  kills?: number;
  proposes?: number;
  /** Called with the state before and after every event. */
  watch?: (before: RunState, event: RunEvent, after: RunState) => void;
};

class Killed extends Error {}

/** More steps than any of these searches can need: whoever gets here runs for ever. */
const mostSteps = 50_000;

/**
 * A whole search, driven as the state machine drives it, by a model and a referee that throw dice. Lanes are generators
 * that stop before each of their steps, and dice decide who goes next, so every interleaving is possible. Every
 * decision is taken twice: the second time it must find its events in the log and say the same.
 */
export function simulate({ options, seed, passes = 0.5, kills = 0, proposes = 0.7, watch }: Simulation): Log {
  const log = new Log(options);
  const rng = rngFor(seed, "simulation");
  let steps = 0;

  const append = (...events: RunEvent[]) => {
    for (const event of events) {
      const before = log.state;
      const after = log.append(event);
      watch?.(before, event, after);
    }
  };
  const commit = <T>(decide: (state: RunState) => Decision<T>): T => {
    steps += 1;
    if (steps > mostSteps) throw new Error("the search does not end");
    if (rng() < kills) throw new Killed();
    const { events, result } = decide(log.state);
    append(...events);
    const again = decide(log.state);
    if (again.events.length > 0 || told(again.result) !== told(result))
      throw new Error(`deciding twice: ${told(result)} became ${told(again.result)} with ${told(again.events)}`);
    return result;
  };
  const once = (call: string, to: "llm" | "referee", purpose: "draft" | "evaluate" | "refine" | "propose") => {
    if (log.state.calls.get(call)?.state === "answered") return;
    const submission = (log.state.calls.get(call)?.submission ?? 0) + 1;
    append({
      type: "call.submitted",
      call,
      to,
      purpose,
      slot: call,
      model: to === "llm" ? "simulated" : null,
      submission,
      reservedMicroUsd: 10,
    });
    if (rng() < kills) throw new Killed();
    append({ type: "call.answered", call, model: "dice", usage: null, costMicroUsd: 3, durationMs: 5 });
  };

  const script = (nodeIds: string[]) => {
    const parent = () => nodeIds[Math.floor(rng() * nodeIds.length)] ?? "root";
    const inserts = Array.from({ length: rng() < proposes ? 1 + Math.floor(rng() * 3) : 0 }, () => ({
      op: "insert_node",
      parent_id: parent(),
      node: {
        ...looseNode("", null, { action: { title: `idea ${rng()}`, score_0_to_1: rng() } }),
        node_id: undefined,
        parent_id: undefined,
      },
    }));
    return {
      ops: [
        ...inserts,
        { op: "delete_node", node_id: parent() },
        { op: "update_node", node_id: parent(), patch: { notes: "learnt" } },
      ],
    };
  };

  /** Attempts of one cycle, at most `left`: a lane whose share is used leaves its cycle to the next round. */
  function* work(cycle: string, isJudged: boolean, left: number): Generator<void, { next: string; used: number }> {
    let used = 0;
    if (isJudged) {
      const next = commit((state) => afterAttempt(state, cycle));
      if (next !== "again") return { next, used };
    }
    for (;;) {
      yield;
      const started = commit((state) => startAttempt(state, cycle));
      if (started === null) return { next: "none", used };
      const { attempt } = started;
      const now = () => attemptOf(log.state, attempt);
      if (!now().drafted) {
        yield;
        once(draftCall(now()), "llm", "draft");
        yield;
        if (!now().drafted) {
          const kernelId: KernelId | null = rng() < 0.1 ? null : `ker_${Math.floor(rng() * 40)}`;
          append({
            type: "attempt.drafted",
            attempt,
            kernelId,
            sameAs: (kernelId && verdictOn(log.state, kernelId)?.attempt) ?? null,
          });
        }
      }
      if (now().status === null) {
        yield;
        append(judge(now().kernelId, attempt));
      }
      yield;
      const next = commit((state) => afterAttempt(state, cycle));
      used += 1;
      if (next !== "again" || used >= left) return { next, used };
    }
  }

  const judge = (kernelId: KernelId | null, attempt: number): RunEvent => {
    const told = {
      type: "attempt.judged" as const,
      attempt,
      vsBaseline: null,
      callNs: null,
      message: "as the dice fell",
    };
    if (kernelId === null) return { ...told, status: "unparsable", score: null };
    once(evaluateCall(attemptOf(log.state, attempt)), "referee", "evaluate");
    const value = 0.5 + rng() * 3;
    if (rng() < passes) return { ...told, status: "passed", score: { value, low: value * 0.9, high: value * 1.1 } };
    return { ...told, status: rng() < 0.05 ? "infra_error" : "incorrect_numerical", score: null };
  };

  function* lane(given: Omit<Lane, "left">): Generator<void, void> {
    let left = log.state.options.laneShare;
    for (;;) {
      yield;
      const claimed: Claimed = commit((state) => claim(state, { ...given, left }));
      if (claimed.next === "end") return;
      if (claimed.next === "wait") continue;
      if (claimed.next === "propose") {
        yield;
        const { call } = claimed;
        once(call, "llm", "propose");
        yield;
        append(edit(log.state, call, "propose", null));
        continue;
      }
      const { cycle } = claimed;
      const { next, used } =
        claimed.next === "refine" ? { next: "refine", used: 0 } : yield* work(cycle, claimed.next === "judge", left);
      left -= used;
      const closed = log.state.cycles.get(cycle);
      if (next !== "refine" || closed === undefined) continue;
      const call = refineCall(cycle, closed.refinements + 1);
      yield;
      once(call, "llm", "refine");
      yield;
      append(...afterEdit(log.state, cycle, edit(log.state, call, "refine", closed)).events);
    }
  }

  const edit = (state: RunState, call: string, purpose: "propose" | "refine", about: Cycle | null) => {
    const nodeId = about?.nodeId ?? null;
    const limits: EditLimits = { maxNewNodes: maxNewNodes(state, purpose), idPrefix: call.replaceAll("/", "_") };
    const planned = planEdits(
      state.tree,
      script([...state.tree.nodes.keys()]),
      nodeId === null ? limits : { ...limits, withinNodeId: nodeId },
    );
    return { type: "tree.edited" as const, call, purpose, cycle: about?.cycle ?? null, nodeId, ...planned };
  };

  const execute = (): RunState => {
    const { events, result } = beginExecution(log.state, options.lanes);
    append(...events);
    if (!log.state.initialised && policyOf(log.state).usesTree) append(initialised(rng));
    for (let next = "again"; next === "again"; next = commit(closeRound)) {
      const round = log.state.round + 1;
      commit((state) => openRound(state, round));
      const lanes = Array.from({ length: options.lanes }, (_, index) =>
        lane({ lane: index + 1, epoch: result.epoch, round }),
      );
      while (lanes.length > 0) {
        const index = Math.floor(rng() * lanes.length);
        if (lanes[index]?.next().done) lanes.splice(index, 1);
      }
    }
    return log.state;
  };

  for (let executions = 0; log.state.status === "running"; executions += 1) {
    try {
      if (execute().status === "paused") break;
      confirm(log, rng, append);
      append({ type: "run.finished", status: "succeeded", reason: "done" });
    } catch (error) {
      if (!(error instanceof Killed) || executions > 200) throw error;
    }
  }
  return log;
}

/** Duels until one stands, judged by dice. */
export function confirm(
  log: Log,
  rng: Rng,
  append: (event: RunEvent) => void = (event) => void log.append(event),
): number {
  let duels = 0;
  for (let duel = nextDuel(log.state); duel !== null; duel = nextDuel(log.state)) {
    duels += 1;
    if (duels > 30) throw new Error("the confirmation does not end");
    const winner = [duel.kernelId, duel.kernelId, duel.rivalId, null][Math.floor(rng() * 4)] ?? null;
    append({
      type: "duel.judged",
      ...duel,
      status: winner === duel.kernelId ? "passed" : "incorrect_numerical",
      score: null,
      ratio: null,
      winner,
      message: "",
    });
  }
  append({ type: "best.confirmed", kernelId: log.state.duels.at(-1)?.winner ?? null });
  return duels;
}

function initialised(rng: Rng): RunEvent {
  const ideas = Array.from({ length: 1 + Math.floor(rng() * 6) }, (_, index) =>
    looseNode(`n${index}`, rng() < 0.7 || index === 0 ? "root" : `n${index - 1}`, {
      action: { title: `idea ${index}`, score_0_to_1: rng() },
    }),
  );
  const document = readDocument(looseDocument(ideas));
  if (document === null) throw new Error("not a document");
  const { kernelSummary, openQuestions, rootId } = document.tree;
  return {
    type: "tree.initialised",
    call: "init1",
    kernelSummary,
    openQuestions: [...openQuestions],
    rootId,
    rootNotes: "",
    nodes: seedsOf(document.tree),
    repairs: [],
  };
}

/** A result as text; of an attempt its number alone, since only the log knows when it started. */
const told = (value: unknown): string =>
  typeof value === "object" && value !== null && "attempt" in value
    ? `attempt ${value.attempt}`
    : JSON.stringify(value);
