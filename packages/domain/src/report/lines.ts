import { duelMargin, standing } from "../search/standing.ts";
import type { Duel, RunState } from "../search/state.ts";
import { childrenOf, type TreeNode } from "../tree/node.ts";

/** One confirmation in a line: against whom, how it went, who stands and, where the figures alone would not say it, why. */
export function duelLine({ kernelId, rivalId, status, score, ratio, winner }: Omit<Duel, "message">): string {
  const against = rivalId === null ? "alone" : `against ${rivalId}`;
  const at = score === null ? "" : ` at ${score.value.toFixed(2)}×`;
  const compared =
    ratio === null
      ? ""
      : `, ${ratio.value.toFixed(3)} times its speed (${ratio.low.toFixed(3)} to ${ratio.high.toFixed(3)})`;
  const stands = winner === null ? "no kernel stands" : `${winner} stands`;
  const even = winner === kernelId && ratio !== null && ratio.high < 1;
  const why = even ? ` (a rival takes over at ${duelMargin * 100} % beyond the interval)` : "";
  return `${kernelId} ${against}: ${status}${at}${compared}; ${stands}${why}`;
}

/** ✓ solved, ✗ tried in vain, … at work, ○ open. */
export const nodeMark = (node: TreeNode): "✓" | "✗" | "…" | "○" =>
  node.solution ? "✓" : node.failures > 0 ? "✗" : node.attempts.length > 0 ? "…" : "○";

/** The tree with one node a line: mark, id, title, measured score. ✓ solved, ✗ tried in vain, ○ open. */
export function treeLines(state: RunState): string[] {
  const { tree } = state;
  const starred = standing(state);
  const line = (node: TreeNode): string => {
    const isBest = node.solution !== null && node.solution.kernelId === starred?.kernelId;
    const confirmed = isBest && starred.confirmed ? ` in the search, ${starred.score.toFixed(2)}× confirmed` : "";
    const measured = node.solution?.score?.toFixed(2).concat("×") ?? "imported";
    const drafted = node.solution ? (state.attempts[node.solution.attempt - 1]?.model ?? null) : null;
    const by = drafted === null ? "" : ` by ${drafted}`;
    const score = node.solution ? `  ${measured}${confirmed}${by}` : "";
    const best = isBest ? "  ★ best" : "";
    const last = node.solution ? null : (state.attempts[(node.attempts.at(-1) ?? 0) - 1]?.status ?? null);
    const tried =
      node.attempts.length > 0
        ? `  (${node.attempts.length} attempt${node.attempts.length === 1 ? "" : "s"}${last === null ? "" : `, last ${last}`})`
        : "";
    // The root's own are a kernel to start from, or all attempts of a run without a world model.
    return node.parentId === null
      ? `${node.nodeId}${score}${tried}${best}`
      : `${nodeMark(node)} ${node.nodeId}: ${node.action?.title ?? node.choice}${score}${tried}${best}`;
  };
  const walk = (node: TreeNode, indent: string, branch: string): string[] => {
    const children = childrenOf(tree, node.nodeId);
    return [
      `${branch}${line(node)}`,
      ...children.flatMap((child, index) => {
        const last = index === children.length - 1;
        return walk(child, `${indent}${last ? "   " : "│  "}`, `${indent}${last ? "└─ " : "├─ "}`);
      }),
    ];
  };
  const root = tree.nodes.get(tree.rootId);
  return root ? walk(root, "", "") : [];
}
