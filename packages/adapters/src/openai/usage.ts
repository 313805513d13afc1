import { estimateTokens, type Usage } from "@ksearch/domain";
import { z } from "zod";

/** A count as a provider reports it; what is no count is as good as missing. */
export const reportedCount = z.int().nonnegative().nullish().catch(null);

/** Token counts in the provider's reply, whichever API it came from. */
export type Reported = {
  input: number | null | undefined;
  cachedInput: number | null | undefined;
  output: number | null | undefined;
  reasoning: number | null | undefined;
  total: number | null | undefined;
};

/**
 * The usage of a call. A missing count is estimated from its text, and so is a zero for a text that is there. Some providers
 * leave the thinking out of the output count and in the total only: it is output, and paid.
 */
export function usageOf(reported: Reported, inputText: string, outputText: string): Usage {
  const input = counted(reported.input, inputText);
  const output = counted(reported.output, outputText);
  const estimated = input.estimated || output.estimated;
  return {
    inputTokens: input.tokens,
    cachedInputTokens: Math.min(reported.cachedInput ?? 0, input.tokens),
    outputTokens: estimated ? output.tokens : Math.max(output.tokens, (reported.total ?? 0) - input.tokens),
    reasoningTokens: reported.reasoning ?? 0,
    estimated,
  };
}

const counted = (reported: number | null | undefined, text: string): { tokens: number; estimated: boolean } =>
  reported === null || reported === undefined || (reported === 0 && text !== "")
    ? { tokens: estimateTokens(text), estimated: true }
    : { tokens: reported, estimated: false };
