import {
  AppError,
  AttemptsPerNode,
  hardenedSettings,
  type RunOptions,
  RunOptions as RunOptionsSchema,
} from "@ksearch/domain";
import { z } from "zod";
import { parsePrice } from "./local.ts";
import type { ModelChoice } from "./model.ts";
import { WandbName } from "./tracking.ts";

const number = z.string().regex(/^-?\d+(\.\d+)?$/, "a number");
const whole = z.string().regex(/^\d+$/, "a whole number").transform(Number);

/** A whole number within bounds, which a wrong one is told. */
const wholeFrom = (least: number, most: number) => {
  const words = `a whole number from ${least} to ${most}`;
  return whole.pipe(z.int(words).min(least, words).max(most, words));
};

const seconds = "a number of seconds from 0.1 to 86400";

/** Flags of `ksearch run` as commander gives them: texts and switches. Parsed here and nowhere else. */
export const RunFlags = z.object({
  lanes: wholeFrom(1, 64),
  budgetAttempts: wholeFrom(1, 100_000),
  budgetUsd: number.transform(Number).pipe(z.number().nonnegative("a number of dollars, 0 or more")).optional(),
  attemptsPerNode: z
    .string()
    .regex(/^\d+(-\d+)?$/, "a number, or base-max such as 2-5")
    .transform((text) => {
      const [base = "", max = base] = text.split("-");
      return { base: Number(base), max: Number(max) };
    })
    .pipe(AttemptsPerNode)
    .optional(),
  targetScore: number.transform(Number).pipe(z.number().positive("a number above 0")).optional(),
  patience: wholeFrom(1, 100_000).optional(),
  confirmTop: wholeFrom(1, 10),
  iterations: wholeFrom(1, 10_000),
  warmup: wholeFrom(0, 1_000),
  language: z.enum(["cpp", "python"]),
  device: z.enum(["cpu"], "only the device 'cpu' is judged in this version"),
  seed: wholeFrom(0, Number.MAX_SAFE_INTEGER),
  maxOutputTokens: wholeFrom(256, 1_000_000),
  llmTimeout: number.transform(Number).pipe(z.number().min(0.1, seconds).max(86_400, seconds)),
  llm: z.enum(["openai", "replay", "agent"]).optional(),
  transcript: z.string().optional(),
  modelName: z.string().optional(),
  baseUrl: z
    .url({ protocol: /^https?$/, error: "an address that begins with http:// or https://" })
    .refine((url) => [...new URL(url).searchParams.keys()].every((key) => key === "api-version"), {
      error: "only api-version may stand in the query: a key belongs into OPENAI_API_KEY",
      abort: true,
    })
    .optional(),
  api: z.enum(["auto", "responses", "chat"]).optional(),
  reasoningEffort: z.enum(["none", "minimal", "low", "medium", "high", "xhigh", "max"]).optional(),
  modelPrice: z.string().optional(),
  wandb: z.boolean().optional(),
  wandbProject: WandbName.optional(),
  wandbMode: z.enum(["online", "offline"]).optional(),
  runName: WandbName.optional(),
});
export type RunFlags = z.infer<typeof RunFlags>;

const modelFlags = {
  llm: true,
  transcript: true,
  modelName: true,
  baseUrl: true,
  api: true,
  reasoningEffort: true,
  modelPrice: true,
} as const;
export type ModelFlags = Pick<RunFlags, keyof typeof modelFlags>;

/** True where a flag says which model answers. */
export const namesModel = (flags: ModelFlags): boolean =>
  (Object.keys(modelFlags) as (keyof ModelFlags)[]).some((name) => flags[name] !== undefined);

/** Flags of `ksearch track`, and of the other commands beside theirs. */
export const TrackFlags = RunFlags.pick({ wandb: true, wandbProject: true, wandbMode: true, runName: true });
export type TrackFlags = z.infer<typeof TrackFlags>;

