import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Model, play, shares } from "../../test/play.ts";
import { Log, sampleOptions } from "../../test/samples.ts";
import { armsOf, chooseModel, draftModelOf } from "./bandit.ts";
import { draftCall } from "./calls.ts";
import type { RunEvent } from "./events.ts";
import { fold } from "./fold.ts";

/** The share of each model, the mean over so many searches with other dice. */
function meanShares(models: Record<string, Model>, attempts: number, searches = 20): Record<string, number> {
  const all = Array.from({ length: searches }, (_, index) => shares(play(models, { attempts, seed: index + 1 })));
  return Object.fromEntries(
    Object.keys(models).map((name) => [
      name,
      all.reduce((sum, share) => sum + (share[name] ?? 0), 0) / searches / attempts,
    ]),
  );
}

const strong: Model = { wins: 0.4, gain: 0.5, costMicroUsd: 100_000 };
const weak: Model = { wins: 0.1, gain: 0.1, costMicroUsd: 10_000 };
const fails: Model = { wins: 0, gain: 0, costMicroUsd: 10_000 };

describe("which model gets the attempts", () => {
  test("the one that brings most for its money, though it is dear; one that always fails gets least", () => {
    const share = meanShares({ fails, weak, strong }, 200);
    expect(share.strong).toBeGreaterThan(0.5);
    expect(share.fails).toBeLessThan(0.1);
  });

  test("the cheap one, where the strong one costs more than it brings", () => {
    const share = meanShares({ strong: { ...strong, costMicroUsd: 3_000_000 }, weak }, 100);
    expect(share.weak).toBeGreaterThan(0.8);
  });

  test("the cheaper of two that are as good, and of two that bring nothing", () => {
    const dear = { ...strong, costMicroUsd: 800_000 };
    expect(meanShares({ dear, cheap: strong }, 100).cheap).toBeGreaterThan(0.8);
    expect(meanShares({ dear: { ...fails, costMicroUsd: 80_000 }, cheap: fails }, 100).cheap).toBeGreaterThan(0.7);
  });

  test("where none has a price, the one that brings more for its tokens", () => {
    const free = { ...strong, costMicroUsd: 0 };
    const share = meanShares({ talkative: { ...free, tokens: 20_000 }, terse: { ...free, tokens: 2_000 } }, 100);
    expect(share.terse).toBeGreaterThan(0.8);
  });

  test("a free model that brings little does not keep a good one with a price from work", () => {
    const share = meanShares({ free: { ...weak, costMicroUsd: 0 }, strong }, 100);
    expect(share.strong).toBeGreaterThan(0.7);
    const worse = meanShares({ free: { ...strong, costMicroUsd: 0 }, strong: weak }, 100);
    expect(worse.free).toBeGreaterThan(0.7);
  });
});

/** A log in which attempts have been started by hand. */
class Bench extends Log {
  constructor(...models: [string, ...string[]]) {
    super(sampleOptions({ models }));
  }
  start(model: string | null, more: Partial<Extract<RunEvent, { type: "attempt.started" }>> = {}): number {
    const attempt = this.state.attempts.length + 1;
    const facts = { attempt, cycle: `lane1-cycle${attempt}`, nodeId: "n", nodeAttempt: 1, forecast: null, model };
    const built = { kind: "draft_spec" as const, baseKernelId: null, previousAttempt: null };
    this.append({ type: "attempt.started", ...facts, ...built, ...more });
    return attempt;
  }
  answer(attempt: number, costMicroUsd: number, tokens = 100): void {
    const started = this.state.attempts[attempt - 1];
    if (!started) throw new Error(`no attempt ${attempt}`);
    const call = draftCall(started);
    const usage = { inputTokens: tokens, cachedInputTokens: 0, outputTokens: 0, reasoningTokens: 0, estimated: false };
    const asked = { to: "llm" as const, purpose: "draft" as const, slot: call, model: started.model };
    this.append(
      { type: "call.submitted", call, ...asked, submission: 1, reservedMicroUsd: 0 },
      { type: "call.answered", call, model: "m", usage, costMicroUsd, durationMs: 1 },
    );
  }
  judge(attempt: number, score: number | null, sameAs: number | null = null): void {
    const scored = score === null ? null : { value: score, low: score, high: score };
    const facts = { score: scored, vsBaseline: null, callNs: null, message: "" };
    this.append(
      { type: "attempt.drafted", attempt, kernelId: `ker_${attempt}`, sameAs },
      { type: "attempt.judged", attempt, status: score === null ? "timeout" : "passed", ...facts },
    );
  }
  rewardOf(model: string): number | undefined {
    return armsOf(this.state).find((arm) => arm.model === model)?.reward;
  }
}

