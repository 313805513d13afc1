import { AppError } from "../errors.ts";
import { applyEdit } from "../tree/edits.ts";
import { emptyTree, frontier, type MeasuredRef, newNode, rootNode, type Tree, type TreeNode } from "../tree/node.ts";
import { attemptOfCall, confirmCall, draftCall, evaluateCall, seedCall } from "./calls.ts";
import type { LoggedEvent, RunEvent } from "./events.ts";
import { drop, type Own, patch, put, setAt } from "./owned.ts";
import { type Attempt, attemptOf, newAttempt, type RunState } from "./state.ts";

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
    seed: null,
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
    barrenProposals: 0,
    proposalsSinceCycle: 0,
    stops: [],
    spentMicroUsd: 0,
    best: null,
    duels: [],
    confirmed: null,
    confirmDone: false,
    cancelRequested: false,
    refusals: [],
  };
}

/** The state after one more event. Events must come in their order, without gaps. */
export const apply = (state: RunState | null, logged: LoggedEvent): RunState => step(state, logged, new WeakSet());

/** The state that a log describes, from nothing or going on from an earlier state. Null: an empty log. */
export function fold(log: Iterable<LoggedEvent>, from: RunState | null = null): RunState | null {
  const own: Own = new WeakSet();
  let state = from;
  for (const logged of log) state = step(state, logged, own);
  return state;
}

function step(state: RunState | null, logged: LoggedEvent, own: Own): RunState {
  if (state === null) return created(logged);
  if (logged.seq !== state.seq + 1)
    throw new AppError("operator", "log.gap", `event ${logged.seq} follows ${state.seq} in the log of ${state.runId}`);
  return { ...change(state, logged.event, logged.atMs, own), seq: logged.seq, updatedAtMs: logged.atMs };
}

