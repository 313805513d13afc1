import fc from "fast-check";
import { expect, test } from "vitest";
import { costMicroUsd, estimateTokens, worstCaseUsage } from "./budget.ts";

const usage = (inputTokens: number, cachedInputTokens: number, outputTokens: number) => ({
  inputTokens,
  cachedInputTokens,
  outputTokens,
  reasoningTokens: 0,
  estimated: false,
});
const price = { inputMicroUsd: 1_250_000, cachedInputMicroUsd: 125_000, outputMicroUsd: 10_000_000 };

test("a call costs its fresh, cached and output tokens", () => {
  expect(costMicroUsd(usage(1_000_000, 400_000, 100_000), price)).toBe(750_000 + 50_000 + 1_000_000);
});

test("a fraction of a micro-dollar is rounded up, nothing costs nothing", () => {
  expect(costMicroUsd(usage(1, 0, 0), { ...price, inputMicroUsd: 1 })).toBe(1);
  expect(costMicroUsd(usage(0, 0, 0), price)).toBe(0);
});

test("reasoning tokens are not charged a second time", () => {
  expect(costMicroUsd({ ...usage(0, 0, 1_000), reasoningTokens: 900 }, price)).toBe(10_000);
});

test("a provider that reports more cached than input tokens never makes a cost negative", () => {
  expect(costMicroUsd(usage(10, 1_000, 0), price)).toBe(125);
});

test("the worst case is whole and covers every answer within its bounds", () => {
  const tokens = fc.nat({ max: 200_000 });
  const cost = fc.nat({ max: 80_000_000 });
  fc.assert(
    fc.property(
      fc.string({ maxLength: 4_000 }),
      tokens,
      cost,
      cost,
      fc.double({ min: 0, max: 1, noNaN: true }),
      (text, most, input, output, part) => {
        const priced = { inputMicroUsd: input, cachedInputMicroUsd: Math.floor(input / 10), outputMicroUsd: output };
        const worst = costMicroUsd(worstCaseUsage(text, most), priced);
        const sent = estimateTokens(text);
        const actual = costMicroUsd(usage(sent, Math.floor(sent * part), Math.floor(most * part)), priced);
        return Number.isInteger(worst) && Number.isInteger(actual) && actual <= worst;
      },
    ),
  );
});
