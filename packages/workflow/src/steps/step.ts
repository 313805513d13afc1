import { AppError, stopped } from "@ksearch/domain";
import { z } from "zod";
import type { Deps } from "../deps.ts";
import { LanePayload, nextWaitSeconds, RunPayload } from "../payload.ts";

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
/** One state's work: a payload in, a payload out. */
export type Step = (input: unknown) => Promise<Json>;

/** A payload without what belonged to the previous state, and without undefined fields (they are no JSON). */
const clean = (payload: object): Json => z.json().parse(JSON.parse(JSON.stringify(payload))) as Json;

function parse<T>(schema: z.ZodType<T>, input: unknown): T {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  throw new AppError(
    "operator",
    "step.input",
    `a step got an input that no state of ours makes: ${z.prettifyError(parsed.error)}`,
  );
}

/** `waited` in, `waitSeconds` out: the payload of a state whose answer is not there yet. */
export const waiting = <P extends { waitSeconds?: number | undefined }>(payload: P): P => ({
  ...payload,
  next: "wait",
  waitSeconds: nextWaitSeconds(payload.waitSeconds),
});

/** A store that is out of reach can record nothing, its own failure neither: the engine runs the step again. */
const isOfStore = ({ who, code }: AppError): boolean => who === "retry" && code.startsWith("store.");

/** A step of a lane. An error of ours stops the lane, is recorded with who must act, and lets the others go on. */
export const laneStep =
  (deps: Deps, work: (input: LanePayload) => Promise<LanePayload>): Step =>
  async (raw) => {
    const input = parse(LanePayload, raw);
    try {
      const output = await work(input);
      return clean(output.next === "wait" ? output : { ...output, waitSeconds: undefined });
    } catch (error) {
      if (!(error instanceof AppError) || isOfStore(error)) throw error;
      const { who, code, message } = error;
      const spent = code === "budget.exhausted";
      await deps.log.commit(input.runId, () => ({
        events: [stopped(input, spent ? "budget" : "error", message, spent ? null : { who, code })],
        result: null,
      }));
      return clean({ ...input, next: "end", waitSeconds: undefined });
    }
  };

/**
 * A step of the run itself. An error of ours pauses the run with the message that says who must act; a money budget that
 * does not cover the step ends the run with what it has.
 */
export const runStep =
  (deps: Deps, work: (input: RunPayload) => Promise<RunPayload>): Step =>
  async (raw) => {
    const input = parse(RunPayload, raw);
    try {
      const output = await work(input);
      return clean(output.next === "wait" ? output : { ...output, waitSeconds: undefined });
    } catch (error) {
      if (!(error instanceof AppError) || isOfStore(error)) throw error;
      if (error.code === "budget.exhausted") return clean({ ...input, next: "report", stopped: error.message });
      await pause(deps, input.runId, error);
      return clean({ ...input, next: "report", waitSeconds: undefined });
    }
  };

export async function pause(deps: Deps, runId: string, error: AppError): Promise<void> {
  await deps.log.commit(runId, (state) =>
    state.status !== "running"
      ? { events: [], result: null }
      : {
          events: [{ type: "run.paused", who: error.who, code: error.code, message: error.message.slice(0, 2_000) }],
          result: null,
        },
  );
}

/** The text of a state's `error` field, which the engine fills when a Task fails. */
export const causeOf = (raw: unknown): string => {
  const failed = z
    .object({ error: z.object({ Error: z.string().optional(), Cause: z.string().optional() }) })
    .safeParse(raw);
  return failed.success
    ? [failed.data.error.Error, failed.data.error.Cause].filter(Boolean).join(": ")
    : "no cause given";
};
