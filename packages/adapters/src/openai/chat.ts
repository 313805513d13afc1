import { AppError } from "@ksearch/domain";
import type { LlmAnswer } from "@ksearch/ports";
import { APIError, type OpenAI } from "openai";
import type { ChatCompletionCreateParamsNonStreaming } from "openai/resources/chat/completions";
import { z } from "zod";
import type { Dialect } from "./dialect.ts";
import { refusalOf } from "./failures.ts";
import type { Chosen } from "./settings.ts";
import { reportedCount, usageOf } from "./usage.ts";

/** Text parts (plain texts, in some makes) and, beside them, thinking parts of several makes. */
const Part = z.union([
  z.string().transform((text) => ({ type: "text", text })),
  z.object({ type: z.string(), text: z.string().nullish() }),
]);

const Message = z.object({
  content: z.union([z.string(), z.array(Part)]).nullish(),
  refusal: z.string().nullish().catch(null),
  /** Thinking beside the content: never read as a reply, but paid. */
  reasoning_content: z.string().nullish().catch(null),
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
  choices: z.array(z.object({ message: Message, finish_reason: z.string().nullish().catch(null) })),
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
      const [choice] = choices;
      const said = textOf(choice?.message);
      const thought = choice?.message.reasoning_content ?? "";
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
        usage: usageOf(reported, prompt.system + prompt.user, thought + said),
        cut: cuts[choice?.finish_reason ?? ""] ?? null,
      };
      return { answer };
    },
    collect: async (id) => {
      throw noTickets(id);
    },
    cancel: async (id) => {
      throw noTickets(id);
    },
  };
}

const noTickets = (id: string): AppError =>
  new AppError(
    "caller",
    "llm.ticket",
    `Chat Completions gives no tickets: '${id}' must be collected with the settings that it was submitted with`,
  );

/** What finish reasons tell of a reply that its model did not end itself. */
const cuts: Readonly<Record<string, LlmAnswer["cut"]>> = {
  length: "length",
  max_tokens: "length",
  content_filter: "filter",
};

/** A model's text, or its refusal in words; "" where there is neither. Thinking is not read. */
function textOf(message: z.output<typeof Message> | undefined): string {
  const content = message?.content ?? message?.refusal ?? "";
  if (typeof content === "string") return content;
  return content.map((part) => (part.type === "text" ? (part.text ?? "") : "")).join("");
}

/**
 * Open models may think aloud before the reply, in a block whose drafts must not be taken for the answer. Its first mark may
 * be missing, because a template said it for them, and its last one where the reply was cut off.
 */
function withoutThoughts(text: string): string {
  const end = text.indexOf(thoughtEnd);
  const isOpen = text.trimStart().startsWith(thoughtStart);
  if (isOpen) return end === -1 ? "" : text.slice(end + thoughtEnd.length).trimStart();
  return end === -1 || text.slice(0, end).includes(thoughtStart)
    ? text
    : text.slice(end + thoughtEnd.length).trimStart();
}
const thoughtStart = "<think>";
const thoughtEnd = "</think>";

const isBadRequest = (error: unknown): error is APIError =>
  error instanceof APIError && (error.status === 400 || error.status === 422);

function refusesLimit(error: unknown): boolean {
  if (!isBadRequest(error)) return false;
  const { param, message } = refusalOf(error);
  return param === "max_completion_tokens" || message.includes("max_completion_tokens");
}
