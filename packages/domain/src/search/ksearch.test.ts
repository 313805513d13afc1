import { expect, test } from "vitest";
import { looseNode, sampleOptions } from "../../test/samples.ts";
import { open, started, take } from "../../test/steps.ts";
import { extractObject } from "../replies/json.ts";
import { readDocument } from "../tree/document.ts";
import { planEdits } from "../tree/edits.ts";
import { proposeCall, refineCall } from "./calls.ts";
import { afterAttempt, afterEdit } from "./decisions.ts";
import { RunOptions } from "./options.ts";

/**
 * Appendix C of spec/ksearch.md: what was observed on the original, as tests of policy `ksearch`. Where ours differs, the
 * test says so. Scores stand for `metrics.score`; a round is an attempt.
 */
type World = {
  nodes: object[];
  rounds: number;
  window?: number;
  maxDifficulty?: number | null;
  /** Score of a round on a node; null: it fails. */
  score: (round: number, nodeId: string) => number | null;
  vsBaseline?: number;
  /** The model's reply to its nth edit; default: no ops. */
  edit?: (nth: number, purpose: "propose" | "refine", nodeId: string | null) => string;
};

/** A whole search under the policy, driven as the state machine drives it. `visits`: the node of every round. */
function search({ nodes, rounds, window = 3, maxDifficulty = null, score, vsBaseline, edit }: World) {
  const log = started(nodes, {
    policy: "ksearch",
    lanes: 1,
    stagnationWindow: window,
    maxDifficulty,
    budgetAttempts: rounds,
  });
  const visits: string[] = [];
  let edits = 0;
  const editEvent = (purpose: "propose" | "refine", call: string, cycle: string | null, nodeId: string | null) => {
    edits += 1;
    const reply = edit?.(edits, purpose, nodeId) ?? '{"ops": []}';
    const planned = planEdits(log.state.tree, extractObject(reply, "ops"), { maxNewNodes: 3, idPrefix: `new${edits}` });
    return { type: "tree.edited" as const, call, purpose, cycle, nodeId, ...planned };
  };
  for (let steps = 0; steps < 1_000; steps += 1) {
    const claimed = take(log, 1, { left: 1_000 });
    if (claimed.next === "end") return { visits, edits, tree: log.state.tree, log };
    if (claimed.next === "propose") {
      log.append(editEvent("propose", proposeCall(log.state.proposals), null, null));
      continue;
    }
    if (claimed.next === "wait") throw new Error("one lane waits for nobody");
    const { cycle } = claimed;
    for (let more = claimed.next === "work"; more; ) {
      const attempt = open(log, cycle);
      if (attempt === null) break;
      const nodeId = log.state.cycles.get(cycle)?.nodeId ?? "";
      visits.push(nodeId);
      const value = score(attempt, nodeId);
      const kernelId = `ker_${attempt}` as const;
      log.append(
        { type: "attempt.drafted", attempt, kernelId, sameAs: null },
        {
          type: "attempt.judged",
          attempt,
          status: value === null ? "incorrect_numerical" : "passed",
          score: value === null ? null : { value, low: value, high: value },
          vsBaseline: value === null ? null : (vsBaseline ?? null),
          callNs: null,
          message: "",
        },
      );
      const { events, result } = afterAttempt(log.state, cycle);
      log.append(...events);
      more = result === "again";
    }
    const closed = log.state.cycles.get(cycle);
    if (closed?.state !== "closed") continue;
    const call = refineCall(cycle, closed.refinements + 1);
    log.append(...afterEdit(log.state, cycle, editEvent("refine", call, cycle, closed.nodeId)).events);
  }
  throw new Error("the search does not end");
}

const action = (score: number, difficulty = 1) => ({
  title: `idea ${score} ${difficulty}`,
  score_0_to_1: score,
  difficulty_1_to_5: difficulty,
});
const three = ["a", "b", "c"].map((id, index) => looseNode(id, "root", { action: action(0.9 - index / 10) }));
const times = (count: number, id: string): string[] => Array.from({ length: count }, () => id);

