import { applyEdit } from "../tree/edits.ts";
import { childrenOf, frontier, type NodeSeed, type Tree, type TreeNode } from "../tree/node.ts";
import type { Policy } from "./policy.ts";
import { attemptOf, type Cycle, type RunState } from "./state.ts";

/**
 * Policy `ksearch`: the selection and the cycles of the original (spec/ksearch.md 2.3, 2.4, 3.2, 3.3), for comparison with
 * `lanes`. Its greed is part of it: a failed action stays the first choice unless the model lowers its score (B5), and the
 * cap on difficulty becomes 4 once a kernel has half the baseline's speed (B9).
 */
const wantedOpen = 3;
const goodScore = 0.5;
const mostProposals = 3;
const mostRefinements = 3;
const usualDifficulty = 4;
const relaxedAt = 0.5;
/** The step after a solved node must be easier than this. */
const continuationBelow = 5;

export const ksearchPolicy: Policy = {
  name: "ksearch",
  usesTree: true,
  initialActions: () => wantedOpen,
  next(state) {
    if (wantsIdeas(state)) return { do: "propose" };
    const best = bestNode(state.tree);
    const adding = best && !hasOpenChild(state.tree, best) ? stockAction(state, best, "best") : undefined;
    const tree = adding ? applyEdit(state.tree, { edit: "insert", node: adding }) : state.tree;
    const node = choose(tree, difficultyCap(state));
    if (node) return { do: "work", nodeId: node.nodeId, ...(adding ? { adding } : {}) };
    return { do: "stop", reason: "nothing_free", message: "no action is open, and the model proposes none" };
  },
  attempt(state, cycle) {
    const node = state.tree.nodes.get(cycle.nodeId);
    const parent = state.tree.nodes.get(node?.parentId ?? "");
    const base = parent?.solution ?? null;
    const last = cycle.attempts.at(-1) ?? null;
    if (last === null)
      return {
        kind: base === null ? "draft_spec" : "draft_base",
        baseKernelId: base?.kernelId ?? null,
        previousAttempt: null,
      };
    const best = bestOfCycle(state, cycle);
    const baseScore = base?.score ?? -1;
    const isTop = parent === undefined || parent.nodeId === state.tree.rootId;
    const shown = isTop && baseScore <= 0 ? null : (base?.kernelId ?? null);
    const takesOver = best !== null && (baseScore <= 0 || best.score > baseScore);
    const reference = takesOver ? best.kernelId : shown;
    const isLast = reference === attemptOf(state, last).kernelId;
    return {
      kind: best === null ? "debug" : "improve",
      baseKernelId: isLast ? null : reference,
      previousAttempt: last,
    };
  },
  afterAttempt(state, cycle) {
    const parent = state.tree.nodes.get(state.tree.nodes.get(cycle.nodeId)?.parentId ?? "");
    const baseScore = parent?.solution?.score ?? -1;
    const window = state.options.stagnationWindow;
    let best = -1;
    let stale = 0;
    let staleVsBase = 0;
    for (const number of cycle.attempts) {
      const score = attemptOf(state, number).score?.value ?? null;
      if (score !== null && score > best) {
        best = score;
        stale = 0;
      } else stale += 1;
      if (best > 0 && baseScore > 0) staleVsBase = best > baseScore ? 0 : staleVsBase + 1;
    }
    return stale >= window || staleVsBase >= window ? "close" : "again";
  },
  afterEdit(state, cycle, isClean) {
    const node = state.tree.nodes.get(cycle.nodeId);
    if (!node?.solution) return { do: "end" };
    const lacks = !hasContinuation(state.tree, node);
    if ((lacks || !isClean) && cycle.refinements < mostRefinements) return { do: "again" };
    return { do: "end", ...(lacks ? { adding: stockAction(state, node, "cont") } : {}) };
  },
  demand(state, nodeId) {
    if (nodeId !== null) {
      const node = state.tree.nodes.get(nodeId);
      return node?.solution && !hasContinuation(state.tree, node)
        ? `'${nodeId}' is solved: it needs at least one open action below it with a difficulty under ${continuationBelow}.`
        : "";
    }
    const best = bestNode(state.tree);
    const below =
      best && !hasOpenChild(state.tree, best) ? ` Add one under '${best.nodeId}', the best solved node.` : "";
    return `At least one open action must have a score above ${goodScore}.${below}`;
  },
};

