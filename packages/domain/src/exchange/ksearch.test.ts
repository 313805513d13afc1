import { expect, test } from "vitest";
import { looseNode, sampleKernel } from "../../test/samples.ts";
import { judge, nodeOf, open, started, work } from "../../test/steps.ts";
import { kernelId } from "../kernel.ts";
import { frontier } from "../tree/node.ts";
import { seedsOf } from "../tree/seeds.ts";
import { bestImported, codeText, readContinuation, solutionDbFile, worldModelFile } from "./ksearch.ts";

const context = {
  definition: "scale_rows",
  kernelOf: (code: string) => (code === "" ? { problem: "it is empty" } : { kernel: sampleKernel(code) }),
  scoreName: "geomean_speedup",
  device: "cpu",
};

/** A snapshot and its rows as the original writes them: sorted keys, solution ids that are SHA-1, evals with their figures. */
const solved = (id: string, score: number, more: object = {}) => ({
  solution_ref: {
    solution_id: id,
    parent_solution_id: null,
    eval: {
      status: "PASSED",
      latency_ms: 0.5,
      mean_vs_baseline_factor: 0.8,
      metrics: { score, score_name: "mean_vs_baseline" },
      ...more,
    },
  },
});
const open_ = { solution_ref: { solution_id: null, parent_solution_id: null, eval: null } };
const snapshot = (nodes: object[]) => ({
  computed_signals: { round_index: 7, trace: { status: "passed", latency_ms: 0.5 } },
  decision_tree: {
    active_leaf_id: "a",
    nodes: [
      { node_id: "root", parent_id: null, node_type: "root", decision: null, choice: null, notes: "n", ...open_ },
      ...nodes,
    ],
    root_id: "root",
  },
  kernel_summary: "a paged decode",
  open_questions: ["what limits it?"],
});
const row = (solution_id: string, code: string, changes: object = {}) =>
  JSON.stringify({
    solution_id,
    solution_name: "gpt-5_scale_rows_triton_optimized_r3",
    definition: "scale_rows",
    parent_solution_id: null,
    eval_result: { status: "passed" },
    code,
    code_excerpt: code,
    ...changes,
  });

test("a run directory of the original is continued: tree, base code of solved nodes, and the frontier below them", () => {
  const read = readContinuation(
    snapshot([
      looseNode("a", "root", solved("sha_a", 1.2)),
      looseNode("a1", "a", { ...open_, action: { title: "next", score_0_to_1: 0.9 } }),
      looseNode("b", "root", open_),
      looseNode("c", "root", open_),
    ]),
    [row("sha_a", "// old"), row("sha_a", "// THE BASE"), row("sha_x", "// nobody's")].join("\n"),
    context,
  );
  expect(read?.repairs).toEqual([]);
  expect(read?.solutions).toEqual([
    { nodeId: "a", kernel: sampleKernel("// THE BASE"), score: null, vsBaseline: null, recordedScore: 1.2 },
  ]);
  const log = started([], { policy: "ksearch", lanes: 1 });
  log.append({
    type: "tree.imported",
    from: "elsewhere",
    kernelSummary: "",
    openQuestions: [],
    rootId: "root",
    rootNotes: "",
    nodes: read ? seedsOf(read.tree) : [],
    solutions: [{ nodeId: "a", kernelId: "ker_base", score: null, vsBaseline: null }],
    repairs: [],
  });
  expect(frontier(log.state.tree).map(({ nodeId }) => nodeId)).toEqual(["a1", "b", "c"]);
  const cycle = work(log, 1);
  open(log, cycle);
  expect(log.state.attempts[0]).toMatchObject({ nodeId: "a1", kind: "draft_base", baseKernelId: "ker_base" });
});

test("scores are taken over only where they mean the same here", () => {
  const own = { metrics: { score: 2.5, score_name: "geomean_speedup", device: "cpu" } };
  const other = { metrics: { score: 2.5, score_name: "geomean_speedup", device: "H100" } };
  const read = readContinuation(
    snapshot([looseNode("a", "root", solved("1", 0, own)), looseNode("b", "root", solved("2", 0, other))]),
    [row("1", "// one"), row("2", "// two")].join("\n"),
    context,
  );
  expect(read?.solutions).toMatchObject([
    { nodeId: "a", score: 2.5, vsBaseline: 0.8 },
    { nodeId: "b", score: null, vsBaseline: null },
  ]);
});

