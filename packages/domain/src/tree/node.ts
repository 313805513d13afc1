import { z } from "zod";
import type { KernelId } from "../kernel.ts";

const unit = z.number().min(0).max(1);
const ten = z.number().min(0).max(10);
const text = z.string().max(4_000);

/** How a plan down to a node stresses one resource: 0 good, 10 bad, with the reason. */
export const Impact = z.strictObject({ rating: ten, risk: text, notes: text });
export const Impacts = z.strictObject({
  memoryBandwidth: Impact,
  registerPressure: Impact,
  computeIntensityAndHwFit: Impact,
});
export type Impacts = z.infer<typeof Impacts>;

/** What a node proposes to do to the code. */
export const Action = z.strictObject({
  title: z.string().min(1).max(300),
  description: text,
  rationale: text,
  difficulty: z.int().min(1).max(5),
  /** The model's own belief that the action pays. */
  score: unit,
  /** The model's forecast of baseline time ÷ new time; null where it made none. */
  expectedVsBaselineFactor: z.number().positive().nullable(),
});
export type Action = z.infer<typeof Action>;

/** The part of a node that the model writes. */
export const NodeSeed = z.strictObject({
  nodeId: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, "1 to 64 of letters, digits, '_', '.', '-'"),
  parentId: z.string(),
  decision: text,
  choice: text,
  rating: ten,
  confidence: unit,
  impacts: Impacts,
  notes: text,
  action: Action.nullable(),
});
export type NodeSeed = z.infer<typeof NodeSeed>;

/**
 * The best passing kernel of a node. Written by the fold alone; no reply can touch it. `attempt` is 0 for a seed and for an
 * imported kernel; `score` is null for an imported kernel that was measured otherwise.
 */
export type SolutionRef = {
  readonly kernelId: KernelId;
  readonly attempt: number;
  readonly score: number | null;
  /** Mean of baseline ÷ kernel time over the workloads; null without a baseline. */
  readonly vsBaseline: number | null;
};

/** A solution that this run measured itself. */
export type MeasuredRef = SolutionRef & { readonly score: number };

/**
 * One decision of the world model (spec/ksearch.md 3.1). The root has no decision, no action and may hold a seed kernel.
 * `attempts` are the numbers of the run's attempts on this node, in the order in which they started.
 */
export type TreeNode = Omit<NodeSeed, "parentId"> & {
  readonly parentId: string | null;
  readonly solution: SolutionRef | null;
  readonly attempts: readonly number[];
  /** Cycles that ended here without a passing kernel. */
  readonly failures: number;
  /** Model edits asked for after a cycle on this node. */
  readonly refinements: number;
};

export type Tree = {
  readonly kernelSummary: string;
  readonly openQuestions: readonly string[];
  readonly rootId: string;
  readonly nodes: ReadonlyMap<string, TreeNode>;
};

export const noImpacts: Impacts = {
  memoryBandwidth: { rating: 0, risk: "", notes: "" },
  registerPressure: { rating: 0, risk: "", notes: "" },
  computeIntensityAndHwFit: { rating: 0, risk: "", notes: "" },
};

export const newNode = (seed: NodeSeed): TreeNode => ({
  ...seed,
  solution: null,
  attempts: [],
  failures: 0,
  refinements: 0,
});

export const rootNode = (nodeId: string, notes: string): TreeNode => ({
  nodeId,
  parentId: null,
  decision: "",
  choice: "",
  rating: 0,
  confidence: 0,
  impacts: noImpacts,
  notes,
  action: null,
  solution: null,
  attempts: [],
  failures: 0,
  refinements: 0,
});

export const emptyTree = (): Tree => ({
  kernelSummary: "",
  openQuestions: [],
  rootId: "root",
  nodes: new Map([["root", rootNode("root", "")]]),
});

export const childrenOf = (tree: Tree, nodeId: string): TreeNode[] =>
  [...tree.nodes.values()].filter((node) => node.parentId === nodeId);

/** Root first, the node last. Parents always exist and edits cannot make a cycle, so the walk ends. */
export function pathTo(tree: Tree, nodeId: string): TreeNode[] {
  const path: TreeNode[] = [];
  for (
    let node = tree.nodes.get(nodeId);
    node;
    node = node.parentId === null ? undefined : tree.nodes.get(node.parentId)
  )
    path.unshift(node);
  return path;
}

/**
 * Open action nodes whose parent is the root or solved (spec/ksearch.md 3.2): what may be worked on next.
 * A chain therefore unlocks one step at a time.
 */
export const frontier = (tree: Tree): TreeNode[] =>
  [...tree.nodes.values()].filter((node) => {
    if (node.action === null || node.solution !== null || node.parentId === null) return false;
    return node.parentId === tree.rootId || tree.nodes.get(node.parentId)?.solution !== null;
  });
