import { AppError, ModelLabels } from "@ksearch/domain";
import type { ModelChoice, ModelSettings } from "@ksearch/workflow";
import { z } from "zod";
import { apiOf, parsePrice, priceOf } from "./local.ts";

const texts = z.array(z.string()).optional();

/** The flags that say which models answer, as commander gives them; those of `texts` may be repeated. */
export const modelFlags = {
  llm: z.enum(["openai", "replay", "agent"]).optional(),
  transcript: z.string().optional(),
  modelName: texts,
  wmModelName: z.string().optional(),
  baseUrl: texts,
  api: texts,
  reasoningEffort: texts,
  modelPrice: texts,
  llmBackground: z.boolean().optional(),
};
export type ModelFlags = z.infer<z.ZodObject<typeof modelFlags>>;

const BaseUrl = z
  .url({ protocol: /^https?$/, error: "an address that begins with http:// or https://" })
  .refine((url) => [...new URL(url).searchParams.keys()].every((key) => key === "api-version"), {
    error: "only api-version may stand in the query: a key belongs into the environment",
    abort: true,
  });
const Api = z.enum(["auto", "responses", "chat"]);
const Effort = z.enum(["none", "minimal", "low", "medium", "high", "xhigh", "max"]);

export const flagName = (field: string): string =>
  `--${field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** The flags that each kind of model understands. Beside another kind they are a contradiction, not a wish to ignore. */
const ownFlags = {
  replay: ["transcript"],
  agent: [],
  openai: ["modelName", "wmModelName", "baseUrl", "api", "reasoningEffort", "modelPrice", "llmBackground"],
} as const satisfies Record<string, readonly (keyof ModelFlags)[]>;

/**
 * Which models the flags mean: those of the named kind, else a replay where a transcript is given, else OpenAI's API where
 * one of its flags is. Nothing is guessed beyond that.
 */
export function modelChoice(flags: ModelFlags, absolute: (path: string) => string): ModelChoice {
  const isGiven = (name: keyof ModelFlags) => flags[name] !== undefined;
  const kind = flags.llm ?? (isGiven("transcript") ? "replay" : ownFlags.openai.some(isGiven) ? "openai" : undefined);
  const strays = Object.entries(ownFlags).flatMap(([other, names]) => (other === kind ? [] : names.filter(isGiven)));
  if (kind !== undefined && strays.length > 0)
    throw wrong(
      `${strays.map(flagName).join(" and ")} cannot stand beside ${flags.llm === undefined ? "--transcript" : `--llm ${kind}`}: drop one of them`,
    );
  switch (kind) {
    case "replay":
      if (flags.transcript === undefined) throw wrong("--llm replay needs --transcript <file>");
      return { kind, transcript: absolute(flags.transcript) };
    case "agent":
      return { kind };
    case "openai":
      return liveChoice(flags);
    case undefined:
      throw wrong(
        "no model is named: --model-name <name> (with OPENAI_API_KEY), --transcript <file> for recorded replies, or --llm agent to answer the prompts yourself",
      );
  }
}

function liveChoice(flags: ModelFlags): ModelChoice {
  const { modelName, wmModelName: treeModel = null, llmBackground = false } = flags;
  if (modelName === undefined) throw wrong("--llm openai needs --model-name, e.g. --model-name gpt-5-mini");
  const drafts = read(ModelLabels, "modelName", listed(modelName));
  const names = [...new Set([...drafts, ...(treeModel === null ? [] : [treeModel])])];
  const forEach = <T>(field: keyof ModelFlags, given: readonly string[] | undefined, parse: (text: string) => T) =>
    perModel(field, given ?? [], names, parse);
  const baseUrls = forEach("baseUrl", flags.baseUrl, (text) => read(BaseUrl, "baseUrl", text));
  const apis = forEach("api", listed(flags.api), (text) => read(Api, "api", text));
  const efforts = forEach("reasoningEffort", listed(flags.reasoningEffort), (text) =>
    read(Effort, "reasoningEffort", text),
  );
  const prices = forEach("modelPrice", listed(flags.modelPrice), parsePrice);
  const models = names.map((name): ModelSettings => {
    const [baseUrl, reasoningEffort, api] = [baseUrls(name), efforts(name), apis(name) ?? "auto"];
    return {
      modelName: name,
      api,
      background: llmBackground && apiOf(api, name, baseUrl) === "responses",
      price: prices(name) ?? priceOf(name),
      ...(baseUrl === undefined ? {} : { baseUrl }),
      ...(reasoningEffort === undefined ? {} : { reasoningEffort }),
    };
  });
  if (llmBackground && !models.some(({ background }) => background))
    throw wrong("--llm-background needs the Responses API: a model at OpenAI itself, or --api responses");
  return { kind: "openai", models, drafts, treeModel: treeModel === drafts[0] ? null : treeModel };
}

/** The parts of values that may be repeated or listed with commas. */
const listed = (given: readonly string[] | undefined): string[] =>
  (given ?? []).flatMap((text) => text.split(",")).map((part) => part.trim());

/**
 * What a flag says of each model: `<name>=<value>` of one, a bare value of all that have none of their own. Each may be said
 * once. A URL's own `=` names nobody.
 */
function perModel<T>(
  field: keyof ModelFlags,
  given: readonly string[],
  names: readonly string[],
  parse: (text: string) => T,
): (name: string) => T | undefined {
  const values = new Map<string | null, T>();
  for (const text of given) {
    const [head = ""] = text.split("=", 1);
    const isNamed = head !== text && !head.includes("://");
    if (isNamed && !names.includes(head))
      throw wrong(`${flagName(field)}: '${head}' is none of the run's models (${names.join(", ")})`);
    const name = isNamed ? head : null;
    if (values.has(name)) throw wrong(`${flagName(field)}: stands twice for ${name ?? "all models"}`);
    values.set(name, parse(isNamed ? text.slice(head.length + 1) : text));
  }
  return (name) => (values.has(name) ? values.get(name) : values.get(null));
}

function read<T>(schema: z.ZodType<T>, field: keyof ModelFlags, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw wrong(`${flagName(field)}: ${parsed.error.issues.map(({ message }) => message).join("; ")}`);
}

const wrong = (message: string): AppError => new AppError("caller", "flags", message);

/** True where a flag says which model answers. */
export const namesModel = (flags: ModelFlags): boolean =>
  (Object.keys(modelFlags) as (keyof ModelFlags)[]).some((name) => flags[name] !== undefined);
