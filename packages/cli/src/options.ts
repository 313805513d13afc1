import { AppError } from "@ksearch/domain";
import { z } from "zod";
import { flagName, modelFlags } from "./model-flags.ts";
import { WandbName } from "./tracking.ts";

const number = z
  .string()
  .regex(/^-?\d+(\.\d+)?([eE]-?\d+)?$/, "a number")
  .transform(Number);

/** A whole number within bounds, which a wrong one is told. */
export const wholeFrom = (least: number, most: number) => {
  const words = `a whole number from ${least} to ${most}`;
  const text = z.string().regex(/^\d+$/, "a whole number").transform(Number);
  return text.pipe(z.int(words).min(least, words).max(most, words));
};

/** A number within bounds; `words` are what a wrong one is told. */
export const numberFrom = (least: number, most: number, words: string) =>
  number.pipe(z.number().min(least, words).max(most, words));

/** Flags of `ksearch track`, and of the other commands beside theirs. */
export const trackFlags = {
  wandb: z.boolean().optional(),
  wandbProject: WandbName.optional(),
  wandbMode: z.enum(["online", "offline"]).optional(),
  runName: WandbName.optional(),
};
export const TrackFlags = z.object(trackFlags);
export type TrackFlags = z.infer<typeof TrackFlags>;

/** Flags of `ksearch resume`: other lanes, another model, where the run is shown. */
export const ResumeFlags = z.object({ ...modelFlags, ...trackFlags, lanes: wholeFrom(1, 64).optional() });
export type ResumeFlags = z.infer<typeof ResumeFlags>;

/** Parses flags, naming the flag that is wrong. */
export function parseFlags<T>(schema: z.ZodType<T>, raw: unknown): T {
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map((issue) => `${flagName(String(issue.path[0] ?? ""))}: ${issue.message}`);
  throw new AppError("caller", "flags", [...new Set(lines)].join("; "));
}