function change(state: RunState, event: RunEvent, atMs: number, own: Own): RunState {
  switch (event.type) {
    case "run.created":
      throw new AppError("operator", "log.foreign", `run.created stands twice in the log of ${state.runId}`);
    case "models.changed": {
      const { models, treeModel, modelLabel } = event;
      return { ...state, options: { ...state.options, models, treeModel, modelLabel } };
    }
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
        calls: put(own, state.calls, event.call, {
          ...event,
          ticket: null,
          submittedAtMs: atMs,
          state: "submitted" as const,
        }),
        callsMade: { ...state.callsMade, [event.to]: state.callsMade[event.to] + 1 },
        attempts: askedOf(state, event, own),
      };
    case "call.ticketed":
      return { ...state, calls: patch(own, state.calls, event.call, { ticket: event.ticket }) };
    case "call.answered":
      return answered(state, event, own);
    case "call.failed":
    case "call.lost":
      return {
        ...state,
        calls: patch(own, state.calls, event.call, { state: "failed" as const }),
        spentMicroUsd: state.spentMicroUsd + event.costMicroUsd,
        attempts: charged(state, event, { tokens: 0, durationMs: 0 }, own),
      };
    case "init.refused":
      return {
        ...state,
        calls: drop(own, state.calls, event.call),
        initRefusals: [...state.initRefusals, event.reason],
      };
    case "tree.initialised":
      return {
        ...state,
        calls: drop(own, state.calls, event.call),
        initialised: true,
        tree: planted(state, event),
      };
    case "tree.imported": {
      const tree = planted(state, event);
      return {
        ...state,
        initialised: true,
        tree: event.solutions.reduce(
          (now, { nodeId, ...solution }) =>
            patchNode(own, now, nodeId, () => ({ solution: { ...solution, attempt: 0 } })),
          tree,
        ),
      };
    }
    case "tree.extended":
      return { ...state, tree: applyEdit(state.tree, { edit: "insert", node: event.node }) };
    case "tree.edited": {
      const tree = event.edits.reduce(applyEdit, state.tree);
      const inserted = new Set(event.edits.map((edit) => (edit.edit === "insert" ? edit.node.nodeId : null)));
      const opened = frontier(tree).filter((node) => inserted.has(node.nodeId)).length;
      const refined = event.purpose === "refine" && event.nodeId !== null ? event.nodeId : null;
      return {
        ...state,
        calls: drop(own, state.calls, event.call),
        tree:
          refined === null ? tree : patchNode(own, tree, refined, (node) => ({ refinements: node.refinements + 1 })),
        cycles: refinedCycle(own, state.cycles, event.cycle),
        proposal: event.purpose === "propose" ? null : state.proposal,
        proposalsSinceCycle: state.proposalsSinceCycle + (event.purpose === "propose" ? 1 : 0),
        barrenProposals: opened > 0 ? 0 : state.barrenProposals + barrenWeight(event),
        refusals: [
          ...state.refusals,
          ...event.refused.map(({ op, reason }) => ({ call: event.call, op, reason })),
        ].slice(-24),
      };
    }
    case "seed.judged": {
      const judged = { ...state, seedJudged: true, calls: drop(own, state.calls, seedCall) };
      // A kernel of an imported node was measured anew; one that fails is no solution of it any more.
      const { rootId, nodes } = state.tree;
      const holder = [...nodes.values()].find(({ solution }) => solution?.kernelId === event.kernelId);
      const { score, vsBaseline } = event;
      const seed: MeasuredRef | null =
        score === null ? null : { kernelId: event.kernelId, attempt: 0, score: score.value, vsBaseline };
      const nodeId = holder?.nodeId ?? (seed !== null && nodes.get(rootId)?.solution === null ? rootId : null);
      return {
        ...judged,
        seed,
        best: seed ?? state.best,
        tree: nodeId === null ? state.tree : patchNode(own, state.tree, nodeId, () => ({ solution: seed })),
      };
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
        cycles: put(own, state.cycles, event.cycle, {
          ...event,
          attempts: [],
          refinements: 0,
          state: "working" as const,
        }),
        proposalsSinceCycle: 0,
        cyclesOpened: put(own, state.cyclesOpened, event.lane, (state.cyclesOpened.get(event.lane) ?? 0) + 1),
      };
    case "cycle.takenOver":
      return { ...state, cycles: patch(own, state.cycles, event.cycle, { lane: event.lane, epoch: event.epoch }) };
    case "attempt.started":
      return started(state, event, atMs, own);
    case "attempt.drafted": {
      const attempt = attemptOf(state, event.attempt);
      const { kernelId, sameAs } = event;
      return {
        ...state,
        calls: drop(own, state.calls, draftCall(attempt)),
        attempts: replaced(own, state.attempts, { ...attempt, drafted: true, kernelId, sameAs }),
      };
    }
    case "attempt.judged":
      return judged(state, event, atMs, own);
    case "cycle.closed": {
      const cycle = state.cycles.get(event.cycle);
      const node = cycle && state.tree.nodes.get(cycle.nodeId);
      const barren = node !== undefined && node.solution === null && (cycle?.attempts.length ?? 0) > 0;
      return {
        ...state,
        tree: barren ? patchNode(own, state.tree, node.nodeId, (now) => ({ failures: now.failures + 1 })) : state.tree,
        cycles: event.refine
          ? patch(own, state.cycles, event.cycle, { state: "closed" as const })
          : drop(own, state.cycles, event.cycle),
      };
    }
    case "cycle.ended":
      return { ...state, cycles: drop(own, state.cycles, event.cycle) };
    case "lane.stopped": {
      const { type: _, ...stop } = event;
      return { ...state, stops: [...state.stops, stop] };
    }
    case "duel.judged": {
      const { type: _, ...duel } = event;
      return {
        ...state,
        duels: [...state.duels, duel],
        calls: drop(own, state.calls, confirmCall(state.duels.length + 1)),
      };
    }
    case "best.confirmed":
      return { ...state, confirmed: event.kernelId, confirmDone: true };
    case "cancel.requested":
      return { ...state, cancelRequested: true };
    case "run.paused":
      return { ...state, status: "paused", pause: { who: event.who, code: event.code, message: event.message } };
    case "run.finished":
      return { ...state, status: event.status, reason: event.reason, pause: null, endedAtMs: atMs };
  }
}

/** Proposals that open nothing, in a row, after which the model is not asked again until something opens. */
export const mostBarrenProposals = 3;

/** How much a proposal that opened nothing counts: "nothing is worth an attempt" is an answer, a reply with faults a third of one. */
const barrenWeight = ({ purpose, edits, refused }: Extract<RunEvent, { type: "tree.edited" }>): number =>
  purpose !== "propose" ? 0 : edits.length === 0 && refused.length === 0 ? mostBarrenProposals : 1;

function answered(state: RunState, event: Extract<RunEvent, { type: "call.answered" }>, own: Own): RunState {
  const { usage, durationMs } = event;
  const tokens = usage === null ? 0 : usage.inputTokens + usage.outputTokens;
  return {
    ...state,
    calls: patch(own, state.calls, event.call, { state: "answered" as const }),
    spentMicroUsd: state.spentMicroUsd + event.costMicroUsd,
    attempts: charged(state, event, { tokens, durationMs }, own),
  };
}

