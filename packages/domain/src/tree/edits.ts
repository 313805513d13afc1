import { z } from "zod";
import { readNode } from "./document.ts";
import {
  Action,
  Impacts,
  type NodeSeed,
  NodeSeed as NodeSeedSchema,
  newNode,
  type Tree,
  type TreeNode,
} from "./node.ts";

/**
 * The edit script (spec/ksearch.md 3.4): how a model changes the tree after init. A discriminated union with
 * whitelisted fields; each op is applied or refused alone, and the reasons go back to the model verbatim.
 * `solution_ref`, attempts and failures are not fields of it, so no reply can forge evidence.
 */
const title = z.string().trim().min(1).max(300);
const ActionPatch = z
  .strictObject({
    title,
    description: z.string().max(4_000),
    rationale: z.string().max(4_000),
    difficulty_1_to_5: z.int().min(1).max(5),
    score_0_to_1: z.number().min(0).max(1),
    expected_vs_baseline_factor: z.number().positive().nullable(),
  })
  .partial();
const ImpactPatch = z
  .strictObject({
    rating_0_to_10: z.number().min(0).max(10),
    risk: z.string().max(4_000),
    notes: z.string().max(4_000),
  })
  .partial();
const NodePatch = z
  .strictObject({
    decision: z.string().max(4_000),
    choice: z.string().max(4_000),
    overall_rating_0_to_10: z.number().min(0).max(10),
    confidence_0_to_1: z.number().min(0).max(1),
    notes: z.string().max(4_000),
    impacts: z
      .strictObject({
        memory_bandwidth: ImpactPatch,
        register_pressure: ImpactPatch,
        compute_intensity_and_hw_fit: ImpactPatch,
      })
      .partial(),
    action: ActionPatch,
  })
  .partial();
type NodePatch = z.infer<typeof NodePatch>;

const NewNode = z.strictObject({
  node_id: z.string().optional(),
  parent_id: z.string().optional(),
  node_type: z.literal("decision").optional(),
  decision: z.string(),
  choice: z.string(),
  overall_rating_0_to_10: z.number().min(0).max(10),
  confidence_0_to_1: z.number().min(0).max(1),
  impacts: z.unknown().optional(),
  notes: z.string().max(4_000).optional(),
  action: ActionPatch.extend({ title }),
});

export const EditOp = z.discriminatedUnion("op", [
  z.strictObject({ op: z.literal("update_node"), node_id: z.string(), patch: NodePatch }),
  z.strictObject({ op: z.literal("insert_node"), parent_id: z.string(), node: NewNode }),
  z.strictObject({
    op: z.literal("split_node"),
    node_id: z.string(),
    parent_patch: NodePatch.optional(),
    children: z.array(NewNode).min(1).max(8),
  }),
  z.strictObject({ op: z.literal("delete_node"), node_id: z.string() }),
]);

/** What the log keeps and the fold applies: validated, total, in our own words. */
export const TreeEdit = z.discriminatedUnion("edit", [
  z.strictObject({ edit: z.literal("insert"), node: NodeSeedSchema }),
  z.strictObject({
    edit: z.literal("update"),
    nodeId: z.string(),
    patch: z.strictObject({
      decision: z.string().optional(),
      choice: z.string().optional(),
      rating: z.number().optional(),
      confidence: z.number().optional(),
      notes: z.string().optional(),
      impacts: Impacts.optional(),
      action: Action.optional(),
    }),
  }),
  z.strictObject({ edit: z.literal("delete"), nodeId: z.string() }),
]);
export type TreeEdit = z.infer<typeof TreeEdit>;

export type Refusal = { index: number; op: string; reason: string };
export type EditLimits = {
  maxNewNodes: number;
  /** Ids for new nodes that came without a usable one: `<prefix>_1`, `<prefix>_2`, … */
  idPrefix: string;
  /** When given, only nodes of this subtree may be touched; others are refused. */
  withinNodeId?: string;
};

