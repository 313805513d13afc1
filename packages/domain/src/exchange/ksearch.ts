import { z } from "zod";
import { parseJson } from "../json.ts";
import type { Kernel } from "../kernel.ts";
import type { RunState } from "../search/state.ts";
import { readDocument, writeDocument } from "../tree/document.ts";
import { pathTo, type Tree, type TreeNode } from "../tree/node.ts";

/**
 * The files of a K-Search run directory (spec/ksearch.md 3.1, 6): `world_model.json`, a snapshot of the tree whose solved
 * nodes name solutions, and `solution_db.jsonl`, a row a solution with its code. Both ways: what the original wrote is
 * continued here, and what is written here the original's rules read.
 */
const Row = z.looseObject({
  solution_id: z.string().min(1),
  solution_name: z.string().nullish(),
  definition: z.string().nullish(),
  code: z.string().nullish(),
});

const Reference = z.looseObject({
  solution_id: z.string().min(1),
  eval: z
    .looseObject({
      status: z.string().nullish(),
      mean_vs_baseline_factor: z.number().nullish(),
      metrics: z
        .looseObject({ score: z.number().nullish(), score_name: z.string().nullish(), device: z.string().nullish() })
        .nullish(),
    })
    .nullish(),
});

export type ImportedSolution = {
  nodeId: string;
  kernel: Kernel;
  /** As this run measures scores; null where the file measured otherwise. */
  score: number | null;
  vsBaseline: number | null;
  /** As the file has it, in whatever unit: fit to rank the solutions of one file, and for nothing else. */
  recordedScore: number | null;
};

/** A world model to go on from, and the kernels of its solved nodes. */
export type Continuation = {
  tree: Tree;
  solutions: ImportedSolution[];
  /** What was mended or left out, for people. */
  repairs: string[];
};

export type ContinuationContext = {
  /** The problem's name: rows of another definition are left out. */
  definition: string;
  /** Reads a row's code (a raw reply, as the original keeps it) into a kernel, or says why it holds none. */
  kernelOf: (code: string) => { kernel: Kernel } | { problem: string };
  /** Scores are taken over only where they were measured as this run measures: same figure, same device. */
  scoreName: string;
  device: string;
};

/** Null: the snapshot is no world model. A solved node whose solution cannot be found is open again, and told. */
export function readContinuation(
  snapshot: unknown,
  solutionDb: string,
  context: ContinuationContext,
): Continuation | null {
  const document = readDocument(snapshot);
  if (document === null) return null;
  const repairs = [...document.repairs];
  const rows = readRows(solutionDb, repairs);
  const solutions = [...document.solutionRefs].flatMap(([nodeId, raw]) => {
    const reference = Reference.safeParse(raw);
    if (!reference.success) return [];
    const { solution_id: id, eval: evaluation } = reference.data;
    const told = (why: string): [] => {
      repairs.push(`${nodeId} is open again: its solution ${id} ${why}`);
      return [];
    };
    const status = evaluation?.status ?? "passed";
    if (status.toLowerCase() !== "passed") return told(`is marked '${status}'`);
    const row = rows.get(id);
    if (row === undefined) return told("is not in solution_db.jsonl");
    if (row.definition && row.definition !== context.definition) return told(`is for '${row.definition}'`);
    const read = context.kernelOf(row.code ?? "");
    if ("problem" in read) return told(`holds no usable code: ${read.problem}`);
    const metrics = evaluation?.metrics;
    const isComparable = metrics?.score_name === context.scoreName && metrics.device === context.device;
    const positive = (value: number | null | undefined) => (value && value > 0 ? value : null);
    return [
      {
        nodeId,
        kernel: read.kernel,
        score: isComparable ? positive(metrics.score) : null,
        vsBaseline: isComparable ? positive(evaluation?.mean_vs_baseline_factor) : null,
        recordedScore: positive(metrics?.score),
      },
    ];
  });
  return { tree: document.tree, solutions, repairs };
}

/** The kernel that a run goes on from: the best of an imported tree; it is judged anew before anything else. */
export const bestImported = ({ solutions }: Continuation): Kernel | null =>
  solutions.toSorted((a, b) => (b.recordedScore ?? 0) - (a.recordedScore ?? 0))[0]?.kernel ?? null;