test("check 1: when all fails and the model edits nothing, one node takes every round (B5 is part of the policy)", () => {
  const { visits, edits } = search({ nodes: three, rounds: 12, score: () => null });
  expect(visits).toEqual(times(12, "a"));
  // 5 calls for the world model with the init's; the 12 drafts are the visits.
  expect(edits + 1).toBe(5);
});

test("check 2: equal scores: W+1 rounds on each of a, b, c, then on the stock child of a", () => {
  const { visits, tree } = search({ nodes: three, rounds: 14, score: () => 1 });
  expect(visits.slice(0, 12)).toEqual([...times(4, "a"), ...times(4, "b"), ...times(4, "c")]);
  const child = visits[12] ?? "";
  expect(visits.slice(12)).toEqual([child, child]);
  expect(tree.nodes.get(child)).toMatchObject({ parentId: "a", action: { score: 0.35, difficulty: 2 } });
});

test("check 2: a refinement without a continuation is asked for three times", () => {
  // init apart: three cycles, each with 3 edits; the last cycle was cut by the budget and refined all the same.
  const { edits } = search({ nodes: three, rounds: 14, score: () => 1 });
  expect(edits).toBe(4 * 3);
});

test("check 3: a node that goes on improving keeps all rounds", () => {
  expect(search({ nodes: three, rounds: 10, score: (round) => round }).visits).toEqual(times(10, "a"));
});

test("check 4: slower siblings become solved; the best node gets a stock child once its own is consumed", () => {
  const { visits, tree } = search({ nodes: three, rounds: 18, score: (round) => (round === 1 ? 2 : 1) });
  expect(["a", "b", "c"].map((id) => tree.nodes.get(id)?.solution?.score)).toEqual([2, 1, 1]);
  const stock = [...tree.nodes.values()].filter((node) => node.nodeId.startsWith("node_best_cont_"));
  expect(stock).toMatchObject([{ parentId: "a", action: { score: 0.6, difficulty: 2 } }]);
  // The first child of a came from its refinement; it was used before the stock one came.
  const first = visits.find((id) => tree.nodes.get(id)?.parentId === "a") ?? "";
  expect(visits.indexOf(first)).toBeLessThan(visits.indexOf(stock[0]?.nodeId ?? ""));
  expect(first).toMatch(/^node_r1_cont_1$/);
});

test("check 4: a cycle that never beats its parent ends W rounds after its first pass", () => {
  const { visits, tree } = search({ nodes: three, rounds: 24, score: (round) => (round === 1 ? 2 : 1) });
  const below = visits.filter((id) => tree.nodes.get(id)?.parentId === "a" && id.startsWith("node_r1_"));
  expect(below).toHaveLength(3);
});

test("check 5, departure: a proposal or refinement that cannot be read is a record, and the search goes on", () => {
  const { visits, edits } = search({
    nodes: [looseNode("a", "root", { action: action(0.9) })],
    rounds: 4,
    score: () => 1,
    edit: () => "no JSON at all",
  });
  expect(visits).toHaveLength(4);
  // One proposal (one open action is too few, but a good one), three refinements.
  expect(edits).toBe(4);
});

test("departure from B6: what an early proposal brought stays, though a later one cannot be read", () => {
  const insert = JSON.stringify({
    ops: [
      {
        op: "insert_node",
        parent_id: "root",
        node: { ...looseNode("n", null), parent_id: undefined, action: action(0.4) },
      },
    ],
  });
  const { tree } = search({
    nodes: [looseNode("a", "root", { action: action(0.3) })],
    rounds: 1,
    score: () => null,
    edit: (nth) => (nth === 1 ? insert : "{"),
  });
  expect(tree.nodes.has("n")).toBe(true);
});

