import fc from "fast-check";
import { expect, test } from "vitest";
import { looseDocument, looseNode } from "../../test/samples.ts";
import { type ReadDocument, readDocument, writeDocument } from "./document.ts";
import { frontier, pathTo, type Tree } from "./node.ts";

const read = (nodes: object[]): ReadDocument => {
  const document = readDocument(looseDocument(nodes));
  if (document === null) throw new Error("not a document");
  return document;
};
const action = (changes: object) => ({ action: { title: "try it", ...changes } });
const parents = (tree: Tree) =>
  Object.fromEntries([...tree.nodes.values()].map((node) => [node.nodeId, node.parentId]));

test("a clean document needs no repairs", () => {
  const { tree, repairs } = read([looseNode("a", "root"), looseNode("a1", "a")]);
  expect(repairs).toEqual([]);
  expect(parents(tree)).toEqual({ root: null, a: "root", a1: "a" });
  expect(tree).toMatchObject({ kernelSummary: "a summary", openQuestions: ["why?"], rootId: "root" });
  expect(tree.nodes.get("root")?.notes).toBe("the analysis");
  expect(frontier(tree).map((node) => node.nodeId)).toEqual(["a"]);
});

// The normaliser's parity list, spec/ksearch.md Appendix C 7.
test.each([
  ["a rating of 44", { overall_rating_0_to_10: 44 }, { rating: 10 }, "a.overall_rating_0_to_10 is 44"],
  ["a confidence of −3", { confidence_0_to_1: -3 }, { confidence: 0 }, "a.confidence_0_to_1 is -3"],
  ["an unknown parent", { parent_id: "nobody" }, { parentId: "root" }, "a has no path to the root over 'nobody'"],
  ["a second node without a parent", { parent_id: null }, { parentId: "root" }, "a names no parent"],
  ["the old difficulty 3", action({ difficulty_0_to_3: 3 }), { action: { difficulty: 4 } }, null],
  ["a missing score", action({}), { action: { score: 0.6, difficulty: 3 } }, null],
  [
    "a missing score after a clamped rating",
    { overall_rating_0_to_10: 44, ...action({}) },
    { action: { score: 1 } },
    "44",
  ],
  ["a score of 7", action({ score_0_to_1: 7 }), { action: { score: 1 } }, "a.action.score_0_to_1 is 7"],
  ["a rating in words", { overall_rating_0_to_10: "high" }, { rating: 0 }, "a.overall_rating_0_to_10 is not a number"],
  ["notes that are a list", { notes: ["x"] }, { notes: "" }, "a.notes is not a text"],
  ["notes without end", { notes: "x".repeat(5_000) }, { notes: "x".repeat(4_000) }, "a.notes is cut"],
  [
    "a title without end",
    action({ title: "x".repeat(400) }),
    { action: { title: "x".repeat(300) } },
    "a.action.title is cut",
  ],
  ["an action without a title", { action: { description: "do it" } }, { action: null }, "a.action has no title"],
  ["no action at all", { action: null }, { action: null }, null],
  [
    "a forecast below zero",
    action({ expected_vs_baseline_factor: -2 }),
    { action: { expectedVsBaselineFactor: null } },
    "a.action.expected",
  ],
  ["no forecast", action({ expected_vs_baseline_factor: null }), { action: { expectedVsBaselineFactor: null } }, null],
])("%s is mended, and told", (_, changes, expected, repair) => {
  const { tree, repairs } = read([looseNode("a", "root", changes)]);
  expect(tree.nodes.get("a")).toMatchObject(expected);
  if (repair === null) expect(repairs).toEqual([]);
  else expect(repairs.join("\n")).toContain(repair);
});

test("nodes of a cycle come below the root, and their children stay with them", () => {
  const { tree, repairs } = read([looseNode("a", "b"), looseNode("b", "a"), looseNode("b1", "b")]);
  expect(parents(tree)).toEqual({ root: null, a: "root", b: "a", b1: "b" });
  expect(repairs).toHaveLength(1);
});

test("a node that is its own parent comes below the root", () => {
  expect(parents(read([looseNode("a", "a")]).tree)).toEqual({ root: null, a: "root" });
});

test("of two nodes of one id the first stays", () => {
  const { tree, repairs } = read([
    looseNode("a", "root", { notes: "first" }),
    looseNode("a", "root", { notes: "second" }),
  ]);
  expect(tree.nodes.get("a")?.notes).toBe("first");
  expect(repairs).toEqual(["a second node 'a' is left out"]);
});

test("a second root is left out", () => {
  expect(read([looseNode("root", null)]).repairs.join()).toContain("a second node 'root' is left out");
});

