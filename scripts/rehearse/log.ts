import { z } from "zod";
import { Metered } from "./meter.ts";

const counts = z.record(z.string(), z.int());

/** What a rehearsal counts. Times are those of the machine that it ran on, the referee's too. */
export const RehearsalLog = z.strictObject({
  recordedReplies: z.literal(true),
  attempts: z.int().positive(),
  lanes: z.int().positive(),
  /** Of whole runs; each lane of each round is a child execution beside them. */
  executions: z.int().positive(),
  rounds: z.int().nonnegative(),
  wallMs: z.int(),
  /** By state name, lanes included. Each is one transition that Step Functions bills. */
  statesEntered: counts,
  /** By function: sums over its invocations, `warmMs` over those in a container that had worked before. */
  invocations: z.record(
    z.string(),
    z.strictObject({
      invocations: z.int(),
      cold: z.int(),
      ms: z.int(),
      warmMs: z.int(),
      importMs: z.int(),
      memoryMiB: z.int().positive(),
    }),
  ),
  /** What the functions print, metrics among it; Lambda's own lines are not. */
  logBytes: z.int(),
  dynamodb: Metered,
  s3: Metered,
  /** By purpose. */
  answeredCalls: counts,
  refereeWallMs: z.int(),
  /** What the synthesised stage consists of, by type. */
  resources: counts,
});
export type RehearsalLog = z.infer<typeof RehearsalLog>;
