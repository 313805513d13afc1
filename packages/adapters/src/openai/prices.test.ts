import { expect, test } from "vitest";
import { parsePrice, priceOf } from "./prices.ts";

test.each(["gpt-5.2", "openai/gpt-5.2", "gpt-5.2-2025-12-11", "gpt-5.2-latest"])("%s is gpt-5.2", (name) => {
  expect(priceOf(name)).toEqual({ inputMicroUsd: 1_750_000, cachedInputMicroUsd: 175_000, outputMicroUsd: 14_000_000 });
});

test.each(["gemini-3-pro-preview", "models/gemini-3-pro-preview"])("%s is Gemini's", (name) => {
  expect(priceOf(name)).toEqual({ inputMicroUsd: 2_000_000, cachedInputMicroUsd: 200_000, outputMicroUsd: 12_000_000 });
});

test("without a price for cached input it costs as input", () => {
  expect(priceOf("o3").cachedInputMicroUsd).toBe(2_000_000);
});

test.each(["gpt-5.2-pro", "o3-mini", "o30", "gpt-5", "llama-4", "", "constructor"])(
  "'%s' has no price, not even that of a namesake",
  (name) => {
    expect(() => priceOf(name)).toThrow(expect.objectContaining({ who: "caller", code: "llm.price" }));
  },
);

test("a price is written as input/output or input/cached/output", () => {
  expect(parsePrice("1.25/10")).toEqual({
    inputMicroUsd: 1_250_000,
    cachedInputMicroUsd: 1_250_000,
    outputMicroUsd: 10_000_000,
  });
  expect(parsePrice("1.25 / 0.125 / 10")).toEqual({
    inputMicroUsd: 1_250_000,
    cachedInputMicroUsd: 125_000,
    outputMicroUsd: 10_000_000,
  });
  expect(parsePrice("0/0")).toEqual({ inputMicroUsd: 0, cachedInputMicroUsd: 0, outputMicroUsd: 0 });
});

test.each(["", "1", "1/", "/1", "1/2/3/4", "-1/2", "a/b", "1e3/2", "$1/$2", "0.0000001/1", "Infinity/1"])(
  "'%s' is no price",
  (text) => {
    expect(() => parsePrice(text)).toThrow(expect.objectContaining({ who: "caller", code: "llm.price" }));
  },
);
