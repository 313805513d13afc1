import { AppError, type Prompt, type Purpose, type RunState, Usage, worstCaseUsage } from "@ksearch/domain";
import type { LlmAnswer } from "@ksearch/ports";
import { z } from "zod";
import { ask } from "../ask.ts";
import type { Deps } from "../deps.ts";
import { firstJson, getJson, keys } from "../store.ts";

export const Answer: z.ZodType<LlmAnswer> = z.strictObject({ text: z.string(), model: z.string(), usage: Usage });
export const StoredPrompt = z.strictObject({ system: z.string(), user: z.string() });

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
  return ask(deps, runId, {
    call,
    to: "llm",
    purpose,
    slot,
    schema: Answer,
    worstMicroUsd: deps.llm.price(worstCaseUsage(prompt.system + prompt.user, options.maxOutputTokens)),
    submit: () =>
      unlessRefused(purpose, () =>
        deps.llm.submit({
          runId,
          call,
          slot,
          purpose,
          prompt,
          maxOutputTokens: options.maxOutputTokens,
          timeoutMs: options.llmTimeoutMs,
        }),
      ),
    collect: (ticket) => deps.llm.collect(ticket),
    receipt: (answer) => ({ model: answer.model, usage: answer.usage, costMicroUsd: deps.llm.price(answer.usage) }),
  });
}

const noUsage = { inputTokens: 0, cachedInputTokens: 0, outputTokens: 0, reasoningTokens: 0, estimated: false };

/**
 * An endpoint that refuses one prompt (too long, a content filter) has answered that question: the refusal is recorded as
 * the reply, and the search goes on elsewhere. At init it is an error, because then every prompt may be refused.
 */
async function unlessRefused<T>(purpose: Purpose, submit: () => Promise<T>): Promise<T | { answer: LlmAnswer }> {
  try {
    return await submit();
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== "llm.request" || purpose === "init") throw error;
    return { answer: { text: `(the endpoint refused the question: ${error.message})`, model: "none", usage: noUsage } };
  }
}
