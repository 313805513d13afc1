import fc from "fast-check";
import { expect, test } from "vitest";
import { looseDocument, looseNode } from "../../test/samples.ts";
import { readDocument } from "./document.ts";
import { applyEdit, planEdits, TreeEdit } from "./edits.ts";
import { emptyTree, pathTo, type Tree } from "./node.ts";

/** root → a (solved) → a1; root → b (tried) ; root → c, whose plan has no action, → c1. */
function sample(): Tree {
  const tree = readDocument(
    looseDocument([
      looseNode("a", "root"),
      looseNode("a1", "a"),
      looseNode("b", "root"),
      looseNode("c", "root", { action: null }),
      looseNode("c1", "c"),
    ]),
  )?.tree;
  if (!tree) throw new Error("no tree");
  const nodes = new Map(tree.nodes);
  const change = (id: string, part: object) => nodes.set(id, { ...(nodes.get(id) ?? fail()), ...part });
  change("a", { solution: { kernelId: "ker_1", attempt: 1, score: 2 }, attempts: [1] });
  change("b", { attempts: [2], failures: 1 });
  return { ...tree, nodes };
}
const fail = (): never => {
  throw new Error("no such node");
};
const limits = { maxNewNodes: 3, idPrefix: "new" };
const plan = (...ops: unknown[]) => planEdits(sample(), { ops }, limits);
const after = (ops: unknown[], given = limits): Tree =>
  planEdits(sample(), { ops }, given).edits.reduce(applyEdit, sample());

const node = (title: string, changes: object = {}) => ({
  decision: "d",
  choice: "c",
  overall_rating_0_to_10: 5,
  confidence_0_to_1: 0.5,
  action: { title, score_0_to_1: 0.7, difficulty_1_to_5: 2 },
  ...changes,
});
const insert = (parent_id: string, title: string, changes: object = {}) => ({
  op: "insert_node",
  parent_id,
  node: node(title, changes),
});
const update = (node_id: string, patch: object) => ({ op: "update_node", node_id, patch });
const remove = (node_id: string) => ({ op: "delete_node", node_id });

test("an insert adds an open node", () => {
  expect(after([insert("a", "Fuse", { node_id: "a2" })]).nodes.get("a2")).toMatchObject({
    parentId: "a",
    action: { title: "Fuse", score: 0.7, difficulty: 2, expectedVsBaselineFactor: null },
    solution: null,
    attempts: [],
  });
});

test("a missing or impossible id becomes a fresh one", () => {
  const tree = after([insert("a", "one"), insert("a", "three", { node_id: "no id!" })]);
  expect([...tree.nodes.keys()].slice(-2)).toEqual(["new_1", "new_2"]);
});

test("a taken id is refused, so that no child lands under another node than was meant", () => {
  const planned = plan(insert("a", "two", { node_id: "b" }), insert("b", "child", { node_id: "kid" }));
  expect(planned.refused).toMatchObject([{ index: 0, reason: expect.stringContaining("'b' already") }]);
});

test("an op may build on the one before it", () => {
  const tree = after([insert("root", "plan", { node_id: "p" }), insert("p", "step", { node_id: "q" }), remove("q")]);
  expect([...tree.nodes.keys()].at(-1)).toBe("p");
});

test("an update changes what it names and nothing else", () => {
  const before = sample().nodes.get("b");
  expect(
    after([
      update("b", {
        notes: "new",
        action: { score_0_to_1: 0.1 },
        impacts: { memory_bandwidth: { rating_0_to_10: 9 } },
      }),
    ]).nodes.get("b"),
  ).toEqual({
    ...before,
    notes: "new",
    action: { ...before?.action, score: 0.1 },
    impacts: { ...before?.impacts, memoryBandwidth: { ...before?.impacts.memoryBandwidth, rating: 9 } },
  });
});

