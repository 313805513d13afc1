import { AppError } from "../errors.ts";
import type { KernelId } from "../kernel.ts";
import { applyEdit } from "../tree/edits.ts";
import { emptyTree, frontier, newNode, rootNode, type SolutionRef, type Tree, type TreeNode } from "../tree/node.ts";
import type { LoggedEvent, RunEvent } from "./events.ts";
import { type Attempt, attemptName, attemptOf, newAttempt, type RunState } from "./state.ts";

function created(logged: LoggedEvent): RunState {
  const { event, seq, atMs } = logged;
  if (event.type !== "run.created" || seq !== 1)
    throw new AppError(
      "operator",
      "log.foreign",
      `a run's log begins with run.created as event 1, found ${event.type} as ${seq}`,
    );
  return {
    seq,
    runId: event.runId,
    problem: event.problem,
    problemDigest: event.problemDigest,
    options: event.options,
    seedKernelId: event.seedKernelId,
    seedJudged: false,
    status: "running",
    pause: null,
    reason: "",
    epoch: 0,
    lanes: event.options.lanes,
    round: 0,
    startedAtMs: atMs,
    updatedAtMs: atMs,
    endedAtMs: null,
    initialised: false,
    initRefusals: [],
    initRefusalsBefore: 0,
    tree: emptyTree(),
    attempts: [],
    judged: 0,
    judgedAtRoundStart: 0,
    lastImprovement: 0,
    refereeTrouble: 0,
    cycles: new Map(),
    cyclesOpened: new Map(),
    calls: new Map(),
    callsMade: { llm: 0, referee: 0 },
    proposals: 0,
    proposal: null,
    lastProposalYield: null,
    stops: [],
    spentMicroUsd: 0,
    best: null,
    byKernel: new Map(),
    duels: [],
    confirmed: null,
    confirmDone: false,
    cancelRequested: false,
    refusals: [],
  };
}

/** The state after one more event. Events must come in their order, without gaps. */
export function apply(state: RunState | null, logged: LoggedEvent): RunState {
  if (state === null) return created(logged);
  if (logged.seq !== state.seq + 1)
    throw new AppError("operator", "log.gap", `event ${logged.seq} follows ${state.seq} in the log of ${state.runId}`);
  return { ...change(state, logged.event, logged.atMs), seq: logged.seq, updatedAtMs: logged.atMs };
}

/** The state that a log describes. Null: an empty log. */
export const fold = (log: Iterable<LoggedEvent>, from: RunState | null = null): RunState | null => {
  let state = from;
  for (const logged of log) state = apply(state, logged);
  return state;
};

