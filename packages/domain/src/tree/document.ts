import { z } from "zod";
import {
  type Action,
  type Impacts,
  type NodeSeed,
  newNode,
  noImpacts,
  rootNode,
  type Tree,
  type TreeNode,
} from "./node.ts";

/**
 * The world-model document of K-Search (spec/ksearch.md 3.1), snake_case as published: what a model writes at init, what
 * prompts show, what users import and export. Reading it clamps and mends as the original does, but every repair is
 * told, and evidence (`solution_ref`) is never taken from it: that belongs to the log.
 */
const LooseNode = z.record(z.string(), z.unknown());
const LooseDocument = z.looseObject({
  kernel_summary: z.unknown().optional(),
  open_questions: z.unknown().optional(),
  decision_tree: z.looseObject({ root_id: z.unknown().optional(), nodes: z.array(LooseNode) }),
});

type Repairs = string[];
const longest = 4_000;

const text = (value: unknown, where: string, repairs: Repairs): string => {
  if (value === undefined || value === null) return "";
  if (typeof value !== "string") {
    repairs.push(`${where} is not a text`);
    return "";
  }
  if (value.length > longest) repairs.push(`${where} is cut to ${longest} characters`);
  return value.slice(0, longest);
};

const clamped = (
  value: unknown,
  low: number,
  high: number,
  missing: number,
  where: string,
  repairs: Repairs,
): number => {
  if (value === undefined || value === null) return missing;
  if (typeof value !== "number" || !Number.isFinite(value)) {
    repairs.push(`${where} is not a number`);
    return missing;
  }
  if (value < low || value > high) repairs.push(`${where} is ${value}, moved into ${low}..${high}`);
  return Math.min(high, Math.max(low, value));
};

const record = (value: unknown): Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};

function readImpacts(value: unknown, where: string, repairs: Repairs): Impacts {
  const source = record(value);
  const one = (key: string) => {
    const impact = record(source[key]);
    return {
      rating: clamped(impact.rating_0_to_10, 0, 10, 0, `${where}.${key}.rating_0_to_10`, repairs),
      risk: text(impact.risk, `${where}.${key}.risk`, repairs),
      notes: text(impact.notes, `${where}.${key}.notes`, repairs),
    };
  };
  return {
    memoryBandwidth: one("memory_bandwidth"),
    registerPressure: one("register_pressure"),
    computeIntensityAndHwFit: one("compute_intensity_and_hw_fit"),
  };
}

function readAction(value: unknown, rating: number, where: string, repairs: Repairs): Action | null {
  const source = record(value);
  const whole = text(source.title, `${where}.title`, repairs).replace(/\s+/g, " ").trim();
  if (whole.length > 300) repairs.push(`${where}.title is cut to 300 characters`);
  if (whole === "") {
    if (Object.keys(source).length > 0) repairs.push(`${where} has no title, so it is no action`);
    return null;
  }
  const legacy = source.difficulty_0_to_3;
  const difficulty =
    typeof legacy === "number" && source.difficulty_1_to_5 === undefined ? legacy + 1 : source.difficulty_1_to_5;
  const expected = source.expected_vs_baseline_factor ?? null;
  const usable = typeof expected === "number" && expected > 0 && Number.isFinite(expected);
  if (expected !== null && !usable) repairs.push(`${where}.expected_vs_baseline_factor is not a positive number`);
  return {
    title: whole.slice(0, 300).trim(),
    description: text(source.description, `${where}.description`, repairs),
    rationale: text(source.rationale, `${where}.rationale`, repairs),
    difficulty: Math.round(clamped(difficulty, 1, 5, 3, `${where}.difficulty_1_to_5`, repairs)),
    score: clamped(source.score_0_to_1, 0, 1, rating / 10, `${where}.score_0_to_1`, repairs),
    expectedVsBaselineFactor: usable ? expected : null,
  };
}

