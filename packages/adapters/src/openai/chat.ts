import { AppError } from "@ksearch/domain";
import { APIError, type OpenAI } from "openai";
import type { ChatCompletionCreateParamsNonStreaming } from "openai/resources/chat/completions";
import { z } from "zod";
import type { Dialect } from "./dialect.ts";
import { refusalOf } from "./failures.ts";
import type { Chosen } from "./settings.ts";
import { reportedCount, usageOf } from "./usage.ts";

/** Text parts and, beside them, thinking parts of several makes. */
const Part = z.object({ type: z.string(), text: z.string().nullish() });

const Message = z.object({
  content: z.union([z.string(), z.array(Part)]).nullish(),
  refusal: z.string().nullish().catch(null),
});

const Usage = z.object({
  prompt_tokens: reportedCount,
  prompt_tokens_details: z.object({ cached_tokens: reportedCount }).nullish().catch(null),
  completion_tokens: reportedCount,
  completion_tokens_details: z.object({ reasoning_tokens: reportedCount }).nullish().catch(null),
  total_tokens: reportedCount,
});

const Body = z.object({
  model: z.string().nullish(),
  choices: z.array(z.object({ message: Message })),
  usage: Usage.nullish().catch(null),
});

type LimitName = "max_completion_tokens" | "max_tokens";

/**
 * The Chat Completions API, as nearly every endpoint speaks it. Not streamed; neither temperature nor top_p is sent. Many
 * endpoints know the output limit by its older name only: that is found out by the first refusal, and remembered.
 */
export function chatDialect(client: OpenAI, { modelName, reasoningEffort }: Chosen): Dialect {
  let limitName: LimitName = "max_completion_tokens";

  return {
    async submit({ prompt, maxOutputTokens }, limits) {
      const ask = (name: LimitName): Promise<unknown> => {
        const body = {
          model: modelName,
          messages: [
            { role: "system", content: prompt.system },
            { role: "user", content: prompt.user },
          ],
          [name]: maxOutputTokens,
          ...(reasoningEffort === undefined ? {} : { reasoning_effort: reasoningEffort }),
        } satisfies ChatCompletionCreateParamsNonStreaming;
        return client.post<unknown>("/chat/completions", { ...limits, body });
      };
      const name = limitName;
      const json = await ask(name).catch(async (first: unknown) => {
        if (name === "max_tokens" || !refusesLimit(first)) throw first;
        const found = await ask("max_tokens").catch((second: unknown) => {
          throw isBadRequest(second) ? first : second;
        });
        limitName = "max_tokens";
        return found;
      });
      const { model, choices, usage } = Body.parse(json);
      const said = textOf(choices[0]?.message);
      const reported = {
        input: usage?.prompt_tokens,
        cachedInput: usage?.prompt_tokens_details?.cached_tokens,
        output: usage?.completion_tokens,
        reasoning: usage?.completion_tokens_details?.reasoning_tokens,
        total: usage?.total_tokens,
      };
      const answer = {
        text: withoutThoughts(said),
        model: model || modelName,
        usage: usageOf(reported, prompt.system + prompt.user, said),
      };
      return { answer };
    },
    async collect(ticket) {
      throw new AppError(
        "caller",
        "llm.ticket",
        `Chat Completions gives no tickets: '${ticket}' must be collected with the settings that it was submitted with`,
      );
    },
  };
}

/** A model's text, or its refusal in words; "" where there is neither. Thinking is not read. */
function textOf(message: z.output<typeof Message> | undefined): string {
  const content = message?.content ?? message?.refusal ?? "";
  if (typeof content === "string") return content;
  return content.map((part) => (part.type === "text" ? (part.text ?? "") : "")).join("");
}

/** Open models may think aloud before the reply, in a block whose drafts must not be taken for the answer. */
const withoutThoughts = (text: string): string => text.replace(/^\s*<think>[\s\S]*?<\/think>\s*/, "");

const isBadRequest = (error: unknown): error is APIError =>
  error instanceof APIError && (error.status === 400 || error.status === 422);

function refusesLimit(error: unknown): boolean {
  if (!isBadRequest(error)) return false;
  const { param, message } = refusalOf(error);
  return param === "max_completion_tokens" || message.includes("max_completion_tokens");
}
