import { expect, test } from "vitest";
import { type Log, looseDocument, looseNode } from "../../test/samples.ts";
import { attempt, judge, lane, nodeOf, open, started, take, work } from "../../test/steps.ts";
import { readDocument } from "../tree/document.ts";
import type { TreeEdit } from "../tree/edits.ts";
import { frontier } from "../tree/node.ts";
import { afterAttempt, beginExecution, claim, closeRound, openRound, startAttempt, stopped } from "./decisions.ts";
import type { RunEvent } from "./events.ts";
import { lanesPolicy, value } from "./lanes.ts";
import type { RunOptions } from "./options.ts";
import { stopReason } from "./policy.ts";

const edited = (purpose: "propose" | "refine", edits: TreeEdit[], nodeId: string | null = null): RunEvent => ({
  type: "tree.edited",
  call: "c",
  purpose,
  cycle: null,
  nodeId,
  edits,
  refused: [],
});
const inserted = (nodeId: string, parentId: string): TreeEdit => {
  const seed = readDocument(looseDocument([looseNode(nodeId, "root")]))?.tree.nodes.get(nodeId);
  if (!seed) throw new Error("no seed");
  const { solution: _s, attempts: _a, failures: _f, refinements: _r, ...node } = seed;
  return { edit: "insert", node: { ...node, parentId } };
};

test("lanes take different nodes, the likelier first, and each keeps its own", () => {
  const log = started(["a", "b", "c"]);
  const [one, two] = [work(log, 1), work(log, 2)];
  expect([...log.state.cycles.values()].map(({ nodeId }) => nodeId)).toEqual(["a", "b"]);
  expect(claim(log.state, lane(1))).toEqual({ events: [], result: { next: "work", cycle: one } });
  expect(claim(log.state, lane(2))).toEqual({ events: [], result: { next: "work", cycle: two } });
});

test("a chain unlocks one step at a time", () => {
  const log = started(["a", looseNode("a1", "a"), looseNode("a2", "a1")]);
  const open = () => frontier(log.state.tree).map(({ nodeId }) => nodeId);
  expect(open()).toEqual(["a"]);
  attempt(log, work(log, 1), 2);
  expect(open()).toEqual(["a1"]);
});

test("a lane without a free node proposes, one at a time; then drafts are shared; then there is nothing", () => {
  const log = started(["a"]);
  work(log, 1);
  expect(take(log, 2)).toEqual({ next: "propose", call: "propose1" });
  expect(take(log, 2)).toEqual({ next: "propose", call: "propose1" });
  expect(take(log, 3)).toMatchObject({ next: "work" });
  log.append(edited("propose", []));
  expect(claim(started([looseNode("x", "root", { action: null })]).state, lane(1)).result).toMatchObject({
    next: "propose",
  });
  expect([...log.state.cycles.values()].map(({ nodeId }) => nodeId)).toEqual(["a", "a"]);
});

test("a model that says that nothing is worth an attempt is not asked again", () => {
  const log = started([looseNode("plan", "root", { action: null })]);
  expect(take(log, 1)).toMatchObject({ next: "propose" });
  log.append(edited("propose", []));
  expect(take(log, 1)).toEqual({ next: "end" });
});

test("proposals that open nothing, however many nodes they bring, are asked for three times in a row", () => {
  const log = started([looseNode("plan", "root", { action: null })]);
  for (const [x, y] of [
    ["a", "b"],
    ["c", "d"],
    ["e", "f"],
  ] as const) {
    expect(take(log, 1)).toMatchObject({ next: "propose" });
    log.append(edited("propose", [inserted(x, "plan"), inserted(y, x)]));
  }
  expect(take(log, 1)).toEqual({ next: "end" });
  expect(log.state.stops).toMatchObject([{ reason: "nothing_free" }]);
});

test("a proposal that opens something is worked on, and the next may be asked for", () => {
  const log = started([looseNode("plan", "root", { action: null })]);
  take(log, 1);
  log.append(edited("propose", [inserted("x", "root")]));
  work(log, 1);
  expect(take(log, 2)).toEqual({ next: "propose", call: "propose2" });
});

test("a lane that has ended in a round has ended, and is told so without another word in the log", () => {
  const log = started(["a"]);
  expect(take(log, 1, { left: 0 })).toEqual({ next: "end" });
  expect(claim(log.state, lane(1))).toEqual({ events: [], result: { next: "end" } });
  expect(claim(log.state, lane(1, { round: 2 })).result).toMatchObject({ next: "work" });
});

