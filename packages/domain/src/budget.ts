import { utf8ToBytes } from "@noble/hashes/utils.js";
import { z } from "zod";
import { Purpose, Usage } from "./search/events.ts";

/** What one submission of a call cost. `lost`: a process died before its answer was recorded; the amount is the worst case. */
export const UsageRow = z.strictObject({
  /** See `submissionKey`. */
  key: z.string(),
  to: z.enum(["llm", "referee"]),
  purpose: Purpose,
  /** Label of the model that was asked; null: the referee. */
  asked: z.string().nullable(),
  /** Who answered, in the provider's words (the device for a verdict); "" where nobody did. */
  model: z.string(),
  usage: Usage.nullable(),
  costMicroUsd: z.int().nonnegative(),
  outcome: z.enum(["answered", "failed", "lost"]),
  atMs: z.int().nonnegative(),
});
export type UsageRow = z.infer<typeof UsageRow>;

/** Price of a model: micro-dollars per million tokens, which is dollars per million tokens times a million. */
export type ModelPrice = { inputMicroUsd: number; cachedInputMicroUsd: number; outputMicroUsd: number };

/** What a call cost, whole micro-dollars, rounded up. Reasoning tokens are part of the output tokens. */
export function costMicroUsd(usage: Usage, price: ModelPrice): number {
  const fresh = Math.max(0, usage.inputTokens - usage.cachedInputTokens);
  const total =
    fresh * price.inputMicroUsd +
    usage.cachedInputTokens * price.cachedInputMicroUsd +
    usage.outputTokens * price.outputMicroUsd;
  return Math.ceil(total / 1_000_000);
}

/**
 * A token count where no tokenizer is at hand: one token per 3 bytes of UTF-8, rounded up. An overestimate for English,
 * code and most other scripts, as reservations need it.
 */
export const estimateTokens = (text: string): number => Math.ceil(utf8ToBytes(text).length / 3);

/** The most that a call can use: what is reserved before it is sent. */
export const worstCaseUsage = (promptText: string, maxOutputTokens: number): Usage => ({
  inputTokens: estimateTokens(promptText),
  cachedInputTokens: 0,
  outputTokens: maxOutputTokens,
  reasoningTokens: 0,
  estimated: true,
});