/** Flags of `ksearch resume`: other lanes, another model, where the run is shown. */
export const ResumeFlags = RunFlags.pick(modelFlags).extend({
  lanes: RunFlags.shape.lanes.optional(),
  ...TrackFlags.shape,
});
export type ResumeFlags = z.infer<typeof ResumeFlags>;

/** Parses flags, naming the flag that is wrong. */
export function parseFlags<T>(schema: z.ZodType<T>, raw: unknown): T {
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map((issue) => `${flagName(String(issue.path[0] ?? ""))}: ${issue.message}`);
  throw new AppError("caller", "flags", [...new Set(lines)].join("; "));
}

const flagName = (field: string): string => `--${field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** What the run's first event records. */
export function runOptions(
  flags: RunFlags,
  facts: { deviceFacts: string; modelLabel: string; recordedReplies: boolean; attemptsPerNode: AttemptsPerNode },
): RunOptions {
  return RunOptionsSchema.parse({
    policy: "lanes",
    stagnationWindow: 5,
    maxDifficulty: null,
    lanes: flags.lanes,
    laneShare: 25,
    budgetAttempts: flags.budgetAttempts,
    budgetMicroUsd: flags.budgetUsd === undefined ? null : Math.round(flags.budgetUsd * 1e6),
    targetScore: flags.targetScore ?? null,
    patience: flags.patience ?? null,
    confirmTop: flags.confirmTop,
    language: flags.language,
    device: flags.device,
    seed: flags.seed,
    maxOutputTokens: flags.maxOutputTokens,
    llmTimeoutMs: Math.round(flags.llmTimeout * 1_000),
    evaluation: {
      ...hardenedSettings,
      timing: { ...hardenedSettings.timing, iterations: flags.iterations, warmup: flags.warmup },
    },
    ...facts,
  });
}

/** The flags that each kind of model understands. Beside another kind they are a contradiction, not a wish to ignore. */
const ownFlags = {
  replay: ["transcript"],
  agent: [],
  openai: ["modelName", "baseUrl", "api", "reasoningEffort", "modelPrice"],
} as const satisfies Record<string, readonly (keyof ModelFlags)[]>;

/**
 * Which model the flags mean: the named one, else a replay where a transcript is given, else OpenAI's API where one of its
 * flags is. Nothing is guessed beyond that.
 */
export function modelChoice(flags: ModelFlags, absolute: (path: string) => string): ModelChoice {
  const isGiven = (name: keyof ModelFlags) => flags[name] !== undefined;
  const kind = flags.llm ?? (isGiven("transcript") ? "replay" : ownFlags.openai.some(isGiven) ? "openai" : undefined);
  const strays = Object.entries(ownFlags).flatMap(([other, names]) => (other === kind ? [] : names.filter(isGiven)));
  if (kind !== undefined && strays.length > 0)
    throw new AppError(
      "caller",
      "flags",
      `${strays.map(flagName).join(" and ")} cannot stand beside ${flags.llm === undefined ? "--transcript" : `--llm ${kind}`}: drop one of them`,
    );
  switch (kind) {
    case "replay":
      if (flags.transcript === undefined)
        throw new AppError("caller", "flags", "--llm replay needs --transcript <file>");
      return { kind, transcript: absolute(flags.transcript) };
    case "agent":
      return { kind };
    case "openai":
      if (flags.modelName === undefined)
        throw new AppError("caller", "flags", "--llm openai needs --model-name, e.g. --model-name gpt-5-mini");
      return {
        kind,
        settings: {
          modelName: flags.modelName,
          api: flags.api ?? "auto",
          price: flags.modelPrice === undefined ? null : parsePrice(flags.modelPrice),
          ...(flags.baseUrl === undefined ? {} : { baseUrl: flags.baseUrl }),
          ...(flags.reasoningEffort === undefined ? {} : { reasoningEffort: flags.reasoningEffort }),
        },
      };
    case undefined:
      throw new AppError(
        "caller",
        "flags",
        "no model is named: --model-name <name> (with OPENAI_API_KEY), --transcript <file> for recorded replies, or --llm agent to answer the prompts yourself",
      );
  }
}
