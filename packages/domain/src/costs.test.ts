import { expect, test } from "vitest";
import type { UsageRow } from "./budget.ts";
import { costLines, costTotal } from "./costs.ts";

const row = (changes: Partial<UsageRow>): UsageRow => ({
  key: "c#1",
  to: "llm",
  purpose: "draft",
  asked: "a",
  model: "a-2026",
  usage: { inputTokens: 100, cachedInputTokens: 40, outputTokens: 50, reasoningTokens: 30, estimated: false },
  costMicroUsd: 1_000,
  outcome: "answered",
  atMs: 1,
  ...changes,
});
const verdict = (changes: Partial<UsageRow>) =>
  row({ to: "referee", purpose: "evaluate", asked: null, model: "cpu", usage: null, costMicroUsd: 7, ...changes });

test("calls are summed by model and purpose, the referee's last", () => {
  const lines = costLines([
    row({ purpose: "init" }),
    verdict({}),
    row({}),
    row({ model: "a-2027" }),
    row({ asked: "b", model: "b" }),
    verdict({ purpose: "confirm" }),
  ]);
  expect(lines.map(({ model, purpose, calls }) => `${model} ${purpose} ${calls}`)).toEqual([
    "a init 1",
    "a draft 2",
    "b draft 1",
    "cpu evaluate 1",
    "cpu confirm 1",
  ]);
  expect(lines[1]).toMatchObject({
    inputTokens: 200,
    cachedInputTokens: 80,
    outputTokens: 100,
    reasoningTokens: 60,
    costMicroUsd: 2_000,
    lostMicroUsd: 0,
    estimated: false,
  });
});

test("calls without an answer are counted, and what they cost is told apart", () => {
  const lines = costLines([
    row({}),
    row({ outcome: "lost", usage: null, model: "", costMicroUsd: 3_000 }),
    row({ outcome: "failed", usage: null, model: "", costMicroUsd: 0 }),
    verdict({ outcome: "failed", model: "", costMicroUsd: 0 }),
    verdict({}),
  ]);
  expect(lines).toMatchObject([
    { model: "a", calls: 3, lost: 1, failed: 1, costMicroUsd: 4_000, lostMicroUsd: 3_000, inputTokens: 100 },
    { model: "cpu", calls: 2, lost: 0, failed: 1, costMicroUsd: 7 },
  ]);
  expect(costTotal(lines)).toMatchObject({ calls: 5, lost: 1, failed: 2, costMicroUsd: 4_007, lostMicroUsd: 3_000 });
});

test("one estimated count marks the line and the total", () => {
  const { usage } = row({});
  const lines = costLines([row({}), row({ usage: usage && { ...usage, estimated: true } }), row({ asked: "b" })]);
  expect(lines.map(({ estimated }) => estimated)).toEqual([true, false]);
  expect(costTotal(lines).estimated).toBe(true);
});

test("nothing paid is no line and a total of zeros", () => {
  expect(costLines([])).toEqual([]);
  expect(costTotal([])).toMatchObject({ calls: 0, costMicroUsd: 0, estimated: false });
});
