import { expect, test } from "vitest";
import { bench, createRun, execute, fakeLlm, fakeReferee, goodModel, kernelReply, world } from "./fakes.ts";

const purposes = (llm: { requests: { purpose: string }[] }): string[] => llm.requests.map(({ purpose }) => purpose);

test("policy plain: drafts alone are asked for, in one chain that outlives its lane's share, and a best is confirmed", async () => {
  const llm = goodModel(1, 0);
  const on = bench(llm, fakeReferee(1));
  await createRun(on, "run_a", { policy: "plain", lanes: 1, laneShare: 3, budgetAttempts: 10 });
  const state = await execute(on, "run_a", 1);
  expect(purposes(llm)).toEqual(Array.from({ length: 10 }, () => "draft"));
  expect(state.attempts.map(({ previousAttempt }) => previousAttempt)).toEqual([null, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(state.round).toBeGreaterThan(1);
  expect(state).toMatchObject({ status: "succeeded", initialised: false });
  expect([...state.cycles]).toEqual([]);
  expect(state.confirmed).toBe(state.best?.kernelId);
});

test("policy plain on three lanes: three chains, and together no more attempts than the budget", async () => {
  const llm = goodModel(1, 0);
  const on = bench(llm, fakeReferee(1));
  await createRun(on, "run_a", { policy: "plain", lanes: 3, laneShare: 2, budgetAttempts: 9 });
  const state = await execute(on, "run_a", 3);
  expect(state.attempts).toHaveLength(9);
  expect(new Set(state.attempts.map(({ cycle }) => cycle)).size).toBe(3);
});

test("policy ksearch: a solved node without a next step gets three tries and then a stock action, which is worked on", async () => {
  const llm = fakeLlm(1, ({ purpose, slot }) =>
    purpose === "init" ? world(3) : purpose === "draft" ? kernelReply(2, slot) : '{"ops": []}',
  );
  const on = bench(llm, fakeReferee(1));
  await createRun(on, "run_a", { policy: "ksearch", lanes: 1, stagnationWindow: 1, budgetAttempts: 8 });
  const state = await execute(on, "run_a", 1);
  // Three nodes with two attempts (one brings nothing more), two stock ones with one (no better than their parents).
  expect(purposes(llm).filter((purpose) => purpose === "refine")).toHaveLength(15);
  const stock = [...state.tree.nodes.values()].filter(({ nodeId }) => nodeId.includes("_cont_"));
  expect(stock).toHaveLength(5);
  expect(stock.some(({ attempts }) => attempts.length > 0)).toBe(true);
  const prompts = llm.requests.filter(({ purpose }) => purpose === "refine").map(({ prompt }) => prompt.user);
  expect(prompts[0]).toContain("needs at least one open action below it");
  expect(state.status).toBe("succeeded");
});