/** A node as a model or a file wrote it, every field clamped to its bounds; what was mended is pushed to `repairs`. */
export function readNode(raw: unknown, fallbackId: string, parentId: string, repairs: Repairs): NodeSeed {
  const node = LooseNode.parse(raw);
  const given = typeof node.node_id === "string" ? node.node_id.trim() : "";
  const nodeId = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/.test(given) ? given : fallbackId;
  if (nodeId !== given) repairs.push(`node id ${JSON.stringify(node.node_id ?? null)} becomes '${nodeId}'`);
  const rating = clamped(node.overall_rating_0_to_10, 0, 10, 0, `${nodeId}.overall_rating_0_to_10`, repairs);
  return {
    nodeId,
    parentId,
    decision: text(node.decision, `${nodeId}.decision`, repairs),
    choice: text(node.choice, `${nodeId}.choice`, repairs),
    rating,
    confidence: clamped(node.confidence_0_to_1, 0, 1, 0, `${nodeId}.confidence_0_to_1`, repairs),
    impacts: node.impacts === undefined ? noImpacts : readImpacts(node.impacts, `${nodeId}.impacts`, repairs),
    notes: text(node.notes, `${nodeId}.notes`, repairs),
    action: readAction(node.action, rating, `${nodeId}.action`, repairs),
  };
}

/** Seeds in an order in which every parent stands before its children; unknown, null and cyclic parents become the root. */
function rooted(seeds: NodeSeed[], rootId: string, repairs: Repairs): NodeSeed[] {
  const known = new Map(seeds.map((seed) => [seed.nodeId, seed]));
  const reachesRoot = (seed: NodeSeed): boolean => {
    const seen = new Set([seed.nodeId]);
    for (let parent = seed.parentId; parent !== rootId; ) {
      const next = known.get(parent);
      if (!next || seen.has(parent)) return false;
      seen.add(parent);
      parent = next.parentId;
    }
    return true;
  };
  for (const seed of seeds)
    if (!reachesRoot(seed)) {
      repairs.push(`${seed.nodeId} has no path to the root over '${seed.parentId}': it becomes a child of the root`);
      known.set(seed.nodeId, { ...seed, parentId: rootId });
    }
  const ordered: NodeSeed[] = [];
  const place = (parentId: string): void => {
    for (const seed of known.values())
      if (seed.parentId === parentId) {
        ordered.push(seed);
        place(seed.nodeId);
      }
  };
  place(rootId);
  return ordered;
}

/** An id as the document spells it, for finding a parent: some models number their nodes. Null: none is given. */
const spelled = (id: unknown): string | null =>
  typeof id === "number" ? `${id}` : typeof id === "string" && id.trim() !== "" ? id.trim() : null;

const freeName = (name: string, taken: ReadonlySet<unknown>): string =>
  taken.has(name) ? freeName(`${name}x`, taken) : name;

/** Nodes that a document may bring; a search works on a few hundred. */
const mostNodes = 1_000;

/** `solutionRefs`: what the document says of its solved nodes, by node; it is evidence for nobody until it is checked. */
export type ReadDocument = { tree: Tree; repairs: string[]; solutionRefs: ReadonlyMap<string, unknown> };