test("a newer execution takes over the cycles and the proposal of an older one, each once", () => {
  const log = started(["a"]);
  const cycle = work(log, 1);
  open(log, cycle);
  take(log, 2);
  log.append(...beginExecution(log.state, 2).events);
  expect(take(log, 2, { epoch: 2 })).toEqual({ next: "work", cycle });
  expect(open(log, cycle)).toBe(1);
  expect(take(log, 1, { epoch: 2 })).toEqual({ next: "propose", call: "propose1" });
  expect(log.state.proposals).toBe(1);
  expect(log.state.cycles.get(cycle)).toMatchObject({ lane: 2, epoch: 2 });
});

test("a cycle whose edit is due is resumed there", () => {
  const log = started(["a"], { attemptsPerNode: { base: 1, max: 1 } });
  const cycle = work(log, 1);
  expect(attempt(log, cycle, "timeout")).toBe("refine");
  log.append(...beginExecution(log.state, 2).events);
  expect(take(log, 1, { epoch: 2 })).toEqual({ next: "refine", cycle });
});

test("an attempt mends the last failure, improves the best, and starts anew after the referee's own trouble", () => {
  const log = started(["a"], { attemptsPerNode: { base: 5, max: 9 } });
  const cycle = work(log, 1);
  const facts = () => {
    const { kind, previousAttempt, baseKernelId } = startAttempt(log.state, cycle).result ?? {};
    return [kind, previousAttempt, baseKernelId];
  };
  expect(facts()).toEqual(["draft_spec", null, null]);
  attempt(log, cycle, "infra_error");
  expect(facts()).toEqual(["draft_spec", null, null]);
  attempt(log, cycle, "compile_error");
  expect(facts()).toEqual(["debug", 2, null]);
  attempt(log, cycle, 2);
  attempt(log, cycle, 1.5);
  expect(facts()).toEqual(["improve", 3, null]);
});

test("an attempt below a solved node builds on its best kernel", () => {
  const log = started(["a", looseNode("a1", "a")], { attemptsPerNode: { base: 1, max: 1 } });
  attempt(log, work(log, 1), 2);
  log.append({ type: "cycle.ended", cycle: "lane1-cycle1" });
  const cycle = work(log, 1);
  expect(startAttempt(log.state, cycle).result).toMatchObject({
    nodeId: "a1",
    kind: "draft_base",
    baseKernelId: "ker_1",
    nodeAttempt: 1,
  });
});

test("a node gets its base attempts, more only while they bring a new best, and never more than the maximum", () => {
  const log = started(["a"], { attemptsPerNode: { base: 2, max: 4 } });
  const cycle = work(log, 1);
  expect(attempt(log, cycle, "timeout")).toBe("again");
  expect(attempt(log, cycle, 1)).toBe("again");
  expect(attempt(log, cycle, 2)).toBe("again");
  expect(attempt(log, cycle, 3)).toBe("refine");
  const other = started(["a"], { attemptsPerNode: { base: 2, max: 4 } });
  const second = work(other, 1);
  attempt(other, second, 2);
  expect(attempt(other, second, 1)).toBe("refine");
});

test("lanes that share a node never exceed its maximum together", () => {
  const log = started(["a"], { attemptsPerNode: { base: 2, max: 2 } });
  const one = work(log, 1);
  attempt(log, one, "timeout");
  take(log, 2);
  const two = work(log, 3);
  expect(open(log, one)).toBe(2);
  expect(open(log, two)).toBeNull();
  expect(log.state.cycles.has(two)).toBe(false);
  expect(nodeOf(log, "a")).toMatchObject({ attempts: [1, 2], failures: 0 });
});

test("of lanes that share a node only the last to finish asks the model for its edit", () => {
  const log = started(["a"], { attemptsPerNode: { base: 3, max: 3 } });
  const one = work(log, 1);
  open(log, one);
  take(log, 2);
  const two = work(log, 3);
  attempt(log, two, "timeout");
  judge(log, 1, "timeout");
  expect(attempt(log, two, "timeout")).toBe("claim");
  expect(afterAttempt(log.state, one).result).toBe("refine");
});

test("a failing node decays by itself, so the search moves on although the model never says so", () => {
  const log = started(["a", "b"], { lanes: 1, attemptsPerNode: { base: 1, max: 9 }, budgetAttempts: 40 });
  const order: string[] = [];
  for (let index = 0; index < 8; index += 1) {
    const cycle = work(log, 1);
    order.push(log.state.cycles.get(cycle)?.nodeId ?? "");
    expect(attempt(log, cycle, "incorrect_numerical")).toBe("refine");
    log.append(edited("refine", [], order.at(-1) ?? null), { type: "cycle.ended", cycle });
  }
  expect(order[0]).toBe("a");
  expect(order.slice(1, 3)).toContain("b");
  expect(order.filter((id) => id === "b").length).toBeGreaterThanOrEqual(3);
});