/** Rows by id; of several with one id the last wins. A line that is no row is told, and hides no other. */
function readRows(text: string, repairs: string[]): Map<string, z.infer<typeof Row>> {
  const rows = new Map<string, z.infer<typeof Row>>();
  text.split("\n").forEach((line, index) => {
    if (line.trim() === "") return;
    const row = Row.safeParse(parseJson(line));
    if (row.success) rows.set(row.data.solution_id, row.data);
    else repairs.push(`line ${index + 1} of solution_db.jsonl is no solution`);
  });
  return rows;
}

/** How the evaluation of a solved node stands in the snapshot and in the rows, with the original's field names. */
function evaluationOf(state: RunState, node: TreeNode) {
  const { solution } = node;
  if (solution === null) return null;
  const callNs = state.attempts[solution.attempt - 1]?.callNs ?? null;
  const { evaluation, device } = state.options;
  return {
    status: "passed",
    latency_ms: callNs === null ? null : callNs / 1e6,
    mean_vs_baseline_factor: solution.vsBaseline,
    speedup_factor: evaluation.aggregate.endsWith("_speedup") ? solution.score : null,
    metrics: { score: solution.score, score_name: evaluation.aggregate, device },
  };
}

/** The id of the solution that a node builds on: its nearest solved ancestor's. */
const parentSolution = (tree: Tree, node: TreeNode): string | null =>
  pathTo(tree, node.nodeId)
    .slice(0, -1)
    .findLast(({ solution }) => solution !== null)?.solution?.kernelId ?? null;

/** The world model of a run as the original's `world_model.json`. */
export function worldModelFile(state: RunState) {
  const { tree, best } = state;
  const document = writeDocument(tree);
  const leaf = [...tree.nodes.values()].find(
    ({ solution }) => solution !== null && solution.kernelId === best?.kernelId,
  );
  const trace = leaf ? evaluationOf(state, leaf) : null;
  return {
    ...document,
    decision_tree: {
      ...document.decision_tree,
      active_leaf_id: leaf?.nodeId ?? tree.rootId,
      nodes: document.decision_tree.nodes.map((written) => {
        const node = tree.nodes.get(written.node_id);
        if (!node) return written;
        const reference = {
          solution_id: node.solution?.kernelId ?? null,
          parent_solution_id: parentSolution(tree, node),
          eval: evaluationOf(state, node),
        };
        return { ...written, solution_ref: reference };
      }),
    },
    computed_signals: {
      round_index: state.judged,
      trace: {
        status: trace?.status ?? null,
        latency_ms: trace?.latency_ms ?? null,
        reference_latency_ms: null,
        speedup_factor: trace?.speedup_factor ?? null,
      },
    },
  };
}

/** A kernel's code as one text, as the original keeps it: three named CUDA files in its blocks, else the file alone. */
export function codeText({ files }: Kernel): string {
  const [only] = files;
  if (files.length === 1 && only) return only.content;
  const tags: Record<string, string> = { "kernel.h": "header_file", "kernel.cu": "cuda_file", "main.cpp": "cpp_file" };
  return files
    .map(({ path, content }) => {
      const tag = tags[path] ?? "file";
      return `<${tag} name="${path}">\n${content}\n</${tag}>`;
    })
    .join("\n");
}

/** `solution_db.jsonl`: a row for every solved node's kernel. */
export function solutionDbFile(state: RunState, kernels: ReadonlyMap<string, Kernel>): string {
  const { tree } = state;
  const rows = [...tree.nodes.values()].flatMap((node) => {
    const kernel = node.solution === null ? undefined : kernels.get(node.solution.kernelId);
    if (node.solution === null || kernel === undefined) return [];
    const { kernelId } = node.solution;
    return [
      {
        solution_id: kernelId,
        solution_name: `${state.runId}_${kernelId}`,
        definition: state.problem,
        parent_solution_id: parentSolution(tree, node),
        eval_result: evaluationOf(state, node),
        code: codeText(kernel),
        code_excerpt: "",
      },
    ];
  });
  return rows.map((row) => `${JSON.stringify(row)}\n`).join("");
}