test("an update may take a forecast back, and give a plan its action", () => {
  const tree = after([
    update("b", { action: { expected_vs_baseline_factor: 2 } }),
    update("b", { action: { expected_vs_baseline_factor: null } }),
    update("c", { action: { title: "Go" } }),
  ]);
  expect(tree.nodes.get("b")?.action?.expectedVsBaselineFactor).toBeNull();
  expect(tree.nodes.get("c")?.action).toMatchObject({ title: "Go", difficulty: 3, score: 0 });
});

test("a split patches the node and adds its children", () => {
  const tree = after([
    { op: "split_node", node_id: "b", parent_patch: { notes: "split" }, children: [node("left"), node("right")] },
  ]);
  expect(tree.nodes.get("b")?.notes).toBe("split");
  expect(
    [...tree.nodes.values()].filter(({ parentId }) => parentId === "b").map(({ action }) => action?.title),
  ).toEqual(["left", "right"]);
});

test("only an untried leaf can be deleted", () => {
  expect(after([remove("a1")]).nodes.has("a1")).toBe(false);
});

test.each([
  ["deleting the root", remove("root"), "the root cannot be deleted"],
  ["deleting a solved node", remove("a"), "a solved node cannot be deleted"],
  ["deleting a tried node", remove("b"), "stays as evidence"],
  ["deleting a node with children", remove("c"), "with children cannot be deleted"],
  ["deleting nobody", remove("x"), "there is no node 'x'"],
  ["updating nobody", update("x", { notes: "" }), "there is no node 'x'"],
  ["inserting below nobody", insert("x", "t"), "there is no node 'x'"],
  ["a decision for the root", update("root", { decision: "d" }), "the root has no decision"],
  ["a score where there is no action", update("c", { action: { score_0_to_1: 1 } }), "a new one needs a title"],
  ["a forged solution", update("b", { solution_ref: { solution_id: "ker_1" } }), "solution_ref"],
  ["a forged solution in a new node", insert("a", "t", { solution_ref: { solution_id: "ker_1" } }), "solution_ref"],
  ["forged attempts", update("b", { attempts: [] }), "attempts"],
  ["forged failures", update("b", { failures: 0 }), "failures"],
  ["another parent", update("b", { parent_id: "a" }), "parent_id"],
  ["a rating of 44", update("b", { overall_rating_0_to_10: 44 }), "overall_rating_0_to_10"],
  ["a title of blanks", insert("a", "  "), "title"],
  ["a node without an action", insert("a", "t", { action: undefined }), "action"],
  ["an unknown op", { op: "move_node", node_id: "b" }, "op"],
  ["a twin", insert("root", "TRY  b!"), "'b' under the same parent already has the action 'try b'"],
  ["an op that is no object", "delete b", "object"],
  ["null", null, "object"],
])("%s is refused with its reason", (_, op, reason) => {
  const { edits, refused } = plan(op);
  expect(edits).toEqual([]);
  expect(refused).toHaveLength(1);
  expect(refused[0]).toMatchObject({ index: 0, reason: expect.stringContaining(reason) });
});

test("titles in other scripts are told apart", () => {
  expect(plan(insert("root", "向量化"), insert("root", "分块")).refused).toEqual([]);
  expect(plan(insert("root", "向量化"), insert("root", "向量化!")).refused).toHaveLength(1);
});

test("one refused op does not stop the others, and the refusal says which it was", () => {
  const { edits, refused } = plan(update("b", { notes: "1" }), remove("root"), update("b", { notes: "2" }));
  expect(edits).toHaveLength(2);
  expect(refused).toEqual([{ index: 1, op: "delete_node", reason: "the root cannot be deleted" }]);
});

test("no script brings more new nodes than allowed, split children included", () => {
  const { edits, refused } = plan(
    { op: "split_node", node_id: "b", children: [1, 2, 3, 4].map((n) => node(`t${n}`)) },
    insert("a", "more"),
  );
  expect(edits.filter(({ edit }) => edit === "insert")).toHaveLength(3);
  expect(refused.map(({ reason }) => reason)).toEqual([
    "1 of 4 children: at most 3 new nodes in one script",
    "at most 3 new nodes in one script",
  ]);
});

