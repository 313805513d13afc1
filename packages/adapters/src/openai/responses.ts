import { AppError } from "@ksearch/domain";
import { APIError, NotFoundError, type OpenAI } from "openai";
import type { ResponseCreateParamsNonStreaming } from "openai/resources/responses/responses";
import { z } from "zod";
import type { Dialect, Limits, Outcome } from "./dialect.ts";
import type { Chosen } from "./settings.ts";
import { reportedCount, usageOf } from "./usage.ts";

const Message = z.object({
  type: z.literal("message"),
  content: z.array(z.object({ type: z.string(), text: z.string().nullish(), refusal: z.string().nullish() })),
});
/** Reasoning and whatever else comes beside the message; not read. */
const Other = z.object({ type: z.string().refine((type) => type !== "message") }).transform(() => ({ content: [] }));

const Usage = z.object({
  input_tokens: reportedCount,
  input_tokens_details: z.object({ cached_tokens: reportedCount }).nullish().catch(null),
  output_tokens: reportedCount,
  output_tokens_details: z.object({ reasoning_tokens: reportedCount }).nullish().catch(null),
  total_tokens: reportedCount,
});

const Body = z.object({
  id: z.string().min(1),
  status: z.enum(["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]),
  model: z.string().nullish(),
  instructions: z.string().nullish().catch(null),
  output: z.array(z.union([Message, Other])).nullish(),
  incomplete_details: z.object({ reason: z.string().nullish() }).nullish().catch(null),
  error: z.object({ code: z.string().nullish() }).nullish(),
  usage: Usage.nullish().catch(null),
});
type Body = z.output<typeof Body>;

/**
 * The Responses API. In the background a submit gives the response's id as its ticket; otherwise nothing is stored there.
 * The SDK's typed `responses.create` is not used: it trips over replies that are no JSON object.
 */
export function responsesDialect(client: OpenAI, { modelName, reasoningEffort, background }: Chosen): Dialect {
  const read = (json: unknown, promptText: string | null) => outcome(Body.parse(json), promptText, modelName);
  const collect = async (id: string, limits: Limits): Promise<Outcome> => {
    try {
      return read(await client.get<unknown>(path(id), limits), null);
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
      const gone = `the answer '${id}' is gone: the provider keeps it for ten minutes only. It is asked for again`;
      return { ended: new AppError("retry", "llm.expired", gone) };
    }
  };
  return {
    async submit({ prompt, maxOutputTokens }, limits) {
      const body = {
        model: modelName,
        instructions: prompt.system,
        input: prompt.user,
        max_output_tokens: maxOutputTokens,
        store: background,
        ...(background ? { background } : {}),
        ...(reasoningEffort === undefined ? {} : { reasoning: { effort: reasoningEffort } }),
      } satisfies ResponseCreateParamsNonStreaming;
      return read(await client.post<unknown>("/responses", { ...limits, body }), prompt.system + prompt.user);
    },
    collect,
    async cancel(id, limits) {
      try {
        return read(await client.post<unknown>(`${path(id)}/cancel`, limits), null);
      } catch (error) {
        // What cannot be canceled has ended already, or is gone.
        if (error instanceof APIError && [400, 404, 409].includes(error.status ?? 0)) return collect(id, limits);
        throw error;
      }
    },
  };
}

const path = (id: string): string => `/responses/${encodeURIComponent(id)}`;

/**
 * An incomplete response (out of tokens, filtered) is an answer with the text so far, even if that is none: it is paid, and the
 * same question would likely end the same way. `promptText` is null on collect: then the echoed instructions stand for it.
 */
function outcome(body: Body, promptText: string | null, modelName: string): Outcome {
  switch (body.status) {
    case "queued":
    case "in_progress":
      return { ticket: body.id };
    case "cancelled": {
      const what = `the response '${body.id}' of ${modelName} was canceled at the provider`;
      return { ended: new AppError("retry", "llm.cancelled", what) };
    }
    case "failed":
      return { ended: failed(body, modelName) };
    case "completed":
    case "incomplete": {
      const text = (body.output ?? [])
        .flatMap(({ content }) => content)
        .map((part) => part.text ?? part.refusal ?? "")
        .join("");
      const reported = {
        input: body.usage?.input_tokens,
        cachedInput: body.usage?.input_tokens_details?.cached_tokens,
        output: body.usage?.output_tokens,
        reasoning: body.usage?.output_tokens_details?.reasoning_tokens,
        total: body.usage?.total_tokens,
      };
      return {
        answer: {
          text,
          model: body.model || modelName,
          usage: usageOf(reported, promptText ?? body.instructions ?? "", text),
          cut:
            body.status === "completed"
              ? null
              : body.incomplete_details?.reason === "content_filter"
                ? "filter"
                : "length",
        },
      };
    }
  }
}

/** The provider's own words are left out: they may repeat the prompt. */
function failed({ id, error }: Body, modelName: string): AppError {
  const code = error?.code ?? "no code";
  const what = `the response '${id}' of ${modelName} failed at the provider (${code})`;
  switch (code) {
    case "insufficient_quota":
      return new AppError("caller", "llm.quota", what);
    case "rate_limit_exceeded":
      return new AppError("retry", "llm.overloaded", what);
    case "invalid_prompt":
      return new AppError("caller", "llm.request", what);
    default:
      return new AppError("retry", "llm.server", what);
  }
}