test("a barren cycle halves a node's belief; a cycle without attempts does not", () => {
  const log = started(["a"], { attemptsPerNode: { base: 1, max: 9 } });
  const none = new Set<string>();
  const node = () => nodeOf(log, "a") ?? fail();
  const fresh = value(log.state, node(), none);
  attempt(log, work(log, 1), "timeout");
  expect(node().failures).toBe(1);
  expect(value({ ...log.state, attempts: [] }, { ...node(), attempts: [] }, none)).toBeCloseTo(fresh - 0.45);
  const idle = started(["a"]);
  const cycle = work(idle, 1);
  idle.append({ type: "cycle.closed", cycle, refine: false });
  expect(nodeOf(idle, "a")?.failures).toBe(0);
});
const fail = (): never => {
  throw new Error("no such node");
};

test("difficulty costs, a good parent and fewer claimed neighbours pay", () => {
  const log = started([
    looseNode("easy", "root", { action: { title: "e", score_0_to_1: 0.5, difficulty_1_to_5: 1 } }),
    looseNode("hard", "root", { action: { title: "h", score_0_to_1: 0.5, difficulty_1_to_5: 5 } }),
    looseNode("good", "root"),
    looseNode("poor", "root"),
    looseNode("g1", "good"),
    looseNode("p1", "poor"),
  ]);
  const of = (id: string, claimed: string[] = []) => value(log.state, nodeOf(log, id) ?? fail(), new Set(claimed));
  expect(of("easy") - of("hard")).toBeCloseTo(0.25);
  for (const [id, score] of [
    ["good", 4],
    ["poor", 1.1],
  ] as const) {
    const number = log.state.attempts.length + 1;
    log.append(
      { type: "cycle.opened", cycle: id, lane: number, epoch: 1, nodeId: id },
      {
        type: "attempt.started",
        attempt: number,
        cycle: id,
        nodeId: id,
        nodeAttempt: 1,
        kind: "draft_spec",
        baseKernelId: null,
        previousAttempt: null,
        forecast: null,
        model: null,
      },
    );
    judge(log, number, score);
  }
  expect(of("g1")).toBeGreaterThan(of("p1"));
  expect(of("g1", ["good"])).toBe(of("g1"));
  expect(of("easy", ["hard"])).toBeLessThan(of("easy"));
});

test("the policy asks for twice as many ideas as it has lanes", () =>
  expect(lanesPolicy.initialActions(started(["a"]).state)).toBe(4));

test.each<[string, Partial<RunOptions>, (log: Log) => void, string | null]>([
  ["nothing yet", {}, () => undefined, null],
  ["the attempts are used", { budgetAttempts: 1 }, (log) => void open(log, work(log, 1)), "budget"],
  [
    "the money is spent",
    { budgetMicroUsd: 5 },
    (log) =>
      void log.append({ type: "call.answered", call: "x", model: "m", usage: null, costMicroUsd: 5, durationMs: 1 }),
    "budget",
  ],
  ["no money was given and none is spent", { budgetMicroUsd: 0 }, () => undefined, null],
  ["the target is reached", { targetScore: 2 }, (log) => void attempt(log, work(log, 1), 2), "target"],
  ["the target is not quite reached", { targetScore: 2 }, (log) => void attempt(log, work(log, 1), 1.99), null],
  [
    "patience is at its end",
    { patience: 2 },
    (log) => [3, 2, 1].forEach((score) => void attempt(log, [...log.state.cycles.keys()][0] ?? work(log, 1), score)),
    "patience",
  ],
  [
    "something better came in time",
    { patience: 2 },
    (log) => [1, 1, 2].forEach((score) => void attempt(log, [...log.state.cycles.keys()][0] ?? work(log, 1), score)),
    null,
  ],
])("when %s, the reason to stop is known", (_, options, happens, reason) => {
  const log = started(["a"], { attemptsPerNode: { base: 9, max: 9 }, ...options });
  happens(log);
  expect(stopReason(log.state)?.reason ?? null).toBe(reason);
});

test("with the budget used an open cycle closes without an attempt, and the lane says why it ended", () => {
  const log = started(["a", "b"], { budgetAttempts: 1 });
  const [one, two] = [work(log, 1), work(log, 2)];
  expect(open(log, one)).toBe(1);
  expect(open(log, two)).toBeNull();
  expect(take(log, 2)).toEqual({ next: "end" });
  expect(log.state.stops).toMatchObject([{ lane: 2, reason: "budget", message: "the budget of 1 attempts is used" }]);
});