function change(state: RunState, event: RunEvent, atMs: number): RunState {
  switch (event.type) {
    case "run.created":
      throw new AppError("operator", "log.foreign", `run.created stands twice in the log of ${state.runId}`);
    case "execution.started":
      return {
        ...state,
        epoch: event.epoch,
        lanes: event.lanes,
        status: "running",
        pause: null,
        reason: "",
        endedAtMs: null,
        stops: [],
        refereeTrouble: 0,
        initRefusalsBefore: state.initRefusals.length,
      };
    case "call.submitted":
      return {
        ...state,
        calls: with_(state.calls, event.call, {
          ...event,
          ticket: null,
          submittedAtMs: atMs,
          state: "submitted" as const,
        }),
        callsMade: { ...state.callsMade, [event.to]: state.callsMade[event.to] + 1 },
      };
    case "call.ticketed":
      return { ...state, calls: patched(state.calls, event.call, { ticket: event.ticket }) };
    case "call.answered":
      return answered(state, event);
    case "call.failed":
      return { ...state, calls: patched(state.calls, event.call, { state: "failed" as const }) };
    case "call.lost":
      return {
        ...state,
        calls: patched(state.calls, event.call, { state: "failed" as const }),
        spentMicroUsd: state.spentMicroUsd + event.costMicroUsd,
      };
    case "init.refused":
      return { ...state, calls: without(state.calls, event.call), initRefusals: [...state.initRefusals, event.reason] };
    case "tree.initialised":
      return {
        ...state,
        calls: without(state.calls, event.call),
        initialised: true,
        tree: {
          kernelSummary: event.kernelSummary,
          openQuestions: event.openQuestions,
          rootId: event.rootId,
          nodes: new Map<string, TreeNode>([
            [
              event.rootId,
              {
                ...rootNode(event.rootId, event.rootNotes),
                solution: state.tree.nodes.get(state.tree.rootId)?.solution ?? null,
              },
            ],
            ...event.nodes.map((seed): [string, TreeNode] => [seed.nodeId, newNode(seed)]),
          ]),
        },
      };
    case "tree.edited": {
      const tree = event.edits.reduce(applyEdit, state.tree);
      const inserted = new Set(event.edits.map((edit) => (edit.edit === "insert" ? edit.node.nodeId : null)));
      const opened = frontier(tree).filter((node) => inserted.has(node.nodeId)).length;
      const refined = event.purpose === "refine" && event.nodeId !== null ? event.nodeId : null;
      return {
        ...state,
        calls: without(state.calls, event.call),
        tree: refined === null ? tree : patchNode(tree, refined, (node) => ({ refinements: node.refinements + 1 })),
        proposal: event.purpose === "propose" ? null : state.proposal,
        lastProposalYield: event.purpose === "propose" ? opened : opened > 0 ? null : state.lastProposalYield,
        refusals: [
          ...state.refusals,
          ...event.refused.map(({ op, reason }) => ({ call: event.call, op, reason })),
        ].slice(-24),
      };
    }
    case "seed.judged": {
      const judged = { ...state, seedJudged: true, calls: withoutPrefix(state.calls, "seed/") };
      if (event.score === null) return judged;
      const seed: SolutionRef = { kernelId: event.kernelId, attempt: 0, score: event.score.value };
      return { ...judged, best: seed, tree: patchNode(state.tree, state.tree.rootId, () => ({ solution: seed })) };
    }
    case "proposal.opened": {
      const { call, lane, epoch } = event;
      return {
        ...state,
        proposal: { call, lane, epoch },
        proposals: state.proposals + (state.proposal?.call === call ? 0 : 1),
      };
    }
    case "round.opened":
      return { ...state, round: event.round, stops: [], judgedAtRoundStart: state.judged };
    case "cycle.opened":
      return {
        ...state,
        cycles: with_(state.cycles, event.cycle, { ...event, attempts: [], state: "working" as const }),
        cyclesOpened: with_(state.cyclesOpened, event.lane, (state.cyclesOpened.get(event.lane) ?? 0) + 1),
      };
    case "cycle.takenOver":
      return { ...state, cycles: patched(state.cycles, event.cycle, { lane: event.lane, epoch: event.epoch }) };
    case "attempt.started":
      return started(state, event, atMs);
    case "attempt.drafted": {
      const attempt = attemptOf(state, event.attempt);
      const { kernelId, sameAs } = event;
      return {
        ...state,
        calls: without(state.calls, `${attemptName(attempt)}/draft`),
        attempts: replaced(state.attempts, { ...attempt, drafted: true, kernelId, sameAs }),
        byKernel:
          kernelId && !judgedBefore(state, kernelId) ? with_(state.byKernel, kernelId, event.attempt) : state.byKernel,
      };
    }
    case "attempt.judged":
      return judged(state, event, atMs);
    case "cycle.closed": {
      const cycle = state.cycles.get(event.cycle);
      const node = cycle && state.tree.nodes.get(cycle.nodeId);
      const barren = node !== undefined && node.solution === null && (cycle?.attempts.length ?? 0) > 0;
      return {
        ...state,
        tree: barren ? patchNode(state.tree, node.nodeId, (now) => ({ failures: now.failures + 1 })) : state.tree,
        cycles: event.refine
          ? patched(state.cycles, event.cycle, { state: "closed" as const })
          : without(state.cycles, event.cycle),
      };
    }
    case "cycle.ended":
      return { ...state, cycles: without(state.cycles, event.cycle) };
    case "lane.stopped": {
      const { type: _, ...stop } = event;
      return { ...state, stops: [...state.stops, stop] };
    }
    case "duel.judged": {
      const { type: _, ...duel } = event;
      return {
        ...state,
        duels: [...state.duels, duel],
        calls: withoutPrefix(state.calls, `confirm${state.duels.length + 1}/`),
      };
    }
    case "best.confirmed":
      return { ...state, confirmed: event.kernelId, confirmDone: true };
    case "cancel.requested":
      return { ...state, cancelRequested: true };
    case "run.paused":
      return { ...state, status: "paused", pause: { who: event.who, code: event.code, message: event.message } };
    case "run.finished":
      return { ...state, status: event.status, reason: event.reason, endedAtMs: atMs };
  }
}

