import { rngFor } from "@ksearch/domain";
import { describe, expect, test } from "vitest";
import {
  accounts,
  createRun,
  execute,
  fakeLlm,
  fakeReferee,
  goodModel,
  kernelReply,
  node,
  stage,
  world,
} from "./fakes.ts";

/** A minute: a run that enters a Wait does not end before its test's time is over. */
const noWait = { waitMs: 60_000 };

describe("four lanes", () => {
  test("have four model calls in flight, and enter no Wait on one machine", async () => {
    const llm = goodModel(30, 12);
    const on = stage({ llm, referee: fakeReferee(10), ...noWait });
    await createRun(on, "run_a", { budgetAttempts: 16 });
    const state = await execute(on, "run_a");
    expect(state).toMatchObject({ status: "succeeded", judged: 16 });
    expect(llm.peak()).toBe(4);
    expect(on.visited.filter((name) => name.startsWith("Collect"))).toEqual([]);
  });

  test("ask for a world with room for all of them", async () => {
    const llm = goodModel(0, 12);
    const on = stage({ llm, referee: fakeReferee(0) });
    await createRun(on, "run_a", { budgetAttempts: 1 });
    await execute(on, "run_a");
    expect(llm.requests[0]?.prompt.user).toMatch(/\b8\b/);
  });

  test("work on nodes of their own while there are enough", async () => {
    const on = stage({ llm: goodModel(5, 12), referee: fakeReferee(1) });
    await createRun(on, "run_a", { budgetAttempts: 12 });
    const { attempts } = await execute(on, "run_a");
    expect(new Set(attempts.slice(0, 4).map((attempt) => attempt.nodeId)).size).toBe(4);
    expect(new Set(attempts.slice(0, 4).map((attempt) => attempt.cycle)).size).toBe(4);
  });

  test("one lane alone has one call in flight", async () => {
    const llm = goodModel(2, 4);
    const on = stage({ llm, referee: fakeReferee(1), ...noWait });
    await createRun(on, "run_a", { lanes: 1, budgetAttempts: 6 });
    expect(await execute(on, "run_a", 1)).toMatchObject({ status: "succeeded", judged: 6 });
    expect(llm.peak()).toBe(1);
  });

  test("a share of one attempt: many rounds, the same number of attempts", async () => {
    const on = stage({ llm: goodModel(0, 12), referee: fakeReferee(0) });
    await createRun(on, "run_a", { laneShare: 1, budgetAttempts: 12, attemptsPerNode: { base: 1, max: 1 } });
    const state = await execute(on, "run_a");
    expect(state).toMatchObject({ status: "succeeded", judged: 12 });
    expect(state.round).toBeGreaterThanOrEqual(3);
  });
});

describe("fixed attempts per node", () => {
  test.each([1, 2, 3, 4, 5, 6])("cover exactly nodes × 2, whatever the delays (seed %i)", async (seed) => {
    const rng = rngFor(seed, "delays");
    const delay = () => Math.floor(rng() * 12);
    const nodes = 7;
    const llm = goodModel(delay, nodes);
    const referee = fakeReferee(delay);
    const on = stage({ llm, referee });
    await createRun(on, "run_a", { seed, attemptsPerNode: { base: 2, max: 2 }, budgetAttempts: 1_000 });
    const state = await execute(on, "run_a");
    expect(state.status).toBe("succeeded");
    const perNode = [...state.tree.nodes.values()]
      .filter((one) => one.action !== null)
      .map((one) => [one.nodeId, one.attempts.length]);
    expect(perNode).toEqual(Array.from({ length: nodes }, (_, index) => [`n${index}`, 2]));
    expect(state.judged).toBe(2 * nodes);
    expect(state.attempts.map((attempt) => attempt.attempt)).toEqual(
      Array.from({ length: 2 * nodes }, (_, index) => index + 1),
    );
    const { sum, spent } = await accounts(on, "run_a");
    expect(sum).toBe(spent);
  });
});

