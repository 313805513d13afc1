import fc from "fast-check";
import { expect, test } from "vitest";
import { sampleOptions } from "../../test/samples.ts";
import { type Simulation, simulate } from "../../test/simulator.ts";
import { frontier, pathTo } from "../tree/node.ts";
import { RunEvent } from "./events.ts";
import { fold } from "./fold.ts";
import type { RunState } from "./state.ts";

/** Whole searches under many settings, dice and interleavings, some of them killed again and again. */
const settings = fc
  .record({
    seed: fc.nat(),
    lanes: fc.integer({ min: 1, max: 6 }),
    base: fc.integer({ min: 1, max: 3 }),
    extra: fc.integer({ min: 0, max: 3 }),
    laneShare: fc.integer({ min: 1, max: 8 }),
    budgetAttempts: fc.integer({ min: 1, max: 40 }),
    patience: fc.option(fc.integer({ min: 1, max: 20 })),
    targetScore: fc.option(fc.constant(3)),
    passes: fc.constantFrom(0, 0.2, 0.5, 1),
    kills: fc.constantFrom(0, 0, 0.01, 0.05),
    proposes: fc.constantFrom(0, 0.3, 1),
  })
  .map(
    ({
      seed,
      lanes,
      base,
      extra,
      laneShare,
      budgetAttempts,
      patience,
      targetScore,
      passes,
      kills,
      proposes,
    }): Simulation => {
      const options = sampleOptions({
        lanes,
        attemptsPerNode: { base, max: base + extra },
        laneShare,
        budgetAttempts,
        patience,
        targetScore,
        seed,
      });
      return { options, seed, passes, kills, proposes };
    },
  );

/** The same under every policy; `ksearch` works on one lane. */
const anyPolicy = fc.tuple(settings, fc.constantFrom("plain", "ksearch", "lanes")).map(
  ([setting, policy]): Simulation => ({
    ...setting,
    options: { ...setting.options, policy, ...(policy === "ksearch" ? { lanes: 1 } : {}) },
  }),
);

const runs = { numRuns: 150 };

test("every event of a search is one that the log accepts", () => {
  fc.assert(
    fc.property(anyPolicy, (setting) => void simulate({ ...setting, watch: (_, event) => void RunEvent.parse(event) })),
    runs,
  );
});

test("budgets and caps hold at every event, whoever goes first", () => {
  const watch = (_: RunState, event: RunEvent, { attempts, options, tree }: RunState) => {
    if (event.type !== "attempt.started") return;
    expect(attempts.length).toBeLessThanOrEqual(options.budgetAttempts);
    expect(tree.nodes.get(event.nodeId)?.attempts.length).toBeLessThanOrEqual(options.attemptsPerNode.max);
    expect(event.attempt).toBe(attempts.length);
  };
  fc.assert(
    fc.property(settings, (setting) => void simulate({ ...setting, watch })),
    runs,
  );
});

test("a node has one cycle, unless nothing is free and it has attempts to share", () => {
  const watch = (before: RunState, event: RunEvent, after: RunState) => {
    expect(new Set([...after.cycles.values()].map(({ lane, epoch }) => `${lane}/${epoch}`)).size).toBe(
      after.cycles.size,
    );
    if (event.type !== "cycle.opened") return;
    const claimed = new Set([...before.cycles.values()].map(({ nodeId }) => nodeId));
    if (!claimed.has(event.nodeId)) return;
    const { base, max } = before.options.attemptsPerNode;
    expect(frontier(before.tree).filter((node) => !claimed.has(node.nodeId) && node.attempts.length < max)).toEqual([]);
    expect(before.proposal !== null || before.barrenProposals >= 3).toBe(true);
    expect(before.tree.nodes.get(event.nodeId)?.attempts.length).toBeLessThan(base);
  };
  fc.assert(
    fc.property(settings, (setting) => void simulate({ ...setting, watch })),
    runs,
  );
});

test("the tree stays a tree, and only open nodes are worked on", () => {
  const watch = (before: RunState, event: RunEvent, { tree }: RunState) => {
    if (event.type === "tree.edited")
      for (const id of tree.nodes.keys()) expect(pathTo(tree, id)[0]?.nodeId).toBe(tree.rootId);
    if (event.type !== "cycle.opened") return;
    const shared = [...before.cycles.values()].some(({ nodeId }) => nodeId === event.nodeId);
    expect(shared || frontier(before.tree).some(({ nodeId }) => nodeId === event.nodeId)).toBe(true);
  };
  fc.assert(
    fc.property(settings, (setting) => void simulate({ ...setting, watch })),
    runs,
  );
});

test("the state is the fold of its log, from any point of it", () => {
  fc.assert(
    fc.property(anyPolicy, fc.double({ min: 0, max: 1, noNaN: true }), (setting, part) => {
      const { events, state } = simulate(setting);
      const cut = Math.floor(part * events.length);
      const snapshot = structuredClone(fold(events.slice(0, cut)));
      expect(fold(events.slice(cut), snapshot)).toEqual(state);
    }),
    runs,
  );
});

test("the fold leaves the state that it starts from as it was", () => {
  const { events } = simulate({ options: sampleOptions(), seed: 3 });
  const before = fold(events.slice(0, -20));
  const copy = structuredClone(before);
  fold(events.slice(-20), before);
  expect(before).toEqual(copy);
});

test("a search ends with nothing left open: no cycle, no call, every attempt judged, all of it paid", () => {
  fc.assert(
    fc.property(anyPolicy, (setting) => {
      const { events, state } = simulate(setting);
      if (state.status === "paused") return;
      expect(state.status).toBe("succeeded");
      expect([...state.cycles.keys()]).toEqual([]);
      expect(state.attempts.every(({ status }) => status !== null)).toBe(true);
      // What a killed execution asked for may no longer be wanted when the next one finds the budget spent.
      if (setting.kills === 0) expect([[...state.calls.keys()], state.proposal]).toEqual([[], null]);
      const paid = events.reduce(
        (sum, { event }) => sum + (event.type === "call.answered" ? event.costMicroUsd : 0),
        0,
      );
      expect(state.spentMicroUsd).toBe(paid);
    }),
    runs,
  );
});

test("the best is the highest score of all, and every solution belongs to an attempt on its node", () => {
  fc.assert(
    fc.property(anyPolicy, (setting) => {
      const { state } = simulate(setting);
      const scores = state.attempts.flatMap(({ score }) => (score === null ? [] : [score.value]));
      expect(state.best?.score ?? null).toBe(scores.length === 0 ? null : Math.max(...scores));
      for (const { solution, attempts, nodeId } of state.tree.nodes.values())
        if (solution) {
          expect(attempts).toContain(solution.attempt);
          expect(state.attempts[solution.attempt - 1]).toMatchObject({
            nodeId,
            kernelId: solution.kernelId,
            score: { value: solution.score },
          });
        }
    }),
    runs,
  );
});

test("the same dice give the same search", () => {
  const setting = { options: sampleOptions({ lanes: 4 }), seed: 7, kills: 0.02 };
  expect(simulate(setting).events).toEqual(simulate(setting).events);
});

test("a killed search repeats no recorded answer: no call is answered twice", () => {
  fc.assert(
    fc.property(anyPolicy, (setting) => {
      const { events } = simulate({ ...setting, kills: 0.05 });
      const answered = events.flatMap(({ event }) => (event.type === "call.answered" ? [event.call] : []));
      expect(new Set(answered).size).toBe(answered.length);
    }),
    runs,
  );
});