test.each([
  ["whose row is missing", "", "is not in solution_db.jsonl"],
  ["whose row is for another problem", row("sha_a", "// x", { definition: "gemm" }), "is for 'gemm'"],
  ["whose row has no code", row("sha_a", "", { code: null }), "holds no usable code: it is empty"],
])("a node %s is open again, and that is told", (_, rows, why) => {
  const read = readContinuation(snapshot([looseNode("a", "root", solved("sha_a", 1))]), rows, context);
  expect(read?.solutions).toEqual([]);
  expect(read?.repairs).toEqual([`a is open again: its solution sha_a ${why}`]);
});

test("a solution that did not pass is none", () => {
  const read = readContinuation(
    snapshot([looseNode("a", "root", solved("sha_a", 1, { status: "RUNTIME_ERROR" }))]),
    row("sha_a", "// x"),
    context,
  );
  expect(read?.repairs).toEqual(["a is open again: its solution sha_a is marked 'RUNTIME_ERROR'"]);
});

test("a broken line of the rows is told and hides no other (the original stops reading there)", () => {
  const read = readContinuation(
    snapshot([looseNode("a", "root", solved("sha_a", 1))]),
    `{"solution_id": "sha_\n${row("sha_a", "// x")}\r\n\n[]`,
    context,
  );
  expect(read?.solutions).toHaveLength(1);
  expect(read?.repairs).toEqual([
    "line 1 of solution_db.jsonl is no solution",
    "line 4 of solution_db.jsonl is no solution",
  ]);
});

test("what is no world model is said to be none", () => {
  for (const value of [null, [], {}, { decision_tree: {} }, { decision_tree: { nodes: 3 } }])
    expect(readContinuation(value, "", context)).toBeNull();
});

test("the best by the file's own figures is what a run begins with", () => {
  const read = readContinuation(
    snapshot([looseNode("a", "root", solved("1", 0.4)), looseNode("b", "root", solved("2", 0.9))]),
    [row("1", "// one"), row("2", "// two")].join("\n"),
    context,
  );
  expect(read && bestImported(read)).toEqual(sampleKernel("// two"));
});

test("what a run exports is read back: the same tree, the same kernels, their scores and whom they build on", () => {
  const log = started(["a", looseNode("a1", "a")]);
  const [first, second] = [sampleKernel("// first"), sampleKernel("// second")];
  judge(log, open(log, work(log, 1)) ?? 0, 2, kernelId(first));
  log.append({ type: "cycle.closed", cycle: "lane1-cycle1", refine: false });
  judge(log, open(log, work(log, 1)) ?? 0, 3, kernelId(second));
  const { state } = log;
  const files = {
    snapshot: JSON.parse(JSON.stringify(worldModelFile(state))),
    rows: solutionDbFile(state, new Map([first, second].map((kernel) => [kernelId(kernel), kernel]))),
  };
  const read = readContinuation(files.snapshot, files.rows, context);
  expect(read?.repairs).toEqual([]);
  expect(read?.solutions).toMatchObject([
    { nodeId: "a", kernel: first, score: 2 },
    { nodeId: "a1", kernel: second, score: 3 },
  ]);
  expect([...(read?.tree.nodes.keys() ?? [])]).toEqual(["root", "a", "a1"]);
  expect(nodeOf(log, "a1")?.notes).toBe(read?.tree.nodes.get("a1")?.notes);
  expect(files.snapshot.decision_tree.nodes[2].solution_ref).toMatchObject({
    solution_id: kernelId(second),
    parent_solution_id: kernelId(first),
    eval: { status: "passed", metrics: { score: 3, score_name: "geomean_speedup" } },
  });
  expect(files.snapshot.decision_tree.active_leaf_id).toBe("a1");
  expect(
    files.rows
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line).solution_id),
  ).toEqual([kernelId(first), kernelId(second)]);
});

test("three CUDA files are written in the original's blocks, one file as it is", () => {
  const file = (path: string) => ({ path, content: `// ${path}` });
  const kernel = { ...sampleKernel(), files: [file("kernel.h"), file("kernel.cu"), file("main.cpp")] };
  expect(codeText(kernel)).toContain(
    '<header_file name="kernel.h">\n// kernel.h\n</header_file>\n<cuda_file name="kernel.cu">',
  );
  expect(codeText(sampleKernel("int x;"))).toBe("int x;");
});