/** The tree after one edit. Edits come from {@link planEdits} or from the log, so they always fit. */
export function applyEdit(tree: Tree, edit: TreeEdit): Tree {
  const nodes = new Map(tree.nodes);
  switch (edit.edit) {
    case "insert":
      nodes.set(edit.node.nodeId, newNode(edit.node));
      break;
    case "update": {
      const node = nodes.get(edit.nodeId);
      if (node) nodes.set(edit.nodeId, { ...node, ...defined(edit.patch) });
      break;
    }
    case "delete":
      nodes.delete(edit.nodeId);
      break;
  }
  return { ...tree, nodes };
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> };
const defined = <T extends object>(patch: T): Partial<Defined<T>> =>
  Object.fromEntries(Object.entries(patch).filter(([, value]) => value !== undefined)) as Partial<Defined<T>>;

const inSubtree = (tree: Tree, nodeId: string, top: string): boolean => {
  for (let id: string | null | undefined = nodeId; id; id = tree.nodes.get(id)?.parentId) if (id === top) return true;
  return false;
};

/**
 * Checks a script against the tree op by op. Returns the edits that hold, in order, and for every other op the reason
 * why not. A reply that is no script at all yields one refusal with index −1.
 */
export function planEdits(tree: Tree, script: unknown, limits: EditLimits): { edits: TreeEdit[]; refused: Refusal[] } {
  const shell = z.looseObject({ ops: z.array(z.unknown()).max(64) }).safeParse(script);
  if (!shell.success)
    return {
      edits: [],
      refused: [{ index: -1, op: "script", reason: 'the reply is not an object with an "ops" list (at most 64)' }],
    };
  let working = tree;
  let inserted = 0;
  const edits: TreeEdit[] = [];
  const refused: Refusal[] = [];
  const push = (edit: TreeEdit) => {
    edits.push(edit);
    working = applyEdit(working, edit);
  };
  const checkTarget = (nodeId: string): string | null => {
    if (!working.nodes.has(nodeId)) return `there is no node '${nodeId}'`;
    if (limits.withinNodeId !== undefined && !inSubtree(working, nodeId, limits.withinNodeId))
      return `'${nodeId}' is outside the subtree of '${limits.withinNodeId}', which is all that this edit may touch`;
    return null;
  };
  const insert = (raw: unknown, parentId: string): string | null => {
    if (inserted >= limits.maxNewNodes) return `at most ${limits.maxNewNodes} new nodes in one script`;
    const seed = readNode(raw, freshId(working, limits.idPrefix), parentId, []);
    if (working.nodes.has(seed.nodeId))
      return `there is a node '${seed.nodeId}' already: give the new one another node_id`;
    const twin = twinOf(working, seed);
    if (twin) return `'${twin.nodeId}' under the same parent already has the action '${twin.action?.title}'`;
    inserted += 1;
    push({ edit: "insert", node: seed });
    return null;
  };
  const update = (nodeId: string, patch: NodePatch): string | null => {
    const node = working.nodes.get(nodeId);
    if (!node) return `there is no node '${nodeId}'`;
    if (
      nodeId === working.rootId &&
      (patch.decision !== undefined || patch.choice !== undefined || patch.action !== undefined)
    )
      return "the root has no decision, choice or action";
    if (patch.action !== undefined && node.action === null && patch.action.title === undefined)
      return `'${nodeId}' has no action yet: a new one needs a title`;
    push({ edit: "update", nodeId, patch: toPatch(node, patch) });
    return null;
  };
  const judge = (op: z.infer<typeof EditOp>): string | null => {
    switch (op.op) {
      case "update_node":
        return checkTarget(op.node_id) ?? update(op.node_id, op.patch);
      case "insert_node":
        return checkTarget(op.parent_id) ?? insert(op.node, op.parent_id);
      case "split_node": {
        const wrong = checkTarget(op.node_id) ?? (op.parent_patch ? update(op.node_id, op.parent_patch) : null);
        if (wrong) return wrong;
        const reasons = op.children.map((child) => insert(child, op.node_id)).filter((reason) => reason !== null);
        return reasons.length > 0
          ? `${reasons.length} of ${op.children.length} children: ${[...new Set(reasons)].join("; ")}`
          : null;
      }
      case "delete_node": {
        const wrong = checkTarget(op.node_id) ?? undeletable(working, op.node_id);
        if (wrong) return wrong;
        push({ edit: "delete", nodeId: op.node_id });
        return null;
      }
    }
  };
  shell.data.ops.forEach((raw, index) => {
    const op = EditOp.safeParse(raw);
    const given = (raw as { op?: unknown } | null)?.op;
    const name = typeof given === "string" ? given.slice(0, 40) : "unknown";
    const reason = op.success ? judge(op.data) : z.prettifyError(op.error).replaceAll("\n", " ").slice(0, 400);
    if (reason !== null) refused.push({ index, op: name, reason });
  });
  return { edits, refused };
}