test.each<[string, RunEvent, string]>([
  ["a cancelled run", { type: "cancel.requested" }, "canceled"],
  ["a paused run", { type: "run.paused", who: "caller", code: "llm.auth", message: "the key is wrong" }, "paused"],
])("%s stops its lanes and leaves their cycles open", (_, event, reason) => {
  const log = started(["a"]);
  const cycle = work(log, 1);
  log.append(event);
  expect(open(log, cycle)).toBeNull();
  expect(take(log, 1)).toEqual({ next: "end" });
  expect(log.state.cycles.has(cycle)).toBe(true);
  expect(log.state.stops).toMatchObject([{ reason }]);
  expect(closeRound(log.state)).toEqual({ events: [], result: "report" });
});

test("a referee that fails thrice in a row pauses the run for its operator; a new execution tries again", () => {
  const log = started(["a"], { attemptsPerNode: { base: 9, max: 9 } });
  const cycle = work(log, 1);
  for (let index = 0; index < 3; index += 1) attempt(log, cycle, "infra_error");
  expect(take(log, 1)).toEqual({ next: "end" });
  const { events, result } = closeRound(log.state);
  expect(result).toBe("report");
  expect(events).toMatchObject([
    {
      type: "run.paused",
      who: "operator",
      code: "referee.trouble",
      message: expect.stringContaining("it was infra_error"),
    },
  ]);
  log.append(...events, ...beginExecution(log.state, 2).events);
  expect(take(log, 1, { epoch: 2 })).toEqual({ next: "judge", cycle });
});

test("a cycle taken over after a judged attempt goes on with what follows it, not with another attempt", () => {
  const log = started(["a"], { attemptsPerNode: { base: 1, max: 1 } });
  const cycle = work(log, 1);
  judge(log, open(log, cycle) ?? 0, "incorrect_numerical");
  log.append(...beginExecution(log.state, 1).events);
  expect(take(log, 1, { epoch: 2 })).toEqual({ next: "judge", cycle });
  expect(afterAttempt(log.state, cycle).result).toBe("refine");
});

test("an outage on the last attempts pauses the run instead of ending it with drafts unjudged", () => {
  const log = started(["a"], { budgetAttempts: 1 });
  const cycle = work(log, 1);
  open(log, cycle);
  log.append(stop(1, { who: "operator", code: "referee.start" }));
  expect(closeRound(log.state)).toMatchObject({ result: "report", events: [{ type: "run.paused", who: "operator" }] });
});

const stop = (number: number, error: { who: "caller" | "retry" | "operator"; code: string } | null): RunEvent =>
  stopped(lane(number), error ? "error" : "share", "because", error);

test.each<[string, Partial<RunOptions>, boolean, RunEvent[], string, object[]]>([
  ["attempts were judged", {}, true, [stop(1, null)], "again", []],
  ["nothing was judged", {}, false, [stop(1, null)], "confirm", []],
  ["the budget is used", { budgetAttempts: 1 }, true, [stop(1, null)], "confirm", []],
  ["a lane met the end of the money", {}, true, [stopped(lane(1), "budget", "", null)], "confirm", []],
  [
    "a lane has a wrong key",
    {},
    true,
    [stop(1, null), stop(2, { who: "caller", code: "llm.auth" })],
    "report",
    [{ who: "caller", code: "llm.auth", message: "because" }],
  ],
  [
    "a lane met a defect",
    {},
    true,
    [stop(2, { who: "operator", code: "internal" })],
    "report",
    [{ who: "operator", code: "internal" }],
  ],
  [
    "a lane met trouble that passes, and others went on",
    {},
    true,
    [stop(2, { who: "retry", code: "llm.busy" })],
    "again",
    [],
  ],
  [
    "all lanes met trouble that did not pass",
    {},
    false,
    [stop(2, { who: "retry", code: "llm.busy" })],
    "report",
    [{ who: "retry", code: "llm.busy" }],
  ],
])("a round ends rightly when %s", (_, options, progress, stops, next, events) => {
  const log = started(["a"], options);
  if (progress) attempt(log, work(log, 1), 1);
  log.append(...stops);
  const decided = closeRound(log.state);
  expect(decided.result).toBe(next);
  expect(decided.events).toMatchObject(events);
});

test("a round is opened once", () => {
  const log = started(["a"]);
  expect(openRound(log.state, 1).events).toEqual([]);
  expect(openRound(log.state, 2).events).toEqual([{ type: "round.opened", round: 2 }]);
});

test.each(["succeeded", "failed", "canceled"] as const)("a run that has %s is not run again", (status) => {
  const log = started(["a"]);
  log.append({ type: "run.finished", status, reason: "" });
  expect(() => beginExecution(log.state, 1)).toThrow(expect.objectContaining({ who: "caller", code: "run.finished" }));
});
