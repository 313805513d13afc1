import { frontier, type TreeNode } from "../tree/node.ts";
import { mostBarrenProposals } from "./fold.ts";
import type { Policy } from "./policy.ts";
import { attemptOf, type RunState } from "./state.ts";

/**
 * Policy `lanes` (design.md 3): several lanes expand the frontier at once. The value of a node is the model's belief,
 * halved by every barren cycle, plus its parent's quality, minus difficulty as a cost, plus an upper-confidence bonus
 * in which claimed neighbours count as visits (virtual loss), so that lanes spread over families of ideas.
 */
const weights = { parentQuality: 0.5, difficulty: 0.25, exploration: 0.3, jitter: 1e-3 };

export const lanesPolicy: Policy = {
  name: "lanes",
  usesTree: true,
  initialActions: (state) => 2 * state.lanes,
  next(state, rng) {
    const { base, max } = state.options.attemptsPerNode;
    const claimed = new Set([...state.cycles.values()].map((cycle) => cycle.nodeId));
    const open = frontier(state.tree).filter((node) => !claimed.has(node.nodeId) && node.attempts.length < max);
    const easy = open.filter((node) => (node.action?.difficulty ?? 3) <= (state.options.maxDifficulty ?? 5));
    const free = easy.length > 0 ? easy : open;
    const pick = best(free, (node) => value(state, node, claimed) + weights.jitter * rng());
    if (pick) return { do: "work", nodeId: pick.nodeId };
    if (state.proposal === null && state.barrenProposals < mostBarrenProposals) return { do: "propose" };
    const shared = [...claimed]
      .flatMap((nodeId) => state.tree.nodes.get(nodeId) ?? [])
      .filter((node) => node.attempts.length < base);
    const redraft = best(shared, (node) => value(state, node, claimed));
    if (redraft) return { do: "work", nodeId: redraft.nodeId };
    if (othersAtWork(state)) return { do: "wait" };
    return {
      do: "stop",
      reason: "nothing_free",
      message: "every open node is claimed or used up, and the model proposes nothing new",
    };
  },
  attempt(state, cycle) {
    const node = state.tree.nodes.get(cycle.nodeId);
    if (!node || node.attempts.length >= state.options.attemptsPerNode.max) return null;
    const base = state.tree.nodes.get(node.parentId ?? "")?.solution?.kernelId ?? null;
    const last = cycle.attempts.at(-1);
    const failed = last !== undefined && attemptOf(state, last).status !== "infra_error" ? last : null;
    const previousAttempt = node.solution?.attempt ?? failed;
    if (previousAttempt === null)
      return { kind: base === null ? "draft_spec" : "draft_base", baseKernelId: base, previousAttempt };
    // The node's own best stands in for the base that it was made from.
    if (node.solution !== null) return { kind: "improve", baseKernelId: null, previousAttempt };
    return { kind: "debug", baseKernelId: base, previousAttempt };
  },
  afterAttempt(state, cycle) {
    const { base, max } = state.options.attemptsPerNode;
    const node = state.tree.nodes.get(cycle.nodeId);
    if (!node || node.attempts.length >= max) return "close";
    if (node.attempts.length < base) return "again";
    const broughtEvidence = node.solution !== null && node.solution.attempt === cycle.attempts.at(-1);
    return broughtEvidence ? "again" : "close";
  },
  afterEdit: () => ({ do: "end" }),
  demand: () => "",
};

/** True while a lane that has not stopped holds a cycle or a proposal: its edits may bring new nodes. */
const othersAtWork = (state: RunState): boolean =>
  [...state.cycles.values(), ...(state.proposal ? [state.proposal] : [])].some(
    ({ lane, epoch }) => epoch === state.epoch && !state.stops.some((stop) => stop.lane === lane),
  );

/** The value of working on a node now; see {@link lanesPolicy}. Exported for the tree view, which shows it. */
export function value(state: RunState, node: TreeNode, claimed: ReadonlySet<string>): number {
  const belief = (node.action?.score ?? 0) * 0.5 ** node.failures;
  const difficulty = ((node.action?.difficulty ?? 3) - 1) / 4;
  const neighbours = [...claimed].filter((id) => state.tree.nodes.get(id)?.parentId === node.parentId).length;
  const bonus = Math.sqrt(Math.log(1 + state.attempts.length) / (1 + node.attempts.length + neighbours));
  return (
    belief +
    weights.parentQuality * parentQuality(state, node) -
    weights.difficulty * difficulty +
    weights.exploration * bonus
  );
}

/** 0 to 1: how good the kernel is that the node would build on, on a log scale against the run's best. */
function parentQuality(state: RunState, node: TreeNode): number {
  if (state.best === null) return 0.5;
  const parent = node.parentId === null ? undefined : state.tree.nodes.get(node.parentId);
  const score = parent?.solution?.score ?? 1;
  return Math.min(1, Math.log2(1 + score) / Math.log2(1 + Math.max(state.best.score, 1)));
}

function best<T>(items: readonly T[], score: (item: T) => number): T | undefined {
  let top: { item: T; value: number } | undefined;
  for (const item of items) {
    const itemValue = score(item);
    if (!top || itemValue > top.value) top = { item, value: itemValue };
  }
  return top?.item;
}