/** The attempts with what a call cost charged to the one that it was made for. */
function charged(
  state: RunState,
  { call, costMicroUsd }: { call: string; costMicroUsd: number },
  { tokens, durationMs }: { tokens: number; durationMs: number },
  own: Own,
): readonly Attempt[] {
  const attempt = state.attempts[(attemptOfCall(call) ?? 0) - 1];
  if (!attempt) return state.attempts;
  const isLlm = state.calls.get(call)?.to === "llm";
  return replaced(own, state.attempts, {
    ...attempt,
    costMicroUsd: attempt.costMicroUsd + costMicroUsd,
    llmMicroUsd: attempt.llmMicroUsd + (isLlm ? costMicroUsd : 0),
    llmTokens: attempt.llmTokens + tokens,
    llmMs: attempt.llmMs + (isLlm ? durationMs : 0),
    refereeMs: attempt.refereeMs + (isLlm ? 0 : durationMs),
  });
}

/** An attempt whose model is no longer among the run's is drafted by another, and says so. */
function askedOf(state: RunState, { call, model }: { call: string; model: string | null }, own: Own) {
  const attempt = state.attempts[(attemptOfCall(call) ?? 0) - 1];
  const isMoved = attempt !== undefined && attempt.model !== null && model !== null && attempt.model !== model;
  return isMoved ? replaced(own, state.attempts, { ...attempt, model }) : state.attempts;
}

function started(
  state: RunState,
  event: Extract<RunEvent, { type: "attempt.started" }>,
  atMs: number,
  own: Own,
): RunState {
  const attempt = newAttempt(event, atMs);
  const cycle = state.cycles.get(event.cycle);
  return {
    ...state,
    attempts: setAt(own, state.attempts, state.attempts.length, attempt),
    cycles: cycle
      ? patch(own, state.cycles, event.cycle, { attempts: [...cycle.attempts, event.attempt] })
      : state.cycles,
    tree: patchNode(own, state.tree, event.nodeId, (node) => ({ attempts: [...node.attempts, event.attempt] })),
  };
}

function judged(
  state: RunState,
  event: Extract<RunEvent, { type: "attempt.judged" }>,
  atMs: number,
  own: Own,
): RunState {
  const attempt: Attempt = {
    ...attemptOf(state, event.attempt),
    status: event.status,
    score: event.score,
    vsBaseline: event.vsBaseline,
    callNs: event.callNs,
    message: event.message,
    endedAtMs: atMs,
  };
  const node = state.tree.nodes.get(attempt.nodeId);
  const { score, vsBaseline } = event;
  const found: MeasuredRef | null =
    score !== null && attempt.kernelId !== null
      ? { kernelId: attempt.kernelId, attempt: attempt.attempt, score: score.value, vsBaseline }
      : null;
  const better = (now: { score: number | null } | null | undefined) =>
    found !== null && found.score > (now?.score ?? Number.NEGATIVE_INFINITY);
  const improved = better(state.best);
  return {
    ...state,
    calls: drop(own, drop(own, state.calls, draftCall(attempt)), evaluateCall(attempt)),
    attempts: replaced(own, state.attempts, attempt),
    judged: state.judged + 1,
    lastImprovement: improved ? state.judged + 1 : state.lastImprovement,
    refereeTrouble: event.status === "infra_error" ? state.refereeTrouble + 1 : 0,
    best: improved ? found : state.best,
    tree:
      node && better(node.solution) ? patchNode(own, state.tree, node.nodeId, () => ({ solution: found })) : state.tree,
  };
}

/** The tree that an init or an import begins with; a seed that was judged before it stays at the root. */
const planted = (state: RunState, { kernelSummary, openQuestions, rootId, rootNotes, nodes }: Planted): Tree => ({
  kernelSummary,
  openQuestions,
  rootId,
  nodes: new Map<string, TreeNode>([
    [rootId, { ...rootNode(rootId, rootNotes), solution: state.tree.nodes.get(state.tree.rootId)?.solution ?? null }],
    ...nodes.map((seed): [string, TreeNode] => [seed.nodeId, newNode(seed)]),
  ]),
});

type Planted = Pick<
  Extract<RunEvent, { type: "tree.initialised" }>,
  "kernelSummary" | "openQuestions" | "rootId" | "rootNotes" | "nodes"
>;

const refinedCycle = (own: Own, cycles: RunState["cycles"], name: string | null): RunState["cycles"] => {
  const cycle = name === null ? undefined : cycles.get(name);
  return cycle ? put(own, cycles, cycle.cycle, { ...cycle, refinements: cycle.refinements + 1 }) : cycles;
};

const replaced = (own: Own, attempts: readonly Attempt[], attempt: Attempt): readonly Attempt[] =>
  setAt(own, attempts, attempt.attempt - 1, attempt);

const patchNode = (own: Own, tree: Tree, nodeId: string, change: (node: TreeNode) => Partial<TreeNode>): Tree => {
  const node = tree.nodes.get(nodeId);
  return node ? { ...tree, nodes: patch(own, tree.nodes, nodeId, change(node)) } : tree;
};