test("a limited edit touches its subtree only", () => {
  const { edits, refused } = planEdits(
    sample(),
    {
      ops: [
        update("a", { notes: "x" }),
        insert("a1", "t"),
        update("b", { notes: "x" }),
        insert("root", "t"),
        remove("c1"),
      ],
    },
    { ...limits, withinNodeId: "a" },
  );
  expect(edits).toHaveLength(2);
  expect(refused.map(({ index }) => index)).toEqual([2, 3, 4]);
  for (const { reason } of refused) expect(reason).toContain("outside the subtree of 'a'");
});

test.each([null, "ops", [], {}, { ops: {} }, { ops: Array(65).fill({}) }])(
  "%j is no script, and that is told once",
  (script) => {
    expect(planEdits(emptyTree(), script, limits)).toMatchObject({ edits: [], refused: [{ index: -1, op: "script" }] });
  },
);

test("an empty script is fine", () => expect(plan()).toEqual({ edits: [], refused: [] }));

const id = fc.constantFrom("root", "a", "a1", "b", "c", "c1", "x", "new_1", "__proto__");
const anything = fc.jsonValue({ maxDepth: 2 });
const patch = fc.record(
  {
    notes: fc.oneof(fc.string(), anything),
    decision: fc.string(),
    overall_rating_0_to_10: fc.double(),
    action: fc.record(
      { title: fc.string(), score_0_to_1: fc.double({ min: 0, max: 1, noNaN: true }) },
      { requiredKeys: [] },
    ),
    solution_ref: anything,
    parent_id: id,
  },
  { requiredKeys: [] },
);
const child = fc
  .record({ title: fc.string({ minLength: 1 }), node_id: id, wrong: fc.boolean() })
  .map(({ title, node_id, wrong }) => node(title, { node_id, ...(wrong ? { solution_ref: {} } : {}) }));
const op = fc.oneof(
  fc.record({ op: fc.constant("update_node"), node_id: id, patch }),
  fc.record({ op: fc.constant("insert_node"), parent_id: id, node: child }),
  fc.record({ op: fc.constant("split_node"), node_id: id, children: fc.array(child, { maxLength: 4 }) }),
  fc.record({ op: fc.constant("delete_node"), node_id: id }),
  anything,
  anything.map((value) => ({ op: value })),
);

test("no script throws, breaks the tree, touches evidence, or goes unanswered", () => {
  fc.assert(
    fc.property(fc.array(op, { maxLength: 12 }), (ops) => {
      const { edits, refused } = planEdits(sample(), JSON.parse(JSON.stringify({ ops })), limits);
      const tree = edits.map((edit) => TreeEdit.parse(edit)).reduce(applyEdit, sample());
      for (const [nodeId, now] of tree.nodes) {
        expect(now.nodeId).toBe(nodeId);
        expect(pathTo(tree, nodeId)[0]?.nodeId).toBe("root");
        const was = sample().nodes.get(nodeId);
        if (was) expect([now.solution, now.attempts, now.failures]).toEqual([was.solution, was.attempts, was.failures]);
      }
      for (const kept of ["root", "a", "b"]) expect(tree.nodes.has(kept)).toBe(true);
      expect(edits.filter(({ edit }) => edit === "insert").length).toBeLessThanOrEqual(3);
      expect(new Set(refused.map(({ index }) => index)).size).toBe(refused.length);
    }),
    { numRuns: 300 },
  );
  fc.assert(fc.property(fc.jsonValue(), (script) => void planEdits(sample(), script, limits)));
});

test("an op named by something that cannot be a text is refused like any other", () => {
  expect(plan({ op: { toString: 1, valueOf: 1 } }).refused).toMatchObject([{ op: "unknown" }]);
});
