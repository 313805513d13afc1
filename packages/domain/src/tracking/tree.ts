import { attemptOf, type RunState } from "../search/state.ts";
import type { TreeNode } from "../tree/node.ts";
import type { TrackedTable } from "./records.ts";

/** The world model with its evidence as a table, one row a node. Costs in micro-dollars. */
export const treeTable = (state: RunState): TrackedTable => ({
  columns: ["node", "parent", "title", "status", "score", "attempts", "costMicroUsd"],
  rows: [...state.tree.nodes.values()].map((node) => [
    node.nodeId,
    node.parentId,
    node.action?.title ?? node.choice,
    statusOf(node),
    node.solution?.score ?? null,
    node.attempts.length,
    node.attempts.reduce((sum, number) => sum + attemptOf(state, number).costMicroUsd, 0),
  ]),
});

function statusOf(node: TreeNode): string {
  if (node.parentId === null) return "root";
  if (node.solution !== null) return "solved";
  if (node.failures > 0) return "failed";
  return node.attempts.length > 0 ? "working" : "open";
}
