import { expect, test } from "vitest";
import { usageOf } from "./usage.ts";

const none = { input: null, cachedInput: null, output: null, reasoning: null, total: null };

test("what is reported is taken over", () => {
  const reported = { input: 100, cachedInput: 60, output: 40, reasoning: 30, total: 140 };
  expect(usageOf(reported, "prompt", "text")).toEqual({
    inputTokens: 100,
    cachedInputTokens: 60,
    outputTokens: 40,
    reasoningTokens: 30,
    estimated: false,
  });
});

test("missing counts are estimated from the texts, and marked", () => {
  expect(usageOf(none, "p".repeat(30), "t".repeat(60))).toEqual({
    inputTokens: 10,
    cachedInputTokens: 0,
    outputTokens: 20,
    reasoningTokens: 0,
    estimated: true,
  });
  expect(usageOf({ ...none, input: 12 }, "prompt", "t".repeat(6))).toMatchObject({
    inputTokens: 12,
    outputTokens: 2,
    estimated: true,
  });
});

test("zeros for texts that are there are not believed; nothing said is zero tokens", () => {
  expect(usageOf({ ...none, input: 0, output: 0 }, "prompt", "text")).toMatchObject({
    inputTokens: 2,
    outputTokens: 2,
    estimated: true,
  });
  expect(usageOf({ ...none, input: 5, output: 0 }, "prompt", "")).toMatchObject({ outputTokens: 0, estimated: false });
});

test("thinking that only the total counts is output", () => {
  expect(usageOf({ ...none, input: 10, output: 5, total: 300 }, "prompt", "text").outputTokens).toBe(290);
});

test("no more input is cached than there is", () => {
  expect(usageOf({ ...none, input: 10, cachedInput: 99, output: 5 }, "prompt", "text").cachedInputTokens).toBe(10);
});