describe("when nothing is free", () => {
  const insert = (id: string) => JSON.stringify({ ops: [{ op: "insert_node", parent_id: "root", node: bare(id) }] });
  const bare = (id: string) => {
    const { parent_id: _, ...rest } = node(id);
    return rest;
  };

  test("a lane asks for new ideas, one question at a time, and they are worked on; a dry answer ends the search", async () => {
    let asking = 0;
    let most = 0;
    const llm = fakeLlm(0, async ({ purpose, slot }, count) => {
      if (purpose === "init") return world(2);
      if (purpose === "draft") return kernelReply(1 + count / 100, slot);
      if (purpose === "refine") return '{"ops": []}';
      asking += 1;
      most = Math.max(most, asking);
      await new Promise((resolve) => setTimeout(resolve, 10));
      asking -= 1;
      return /^propose\/[12]$/.test(slot) ? insert(`idea-${slot.at(-1)}`) : '{"ops": []}';
    });
    const on = stage({ llm, referee: fakeReferee(0) });
    await createRun(on, "run_a", { attemptsPerNode: { base: 1, max: 1 }, budgetAttempts: 100 });
    const state = await execute(on, "run_a");
    expect(state).toMatchObject({
      status: "succeeded",
      reason: expect.stringContaining("nothing new"),
      judged: 4,
      proposals: 3,
      barrenProposals: 3,
    });
    expect(state.attempts.map((attempt) => attempt.nodeId).sort()).toEqual(["idea-1", "idea-2", "n0", "n1"]);
    expect(most).toBe(1);
  });

  test("ideas that a refinement opens below a solved node are worked on, too, by whichever lane is idle", async () => {
    const llm = fakeLlm(2, ({ purpose, slot }, count) => {
      if (purpose === "init") return world(1);
      if (purpose === "draft") return kernelReply(1 + count / 100, slot);
      if (slot === "refine/n0/1")
        return JSON.stringify({
          ops: ["a", "b", "c"].map((id) => ({ op: "insert_node", parent_id: "n0", node: bare(id) })),
        });
      return '{"ops": []}';
    });
    const on = stage({ llm, referee: fakeReferee(1) });
    await createRun(on, "run_a", { attemptsPerNode: { base: 1, max: 1 }, budgetAttempts: 100 });
    const state = await execute(on, "run_a");
    expect(state).toMatchObject({ status: "succeeded", judged: 4 });
    expect(
      state.attempts
        .slice(1)
        .every((attempt) => attempt.kind === "draft_base" && attempt.baseKernelId === state.attempts[0]?.kernelId),
    ).toBe(true);
    expect(new Set(state.attempts.map((attempt) => attempt.cycle.split("-")[0])).size).toBeGreaterThan(1);
  });
});

describe("a search ends", () => {
  test("when the target is reached, and says so", async () => {
    const on = stage({ llm: goodModel(0, 12), referee: fakeReferee(0) });
    await createRun(on, "run_a", { lanes: 1, targetScore: 1.03, budgetAttempts: 100 });
    const state = await execute(on, "run_a", 1);
    expect(state).toMatchObject({ status: "succeeded", reason: expect.stringContaining("1.03") });
    expect(state.best?.score).toBeGreaterThanOrEqual(1.03);
    expect(state.judged).toBeLessThan(10);
  });

  test("when patience is at its end", async () => {
    const llm = fakeLlm(0, ({ purpose, slot }, count) =>
      purpose === "init" ? world(12) : purpose === "draft" ? kernelReply(3 - count / 100, slot) : '{"ops": []}',
    );
    const on = stage({ llm, referee: fakeReferee(0) });
    await createRun(on, "run_a", { lanes: 1, patience: 4, budgetAttempts: 100 });
    expect(await execute(on, "run_a", 1)).toMatchObject({
      status: "succeeded",
      judged: 5,
      reason: expect.stringContaining("4 attempts in a row"),
    });
  });

  test.each([1, 4])("at its budget of attempts, never above it, with %i lanes", async (lanes) => {
    const on = stage({ llm: goodModel(1, 12), referee: fakeReferee(1) });
    await createRun(on, "run_a", { lanes, budgetAttempts: 7 });
    expect(await execute(on, "run_a", lanes)).toMatchObject({
      status: "succeeded",
      judged: 7,
      reason: expect.stringContaining("7 attempts"),
    });
  });
});