/** Reads a world-model document. Null: the value is not one at all (no `decision_tree.nodes` list). */
export function readDocument(value: unknown): ReadDocument | null {
  const parsed = LooseDocument.safeParse(value);
  if (!parsed.success) return null;
  const { kernel_summary, open_questions, decision_tree } = parsed.data;
  const repairs: Repairs = [];
  const given = decision_tree.nodes.slice(0, mostNodes);
  if (given.length < decision_tree.nodes.length)
    repairs.push(`${decision_tree.nodes.length} nodes: those after the first ${mostNodes} are left out`);
  const rootId =
    typeof decision_tree.root_id === "string" && decision_tree.root_id !== "" ? decision_tree.root_id : "root";
  const rawRoot = given.find((node) => node.node_id === rootId);
  const taken = new Set<unknown>(given.map((raw) => raw.node_id));
  const seeds = new Map<string, NodeSeed>();
  const solutionRefs = new Map<string, unknown>(rawRoot ? [[rootId, rawRoot.solution_ref]] : []);
  /** Ids as the document spells them, and what they became: children name their parents by the former. */
  const names = new Map<string | null, string>();
  given.forEach((raw, index) => {
    if (raw === rawRoot) return;
    const parentId = spelled(raw.parent_id);
    const seed = readNode(raw, freeName(`n${index}`, taken), parentId ?? rootId, repairs);
    if (parentId === null) repairs.push(`${seed.nodeId} names no parent: it becomes a child of the root`);
    if (seeds.has(seed.nodeId) || seed.nodeId === rootId) repairs.push(`a second node '${seed.nodeId}' is left out`);
    else {
      seeds.set(seed.nodeId, seed);
      solutionRefs.set(seed.nodeId, raw.solution_ref);
      names.set(spelled(raw.node_id), seed.nodeId);
    }
  });
  const named = [...seeds.values()].map((seed) => ({ ...seed, parentId: names.get(seed.parentId) ?? seed.parentId }));
  const root = rootNode(rootId, text(rawRoot?.notes, `${rootId}.notes`, repairs));
  const nodes: [string, TreeNode][] = rooted(named, rootId, repairs).map((seed) => [seed.nodeId, newNode(seed)]);
  const asked: unknown[] = Array.isArray(open_questions) ? open_questions : [];
  const questions = asked.filter((item) => typeof item === "string");
  if (questions.length < asked.length) repairs.push("open_questions holds something that is not a text");
  if (questions.length > 12 || questions.some((question) => question.length > 500))
    repairs.push("open_questions is cut to 12 of 500 characters");
  return {
    tree: {
      kernelSummary: text(kernel_summary, "kernel_summary", repairs),
      openQuestions: questions.slice(0, 12).map((question) => question.slice(0, 500)),
      rootId,
      nodes: new Map([[rootId, root], ...nodes]),
    },
    repairs,
    solutionRefs,
  };
}

/** One node as the document shows it; the reverse of {@link readNode}. */
const writeNode = (node: TreeNode, rootId: string) => ({
  node_id: node.nodeId,
  parent_id: node.parentId,
  node_type: node.nodeId === rootId ? "root" : "decision",
  decision: node.parentId === null ? null : node.decision,
  choice: node.parentId === null ? null : node.choice,
  overall_rating_0_to_10: node.rating,
  confidence_0_to_1: node.confidence,
  impacts: {
    memory_bandwidth: writeImpact(node.impacts.memoryBandwidth),
    register_pressure: writeImpact(node.impacts.registerPressure),
    compute_intensity_and_hw_fit: writeImpact(node.impacts.computeIntensityAndHwFit),
  },
  notes: node.notes,
  action: node.action === null ? null : writeAction(node.action),
});

const writeImpact = ({ rating, risk, notes }: Impacts["memoryBandwidth"]) => ({ rating_0_to_10: rating, risk, notes });

export const writeAction = (action: Action) => ({
  title: action.title,
  description: action.description,
  rationale: action.rationale,
  difficulty_1_to_5: action.difficulty,
  score_0_to_1: action.score,
  expected_vs_baseline_factor: action.expectedVsBaselineFactor,
});

/** The whole tree as K-Search's document, without evidence: `worldModelFile` adds that. */
export const writeDocument = (tree: Tree) => ({
  kernel_summary: tree.kernelSummary,
  open_questions: tree.openQuestions,
  decision_tree: {
    root_id: tree.rootId,
    active_leaf_id: tree.rootId,
    nodes: [...tree.nodes.values()].map((node) => writeNode(node, tree.rootId)),
  },
});
