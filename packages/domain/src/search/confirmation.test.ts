import fc from "fast-check";
import { expect, test } from "vitest";
import type { Log } from "../../test/samples.ts";
import { confirm } from "../../test/simulator.ts";
import { attempt, judge, nodeOf, open, started, work } from "../../test/steps.ts";
import type { KernelId } from "../kernel.ts";
import { finalists, nextDuel } from "./decisions.ts";
import { rngFor } from "./rng.ts";
import { standing } from "./standing.ts";

/** A run whose attempts passed with these scores. */
const scored = (scores: number[], confirmTop = 3): Log => {
  const log = started(["a"], { attemptsPerNode: { base: 50, max: 50 }, confirmTop, budgetAttempts: 100 });
  if (scores.length === 0) return log;
  const cycle = work(log, 1);
  for (const score of scores) attempt(log, cycle, score);
  return log;
};
const duel = (log: Log, winner: KernelId | null): void => {
  const next = nextDuel(log.state);
  if (next === null) throw new Error("no duel is due");
  log.append({
    type: "duel.judged",
    ...next,
    status: winner === next.kernelId ? "passed" : "timeout",
    score: null,
    ratio: null,
    winner,
    message: "",
  });
};

test("the finalists are the best kernels, each once, the seed among them", () => {
  const log = scored([1, 3, 2]);
  log.append({
    type: "seed.judged",
    kernelId: "ker_seed",
    status: "passed",
    score: { value: 2.5, low: 2, high: 3 },
    vsBaseline: null,
    message: "",
  });
  expect(finalists(log.state)).toEqual(["ker_2", "ker_seed", "ker_3"]);
});

test("of kernels with equal scores the run's best leads the finalists", () => {
  const log = started(["a"], { attemptsPerNode: { base: 9, max: 9 } });
  const cycle = work(log, 1);
  for (const id of ["ker_z", "ker_a"] as const) judge(log, open(log, cycle) ?? 0, 2, id);
  expect([log.state.best?.kernelId, ...finalists(log.state)]).toEqual(["ker_z", "ker_z", "ker_a"]);
});

test("a seed that failed is no solution and no finalist", () => {
  const log = scored([]);
  log.append({
    type: "seed.judged",
    kernelId: "ker_seed",
    status: "timeout",
    score: null,
    vsBaseline: null,
    message: "",
  });
  expect([finalists(log.state), log.state.best, nodeOf(log, "root")?.solution]).toEqual([[], null, null]);
});

test("without a kernel there is no duel", () => expect(nextDuel(scored([]).state)).toBeNull());

test("a lone kernel is confirmed alone, and falls if it fails", () => {
  const log = scored([2]);
  expect(nextDuel(log.state)).toEqual({ kernelId: "ker_1", rivalId: null });
  duel(log, null);
  expect(nextDuel(log.state)).toBeNull();
  expect(log.state.duels.at(-1)?.winner).toBeNull();
});

test("a leader that stands meets each rival in turn", () => {
  const log = scored([3, 2, 1]);
  expect(nextDuel(log.state)).toEqual({ kernelId: "ker_1", rivalId: "ker_2" });
  duel(log, "ker_1");
  expect(nextDuel(log.state)).toEqual({ kernelId: "ker_1", rivalId: "ker_3" });
  duel(log, "ker_1");
  expect(nextDuel(log.state)).toBeNull();
});

test("a rival that wins must itself be judged before it is the best", () => {
  const log = scored([3, 2]);
  duel(log, "ker_2");
  expect(nextDuel(log.state)).toEqual({ kernelId: "ker_2", rivalId: null });
  duel(log, "ker_2");
  expect(nextDuel(log.state)).toBeNull();
});

test("when both of a duel fail the next one leads", () => {
  const log = scored([3, 2, 1]);
  duel(log, null);
  expect(nextDuel(log.state)).toEqual({ kernelId: "ker_3", rivalId: null });
});

test("the confirmation ends, and whoever stands was judged last, whatever the dice", () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0.1, max: 9, noNaN: true }), { maxLength: 12 }),
      fc.integer({ min: 1, max: 10 }),
      fc.nat(),
      (scores, top, seed) => {
        const log = scored(scores, top);
        const duels = confirm(log, rngFor(seed, "duels"));
        expect(duels, "three times confirmTop may fail, then confirmTop stand").toBeLessThanOrEqual(5 * top);
        const last = log.state.duels.at(-1);
        expect(log.state.confirmed).toBe(last?.winner ?? null);
        if (last?.winner) expect(last.winner).toBe(last.kernelId);
      },
    ),
  );
});

const confirmed = (log: Log, score: number): void => {
  const next = nextDuel(log.state);
  if (next === null) throw new Error("no duel is due");
  const figures = { value: score, low: score, high: score };
  log.append({
    type: "duel.judged",
    ...next,
    status: "passed",
    score: figures,
    ratio: null,
    winner: next.kernelId,
    message: "",
  });
};

test("before the confirmation the best of the search stands, unconfirmed", () => {
  expect(standing(scored([]).state)).toBeNull();
  expect(standing(scored([1, 3, 2]).state)).toEqual({ kernelId: "ker_2", score: 3, confirmed: false });
});

test("a refuted kernel stands no more: the next best does, and nobody once all have failed", () => {
  const log = scored([3, 2]);
  duel(log, "ker_2");
  expect(standing(log.state)).toEqual({ kernelId: "ker_2", score: 2, confirmed: false });
  duel(log, null);
  log.append({ type: "best.confirmed", kernelId: null });
  expect(standing(log.state)).toBeNull();
});

test("a confirmed kernel has the geometric mean of its confirmations, not the lucky score of the search", () => {
  const log = scored([9, 2, 1]);
  confirmed(log, 2);
  confirmed(log, 8);
  log.append({ type: "best.confirmed", kernelId: "ker_1" });
  expect(standing(log.state)).toEqual({ kernelId: "ker_1", score: 4, confirmed: true });
});
