import { frontier, type NodeSeed, type Tree } from "./node.ts";

/** The model's part of every node but the root, parents before children: what the log keeps of a first world model. */
export const seedsOf = (tree: Tree): NodeSeed[] =>
  [...tree.nodes.values()].flatMap(
    ({ parentId, nodeId, decision, choice, rating, confidence, impacts, notes, action }) =>
      parentId === null ? [] : [{ nodeId, parentId, decision, choice, rating, confidence, impacts, notes, action }],
  );

/** Why a first world model cannot be searched, or null. */
export function complaintAbout(tree: Tree | null): string | null {
  if (tree === null) return 'the reply holds no JSON object with "decision_tree" and its list of "nodes"';
  return frontier(tree).length === 0
    ? "no child of the root has an action with a title: there is nothing to try"
    : null;
}