test("children find a parent whose id had to change", () => {
  const nodes = [
    looseNode("plan A", "root"),
    looseNode("below", "plan A"),
    looseNode(" padded ", "plan A"),
    looseNode("deep", " padded "),
  ];
  const { tree, repairs } = read(nodes);
  expect(parents(tree)).toEqual({ root: null, n1: "root", below: "n1", padded: "n1", deep: "padded" });
  expect(repairs).toContain("node id \"plan A\" becomes 'n1'");
});

test("numbered nodes keep their tree", () => {
  const { tree } = read([looseNode("a", "root", { node_id: 1 }), looseNode("b", "root", { node_id: 2, parent_id: 1 })]);
  expect(parents(tree)).toEqual({ root: null, n1: "root", n2: "n1" });
});

test("a new name never takes the place of a node that bears it", () => {
  const { tree, repairs } = read([looseNode("no name!", "root"), looseNode("n1", "root")]);
  expect([...tree.nodes.keys()]).toEqual(["root", "n1x", "n1"]);
  expect(repairs).toHaveLength(1);
});

test("parents stand before their children, whatever the order of the document", () => {
  const { tree } = read([looseNode("c", "b"), looseNode("b", "a"), looseNode("a", "root")]);
  expect([...tree.nodes.keys()]).toEqual(["root", "a", "b", "c"]);
});

test("a document without its root gets one", () => {
  const document = readDocument({ decision_tree: { nodes: [looseNode("a", "root")] } });
  expect(document && parents(document.tree)).toEqual({ root: null, a: "root" });
});

test("evidence in the document is ignored", () => {
  const forged = { solution_id: "ker_0", eval: { status: "passed", metrics: { score: 99 } } };
  const { tree } = read([looseNode("a", "root", { solution_ref: forged, attempts: [1], failures: 0 })]);
  expect(tree.nodes.get("a")).toMatchObject({ solution: null, attempts: [], failures: 0 });
});

test("too many open questions, and what is no question, are told", () => {
  const document = { ...looseDocument([]), open_questions: [...Array(14).fill("why?"), 3] };
  expect(readDocument(document)?.tree.openQuestions).toHaveLength(12);
  expect(readDocument(document)?.repairs).toHaveLength(2);
});

test.each([
  null,
  3,
  "x",
  [],
  {},
  { decision_tree: {} },
  { decision_tree: { nodes: {} } },
  { decision_tree: { nodes: [1] } },
])("%j is no world model", (value) => expect(readDocument(value)).toBeNull());

test("what is written is read back the same", () => {
  const { tree } = read([
    looseNode("a", "root", action({ difficulty_1_to_5: 5, score_0_to_1: 0.25, expected_vs_baseline_factor: 1.5 })),
    looseNode("a1", "a"),
    looseNode("b", "root", { action: null }),
  ]);
  const again = readDocument(JSON.parse(JSON.stringify(writeDocument(tree))));
  expect(again).toMatchObject({ tree, repairs: [] });
});

function expectSound(tree: Tree): void {
  expect(tree.nodes.get(tree.rootId)?.parentId).toBeNull();
  for (const [id, node] of tree.nodes) {
    expect(node.nodeId).toBe(id);
    expect(pathTo(tree, id)[0]?.nodeId).toBe(tree.rootId);
    expect(pathTo(tree, id).length).toBeLessThanOrEqual(tree.nodes.size);
  }
}

test("any JSON reads as nothing or as a sound tree", () => {
  const id = fc.oneof(fc.constantFrom("root", "a", "b", "c", "bad id", "n1"), fc.jsonValue({ maxDepth: 1 }));
  const field = fc.oneof(fc.jsonValue({ maxDepth: 1 }), fc.double(), fc.string());
  const node = fc.dictionary(
    fc.constantFrom("decision", "notes", "overall_rating_0_to_10", "impacts", "action"),
    field,
  );
  const nodes = fc.array(
    fc.tuple(id, id, node).map(([node_id, parent_id, rest]) => ({ ...rest, node_id, parent_id })),
    { maxLength: 8 },
  );
  fc.assert(
    fc.property(nodes, id, (list, root_id) => {
      const document = readDocument({ decision_tree: { root_id, nodes: list } });
      if (document === null) return;
      expectSound(document.tree);
      expect(document.tree.nodes.size).toBeLessThanOrEqual(list.length + 1);
      const again = readDocument(JSON.parse(JSON.stringify(writeDocument(document.tree))));
      expect(again?.tree.nodes).toEqual(document.tree.nodes);
    }),
  );
  fc.assert(fc.property(fc.jsonValue(), (value) => void readDocument(value)));
});