describe("what counts", () => {
  test("with one model there is no choice", () => {
    expect(chooseModel(new Bench("a").state)).toBeNull();
  });

  test("models that were not tried come first, each once", () => {
    const log = new Bench("a", "b", "c");
    const tried = Array.from({ length: 3 }, () => {
      const model = chooseModel(log.state);
      const attempt = log.start(model);
      log.answer(attempt, 10);
      log.judge(attempt, 1.9);
      return model;
    });
    expect(tried.sort()).toEqual(["a", "b", "c"]);
  });

  test("attempts in flight count as vain: lanes spread over the models", () => {
    const log = new Bench("a", "b", "c");
    for (let lane = 0; lane < 9; lane += 1) log.start(chooseModel(log.state));
    expect(shares(log.state)).toEqual({ a: 3, b: 3, c: 3 });
  });

  test.each([
    ["the reference, by the first draft", {}, 2 ** 0.5, 0.5],
    ["the kernel of the parent", { baseKernelId: "ker_1" as const }, 4, 0.415],
    ["the attempt before", { previousAttempt: 1 }, 6, 1],
    ["the better of the two that it was shown", { previousAttempt: 2, baseKernelId: "ker_1" as const }, 6, 1],
    ["nothing at all", { previousAttempt: 1 }, 3, 0],
    ["nothing, and is worse", { previousAttempt: 1 }, 0.5, 0],
    ["nothing, since it failed", {}, null, 0],
  ])("the reward is the improvement in doublings, at most one, over %s", (_, built, score, reward) => {
    const log = new Bench("a", "b");
    log.judge(log.start("b"), 3);
    log.judge(log.start("b"), 1.5);
    log.judge(log.start("a", built), score);
    expect(log.rewardOf("a")).toBeCloseTo(reward, 3);
  });

  test("a kernel that was known already brings nothing", () => {
    const log = new Bench("a", "b");
    log.judge(log.start("b"), 2);
    log.judge(log.start("a"), 2, 1);
    expect(log.rewardOf("a")).toBe(0);
  });

  test("the referee's own trouble is no attempt of the model's, though its draft was paid", () => {
    const log = new Bench("a", "b");
    const attempt = log.start("a");
    log.answer(attempt, 70);
    log.append(
      { type: "attempt.drafted", attempt, kernelId: "ker_1", sameAs: null },
      {
        type: "attempt.judged",
        attempt,
        status: "infra_error",
        score: null,
        vsBaseline: null,
        callNs: null,
        message: "",
      },
    );
    expect(armsOf(log.state)[0]).toMatchObject({ model: "a", judged: 0, inFlight: 0, paid: 1, costMicroUsd: 70 });
  });

  test("a reply that was paid and lost is part of what the model costs", () => {
    const log = new Bench("a", "b");
    const attempt = log.start("a");
    const call = draftCall(log.state.attempts[0] ?? { cycle: "", attempt });
    const asked = { to: "llm" as const, purpose: "draft" as const, slot: call, model: "a" };
    log.append(
      { type: "call.submitted", call, ...asked, submission: 1, reservedMicroUsd: 500 },
      { type: "call.lost", call, costMicroUsd: 500 },
    );
    expect(armsOf(log.state)[0]).toMatchObject({ costMicroUsd: 500, paid: 1, inFlight: 1 });
    expect(log.state.attempts[0]).toMatchObject({ costMicroUsd: 500, llmMicroUsd: 500 });
  });

  test("an attempt whose model is gone is drafted by the run's first, and says so", () => {
    const log = new Bench("a", "b");
    const attempt = log.start("b");
    const changed = { models: ["c", "a"] as [string, ...string[]], treeModel: null, modelLabel: "c, a", choice: "k" };
    log.append({ type: "models.changed", ...changed });
    const started = log.state.attempts[0];
    if (!started) throw new Error("no attempt");
    expect(draftModelOf(log.state, started)).toBe("c");
    const call = draftCall(started);
    const asked = { to: "llm" as const, purpose: "draft" as const, slot: call, model: "c" };
    log.append({ type: "call.submitted", call, ...asked, submission: 1, reservedMicroUsd: 0 });
    expect(log.state.attempts[attempt - 1]?.model).toBe("c");
    expect(armsOf(log.state).map(({ model, inFlight }) => [model, inFlight])).toEqual([
      ["c", 1],
      ["a", 0],
    ]);
  });
});

test("the same log gives the same choice, always one of the models, from any point of the log", () => {
  const model = fc.record({
    wins: fc.constantFrom(0, 0.3, 1),
    gain: fc.constantFrom(0, 0.2, 3),
    costMicroUsd: fc.constantFrom(0, 1, 50_000),
    tokens: fc.constantFrom(0, 700),
  });
  fc.assert(
    fc.property(
      fc.array(model, { minLength: 2, maxLength: 4 }),
      fc.integer({ min: 1, max: 25 }),
      fc.integer({ min: 1, max: 5 }),
      fc.nat(),
      (models, attempts, lanes, seed) => {
        const named = Object.fromEntries(models.map((one, index) => [`m${index}`, one]));
        const state = play(named, { attempts, lanes, seed });
        const choice = chooseModel(state);
        expect(Object.keys(named)).toContain(choice);
        expect(chooseModel(structuredClone(state))).toBe(choice);
        expect(play(named, { attempts, lanes, seed })).toEqual(state);
        const tried = Object.values(shares(state));
        if (attempts >= models.length) expect(Math.min(...tried)).toBeGreaterThan(0);
      },
    ),
    { numRuns: 60 },
  );
});

test("the choice is recorded with the attempt, and the fold keeps it", () => {
  const log = new Bench("a", "b");
  log.start(chooseModel(log.state));
  expect(["a", "b"]).toContain(log.state.attempts[0]?.model);
  expect(fold(log.events)).toEqual(log.state);
});