test.each([
  ["a cap of 5 holds below half of the baseline", 5, 0.4, "hard"],
  ["half of the baseline lowers it to 4 (B9)", 5, 0.6, "easy"],
])("check 6: %s", (_, maxDifficulty, vsBaseline, expected) => {
  const nodes = [
    looseNode("done", "root", { action: action(0.95) }),
    looseNode("hard", "root", { action: action(0.9, 5) }),
    looseNode("easy", "root", { action: action(0.1, 1) }),
    looseNode("below", "done", { action: action(0.05, 1) }),
  ];
  const { visits } = search({
    nodes,
    rounds: 5,
    maxDifficulty,
    vsBaseline,
    score: (_, id) => (id === "done" ? 1 : null),
  });
  expect(visits.slice(0, 5)).toEqual([...times(4, "done"), expected]);
});

test("check 6: half of the baseline raises a cap of 2 to 4 (B9)", () => {
  const nodes = [
    looseNode("done", "root", { action: action(0.95) }),
    looseNode("d4", "root", { action: action(0.9, 4) }),
    looseNode("easy", "root", { action: action(0.1, 1) }),
    looseNode("below", "done", { action: action(0.05, 1) }),
  ];
  const at = (vsBaseline: number) =>
    search({ nodes, rounds: 5, maxDifficulty: 2, vsBaseline, score: (_, id) => (id === "done" ? 1 : null) }).visits[4];
  expect([at(0.6), at(0.4)]).toEqual(["d4", "easy"]);
});

test("without anything easy enough, the hard ones are open", () => {
  const nodes = [looseNode("hard", "root", { action: action(0.9, 5) })];
  expect(search({ nodes, rounds: 1, score: () => null }).visits).toEqual(["hard"]);
});

test("check 7: the normaliser clamps, re-parents and maps as the original's", () => {
  const read = readDocument({
    decision_tree: {
      root_id: "root",
      nodes: [
        { node_id: "root", parent_id: null },
        {
          node_id: "x",
          parent_id: "nobody",
          overall_rating_0_to_10: 44,
          confidence_0_to_1: -3,
          action: { title: "x" },
        },
        { node_id: "y", parent_id: null, overall_rating_0_to_10: 7, action: { title: "y", difficulty_0_to_3: 3 } },
      ],
    },
  });
  expect(read?.tree.nodes.get("x")).toMatchObject({
    parentId: "root",
    rating: 10,
    confidence: 0,
    action: { score: 1 },
  });
  expect(read?.tree.nodes.get("y")).toMatchObject({ parentId: "root", action: { difficulty: 4, score: 0.7 } });
});

test.each([
  ["prose and braces around it", 'We set {tile} first.\n{"ops": [1]}\nDone {really}.', { ops: [1] }],
  ["a fence", '```json\n{"ops": [1]}\n```', { ops: [1] }],
  ["a stray quote before it", 'He said " and then {"ops": [1]}', { ops: [1] }],
  ["broken JSON", '{"ops": [1', null],
])("check 8: the extractor and %s", (_, reply, found) => expect(extractObject(reply, "ops")).toEqual(found));

test("check 8, departure: an empty object before the answer does not hide it", () => {
  expect(extractObject('{} and then {"ops": [1]}', "ops")).toEqual({ ops: [1] });
});

test("the policy works on one lane, as the original does", () => {
  const { error } = RunOptions.safeParse(sampleOptions({ policy: "ksearch", lanes: 2 }));
  expect(error?.issues).toMatchObject([{ path: ["lanes"] }]);
});

test("a debug attempt sees the base, an improving one the best of its cycle, and each the latest draft", () => {
  const scores = [null, 2, 1, 1];
  const { log } = search({ nodes: three, rounds: 4, window: 9, score: (round) => scores[round - 1] ?? null });
  const plans = log.state.attempts.map(({ kind, baseKernelId, previousAttempt }) => [
    kind,
    baseKernelId,
    previousAttempt,
  ]);
  expect(plans).toEqual([
    ["draft_spec", null, null],
    ["debug", null, 1],
    ["improve", null, 2],
    ["improve", "ker_2", 3],
  ]);
});
