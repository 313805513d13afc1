import {
  AppError,
  AttemptsPerNode,
  hardenedSettings,
  type RunOptions,
  RunOptions as RunOptionsSchema,
} from "@ksearch/domain";
import { z } from "zod";
import { flagName, modelFlags } from "./model-flags.ts";

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
  ...modelFlags,
});
export type RunFlags = z.infer<typeof RunFlags>;

/** Flags of `ksearch resume`: other lanes, another model. */
export const ResumeFlags = z.object({ ...modelFlags, lanes: RunFlags.shape.lanes.optional() });
export type ResumeFlags = z.infer<typeof ResumeFlags>;

/** Parses flags, naming the flag that is wrong. */
export function parseFlags<T>(schema: z.ZodType<T>, raw: unknown): T {
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map((issue) => `${flagName(String(issue.path[0] ?? ""))}: ${issue.message}`);
  throw new AppError("caller", "flags", [...new Set(lines)].join("; "));
}

/** What the run's first event records. */
export function runOptions(
  flags: RunFlags,
  facts: Pick<
    RunOptions,
    "deviceFacts" | "models" | "treeModel" | "modelLabel" | "recordedReplies" | "attemptsPerNode"
  >,
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
