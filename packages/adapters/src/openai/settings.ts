import { AppError, type ModelPrice } from "@ksearch/domain";
import { z } from "zod";
import { apiOf } from "./endpoint.ts";

const microUsd = z.int().nonnegative();
const Price = z.strictObject({
  inputMicroUsd: microUsd,
  cachedInputMicroUsd: microUsd,
  outputMicroUsd: microUsd,
}) satisfies z.ZodType<ModelPrice>;

const Settings = z.strictObject({
  /** What a header can carry: a stray line break is trimmed, anything else odd is refused here, where it is not echoed. */
  apiKey: z
    .string()
    .trim()
    .regex(/^[\x21-\x7e]+$/, "must be set in the environment, without spaces (any word will do for a local model)"),
  /** Where the key was found, for messages. */
  keyName: z.string().default("OPENAI_API_KEY"),
  /** Any compatible endpoint; absent: the public one that the model's name means (`endpoint.ts`). A query, such as Azure's `?api-version=…`, goes with every request. */
  baseUrl: z
    .url({ protocol: /^https?$/ })
    .refine((url) => new URL(url).username === "", "must not carry a user or a password")
    .optional(),
  modelName: z.string().trim().min(1),
  /** See `apiOf`. */
  api: z.enum(["responses", "chat", "auto"]).default("auto"),
  reasoningEffort: z
    .string()
    .pipe(z.enum(["none", "minimal", "low", "medium", "high", "xhigh", "max"]))
    .optional(),
  /** What the user says the model costs; null: the table of `prices.ts`. */
  price: Price.nullable().default(null),
  /** Further tries after the first, with back-off, for overload, server and connection errors. */
  maxRetries: z.int().nonnegative().default(6),
  /** Responses only: submit gives a ticket and the provider goes on by itself; the answer is kept there for ten minutes. */
  background: z.boolean().default(false),
  /** How long one `collect` may take. */
  collectTimeoutMs: z.int().positive().default(60_000),
});

/** What `createOpenAiLlm` takes. */
export type OpenAiSettings = z.input<typeof Settings>;

/** Settings as the adapter uses them: checked, defaults filled in, the API chosen. */
export type Chosen = Omit<z.output<typeof Settings>, "api"> & { api: "responses" | "chat" };

/** Parses the settings, or says which one is wrong. Never shows a value: one of them is the key. */
export function chosenSettings(settings: OpenAiSettings): Chosen {
  const parsed = Settings.safeParse(settings);
  if (!parsed.success)
    throw new AppError("caller", "llm.settings", `the model's settings do not hold:\n${z.prettifyError(parsed.error)}`);
  const { api, ...rest } = parsed.data;
  const chosen = apiOf(api, rest.modelName, rest.baseUrl);
  if (chosen === "chat" && rest.background)
    throw new AppError(
      "caller",
      "llm.settings",
      "background calls exist in the Responses API only: set api to `responses` or background to false",
    );
  return { ...rest, api: chosen };
}