function undeletable(tree: Tree, nodeId: string): string | null {
  const node = tree.nodes.get(nodeId);
  if (nodeId === tree.rootId) return "the root cannot be deleted";
  if (node?.solution) return "a solved node cannot be deleted";
  if (node && node.attempts.length > 0) return "a node with attempts stays as evidence; lower its score instead";
  if ([...tree.nodes.values()].some((other) => other.parentId === nodeId))
    return "a node with children cannot be deleted";
  return null;
}

/** Titles compare without case, punctuation and spacing: the same idea proposed twice buys nothing. */
const normalTitle = (title: string): string =>
  title
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, " ")
    .trim();

const twinOf = (tree: Tree, seed: NodeSeed): TreeNode | undefined =>
  [...tree.nodes.values()].find(
    (node) =>
      node.parentId === seed.parentId &&
      node.action !== null &&
      seed.action !== null &&
      normalTitle(node.action.title) === normalTitle(seed.action.title),
  );

function freshId(tree: Tree, prefix: string): string {
  for (let index = 1; ; index += 1) if (!tree.nodes.has(`${prefix}_${index}`)) return `${prefix}_${index}`;
}

function toPatch(node: TreeNode, patch: NodePatch): Extract<TreeEdit, { edit: "update" }>["patch"] {
  const impact = (now: Impacts["memoryBandwidth"], change: z.infer<typeof ImpactPatch> | undefined) => ({
    rating: change?.rating_0_to_10 ?? now.rating,
    risk: change?.risk ?? now.risk,
    notes: change?.notes ?? now.notes,
  });
  const action = patch.action;
  const nextAction = action && {
    title: action.title ?? node.action?.title ?? "",
    description: action.description ?? node.action?.description ?? "",
    rationale: action.rationale ?? node.action?.rationale ?? "",
    difficulty: action.difficulty_1_to_5 ?? node.action?.difficulty ?? 3,
    score: action.score_0_to_1 ?? node.action?.score ?? 0,
    expectedVsBaselineFactor:
      action.expected_vs_baseline_factor !== undefined
        ? action.expected_vs_baseline_factor
        : (node.action?.expectedVsBaselineFactor ?? null),
  };
  return {
    decision: patch.decision,
    choice: patch.choice,
    rating: patch.overall_rating_0_to_10,
    confidence: patch.confidence_0_to_1,
    notes: patch.notes,
    impacts: patch.impacts && {
      memoryBandwidth: impact(node.impacts.memoryBandwidth, patch.impacts.memory_bandwidth),
      registerPressure: impact(node.impacts.registerPressure, patch.impacts.register_pressure),
      computeIntensityAndHwFit: impact(
        node.impacts.computeIntensityAndHwFit,
        patch.impacts.compute_intensity_and_hw_fit,
      ),
    },
    action: nextAction,
  };
}