/** Spec 3.3, propose: skipped while enough is open; then at most three tries until something good is. */
function wantsIdeas(state: RunState): boolean {
  const { tree, proposalsSinceCycle } = state;
  const open = frontier(tree);
  if (proposalsSinceCycle >= mostProposals) return false;
  if (proposalsSinceCycle > 0) return !open.some((node) => (node.action?.score ?? 0) > goodScore);
  const best = bestNode(tree);
  return open.length < wantedOpen || (best !== null && !hasOpenChild(tree, best));
}

/** Spec 3.2: at most so hard, unless nothing else is open; then score, ease, rating, id. */
function choose(tree: Tree, cap: number): TreeNode | undefined {
  const open = frontier(tree);
  const easy = open.filter((node) => (node.action?.difficulty ?? 3) <= cap);
  return (easy.length > 0 ? easy : open).toSorted(
    (a, b) =>
      (b.action?.score ?? 0) - (a.action?.score ?? 0) ||
      (a.action?.difficulty ?? 3) - (b.action?.difficulty ?? 3) ||
      b.rating - a.rating ||
      (a.nodeId < b.nodeId ? -1 : 1),
  )[0];
}

function difficultyCap({ tree, options }: RunState): number {
  const versus = [...tree.nodes.values()].map(({ solution }) => solution?.vsBaseline ?? -1);
  return Math.max(-1, ...versus) >= relaxedAt ? usualDifficulty : (options.maxDifficulty ?? usualDifficulty);
}

/** The solved node with the highest score; of equals the larger id. */
function bestNode(tree: Tree): TreeNode | null {
  const solved = [...tree.nodes.values()].filter((node) => node.solution !== null);
  const score = (node: TreeNode) => node.solution?.score ?? -1;
  return solved.toSorted((a, b) => score(b) - score(a) || (a.nodeId < b.nodeId ? 1 : -1))[0] ?? null;
}

function bestOfCycle(state: RunState, cycle: Cycle) {
  let best: { kernelId: `ker_${string}`; score: number } | null = null;
  for (const number of cycle.attempts) {
    const { kernelId, score } = attemptOf(state, number);
    if (kernelId !== null && score !== null && (best === null || score.value > best.score))
      best = { kernelId, score: score.value };
  }
  return best;
}

const openChildren = (tree: Tree, node: TreeNode): TreeNode[] =>
  childrenOf(tree, node.nodeId).filter((child) => child.action !== null && child.solution === null);

const hasOpenChild = (tree: Tree, node: TreeNode): boolean => openChildren(tree, node).length > 0;

const hasContinuation = (tree: Tree, node: TreeNode): boolean =>
  openChildren(tree, node).some((child) => (child.action?.difficulty ?? 3) < continuationBelow);

/** The action that is put below a solved node where the model brought none (spec 3.3; ids and figures as there). */
function stockAction(state: RunState, parent: TreeNode, why: "best" | "cont"): NodeSeed {
  const round = parent.solution?.attempt ?? 0;
  const prefix = why === "best" ? `node_best_cont_r${state.attempts.length + 1}` : `node_r${round}_cont`;
  let nth = 1;
  while (state.tree.nodes.has(`${prefix}_${nth}`)) nth += 1;
  return {
    nodeId: `${prefix}_${nth}`,
    parentId: parent.nodeId,
    decision: "what to do next",
    choice: "go on from this kernel",
    rating: parent.rating,
    confidence: Math.max(0.2, parent.confidence),
    impacts: parent.impacts,
    notes: "A stock action: the model brought none of its own.",
    action: {
      title: `Go on from the kernel of ${parent.nodeId}`.slice(0, 300),
      description: "Find what limits this kernel now and remove it with one small change.",
      rationale: "The kernel passes; nothing else is open below it.",
      difficulty: 2,
      score: why === "best" ? 0.6 : 0.35,
      expectedVsBaselineFactor: null,
    },
  };
}
