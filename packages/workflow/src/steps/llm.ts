import { estimateTokens, type Prompt, type Purpose, type RunState, Usage } from "@ksearch/domain";
import type { LlmAnswer } from "@ksearch/ports";
import { z } from "zod";
import { ask } from "../ask.ts";
import type { Deps } from "../deps.ts";
import { firstJson, getJson, keys } from "../store.ts";

export const Answer: z.ZodType<LlmAnswer> = z.strictObject({ text: z.string(), model: z.string(), usage: Usage });
const StoredPrompt = z.strictObject({ system: z.string(), user: z.string() });

export type LlmQuestion = { call: string; slot: string; purpose: Purpose; prompt: () => Promise<Prompt> };

/**
 * Asks the model one question of a run. The prompt is stored before it is sent, once; a repeated submission sends the
 * stored one. Null: the answer is not there yet.
 */
export async function askLlm(
  deps: Deps,
  state: RunState,
  { call, slot, purpose, prompt: render }: LlmQuestion,
): Promise<LlmAnswer | null> {
  const { runId, options } = state;
  const stored = await getJson(deps.blobs, keys.prompt(runId, call), StoredPrompt);
  const prompt = stored ?? (await firstJson(deps.blobs, keys.prompt(runId, call), StoredPrompt, await render()));
  const worst = {
    inputTokens: estimateTokens(prompt.system + prompt.user),
    cachedInputTokens: 0,
    outputTokens: options.maxOutputTokens,
    reasoningTokens: 0,
    estimated: true,
  };
  return ask(deps, runId, {
    call,
    to: "llm",
    purpose,
    slot,
    schema: Answer,
    worstMicroUsd: deps.llm.price(worst),
    submit: () =>
      deps.llm.submit({
        runId,
        call,
        slot,
        purpose,
        prompt,
        maxOutputTokens: options.maxOutputTokens,
        timeoutMs: options.llmTimeoutMs,
      }),
    collect: (ticket) => deps.llm.collect(ticket),
    receipt: (answer) => ({ model: answer.model, usage: answer.usage, costMicroUsd: deps.llm.price(answer.usage) }),
  });
}