function answered(state: RunState, event: Extract<RunEvent, { type: "call.answered" }>): RunState {
  const call = state.calls.get(event.call);
  const number = attemptNumber(event.call, state);
  const attempt = number === null ? undefined : state.attempts[number - 1];
  const charged = attempt && {
    ...attempt,
    costMicroUsd: attempt.costMicroUsd + event.costMicroUsd,
    llmMs: attempt.llmMs + (call?.to === "llm" ? event.durationMs : 0),
    refereeMs: attempt.refereeMs + (call?.to === "referee" ? event.durationMs : 0),
  };
  return {
    ...state,
    calls: patched(state.calls, event.call, { state: "answered" as const }),
    spentMicroUsd: state.spentMicroUsd + event.costMicroUsd,
    attempts: charged ? replaced(state.attempts, charged) : state.attempts,
  };
}

function started(state: RunState, event: Extract<RunEvent, { type: "attempt.started" }>, atMs: number): RunState {
  const attempt = newAttempt(event, atMs);
  const cycle = state.cycles.get(event.cycle);
  return {
    ...state,
    attempts: [...state.attempts, attempt],
    cycles: cycle ? patched(state.cycles, event.cycle, { attempts: [...cycle.attempts, event.attempt] }) : state.cycles,
    tree: patchNode(state.tree, event.nodeId, (node) => ({ attempts: [...node.attempts, event.attempt] })),
  };
}

/** True once an attempt with this kernel is known whose verdict holds; the referee's own trouble is no verdict. */
const judgedBefore = (state: RunState, kernelId: KernelId): boolean => {
  const known = state.byKernel.get(kernelId);
  return known !== undefined && attemptOf(state, known).status !== "infra_error";
};

function judged(state: RunState, event: Extract<RunEvent, { type: "attempt.judged" }>, atMs: number): RunState {
  const attempt: Attempt = {
    ...attemptOf(state, event.attempt),
    status: event.status,
    score: event.score,
    callNs: event.callNs,
    message: event.message,
    endedAtMs: atMs,
  };
  const node = state.tree.nodes.get(attempt.nodeId);
  const found: SolutionRef | null =
    event.score !== null && attempt.kernelId !== null
      ? { kernelId: attempt.kernelId, attempt: attempt.attempt, score: event.score.value }
      : null;
  const better = (now: SolutionRef | null | undefined) =>
    found !== null && (now === null || now === undefined || found.score > now.score);
  const improved = better(state.best);
  return {
    ...state,
    calls: withoutPrefix(state.calls, `${attemptName(attempt)}/`),
    attempts: replaced(state.attempts, attempt),
    judged: state.judged + 1,
    lastImprovement: improved ? state.judged + 1 : state.lastImprovement,
    refereeTrouble: event.status === "infra_error" ? state.refereeTrouble + 1 : 0,
    best: improved ? found : state.best,
    tree: node && better(node.solution) ? patchNode(state.tree, node.nodeId, () => ({ solution: found })) : state.tree,
  };
}

const attemptNumber = (call: string, state: RunState): number | null => {
  const match = /\/attempt(\d+)\//.exec(call);
  const number = match?.[1] === undefined ? null : Number(match[1]);
  return number !== null && number <= state.attempts.length ? number : null;
};

const with_ = <K, V>(map: ReadonlyMap<K, V>, key: K, value: V): ReadonlyMap<K, V> => new Map(map).set(key, value);

const without = <K, V>(map: ReadonlyMap<K, V>, key: K): ReadonlyMap<K, V> => {
  if (!map.has(key)) return map;
  const copy = new Map(map);
  copy.delete(key);
  return copy;
};

const withoutPrefix = <V>(map: ReadonlyMap<string, V>, prefix: string): ReadonlyMap<string, V> =>
  [...map.keys()].filter((key) => key.startsWith(prefix)).reduce(without, map);

const patched = <K, V extends object>(map: ReadonlyMap<K, V>, key: K, patch: Partial<V>): ReadonlyMap<K, V> => {
  const value = map.get(key);
  return value ? with_(map, key, { ...value, ...patch }) : map;
};

const replaced = (attempts: readonly Attempt[], attempt: Attempt): Attempt[] =>
  attempts.with(attempt.attempt - 1, attempt);

const patchNode = (tree: Tree, nodeId: string, patch: (node: TreeNode) => Partial<TreeNode>): Tree => {
  const node = tree.nodes.get(nodeId);
  return node ? { ...tree, nodes: with_(tree.nodes, nodeId, { ...node, ...patch(node) }) } : tree;
};
