import { z } from "zod";

/** What travels between states: ids, names and small counters, never content (256 KB limit, design.md 4). */
const run = { runId: z.string().min(1), lanes: z.int().positive() };

export const StartInput = z.object(run);
export type StartInput = z.infer<typeof StartInput>;

/** What the way out of a broken step gets: the payload of the state that broke, whichever it was. */
export const FailedInput = z.object({ runId: z.string().min(1), epoch: z.int().positive().optional() });

/** What a state of the machine starts and waits for; signed addresses, no content. */
const Job = z.object({
  name: z.string(),
  queue: z.string(),
  definition: z.string(),
  requestUrl: z.string(),
  answerUrl: z.string(),
  timeoutSeconds: z.int().positive(),
});

/** Between the states of a run. `next` is what the following Choice reads. */
export const RunPayload = z.object({
  ...run,
  epoch: z.int().positive(),
  round: z.int().nonnegative(),
  next: z.string().optional(),
  waitSeconds: z.int().positive().optional(),
  job: Job.optional(),
  /** Why the run goes straight to its report: a money budget that does not cover the next question. */
  stopped: z.string().optional(),
  /** One entry a lane while lanes are at work. */
  items: z.array(z.unknown()).optional(),
});
export type RunPayload = z.infer<typeof RunPayload>;

/** Between the states of a lane. `left`: attempts of its share that remain. */
export const LanePayload = z.object({
  runId: z.string().min(1),
  epoch: z.int().positive(),
  round: z.int().positive(),
  lane: z.int().positive(),
  left: z.int(),
  cycle: z.string().optional(),
  attempt: z.int().positive().optional(),
  call: z.string().optional(),
  next: z.string().optional(),
  waitSeconds: z.int().positive().optional(),
  job: Job.optional(),
  /** Steps that this child execution has made. */
  turns: z.int().nonnegative().optional(),
});
export type LanePayload = z.infer<typeof LanePayload>;

/**
 * Steps of one child execution; then the lane ends, and goes on in the next round. Step Functions keeps 25,000 events of an
 * execution's history: a step with its Choice and Wait makes 9, and 45 where the platform fails in every try of it.
 */
export const mostTurns = 500;

/** How long to wait before the next poll, whole seconds: soon at first, then rarer, at most a minute. */
export const nextWaitSeconds = (waited: number | undefined): number =>
  waited === undefined ? 5 : Math.min(60, waited * 2);
