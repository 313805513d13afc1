import { AppError, Device, type EvaluationRequest, parseJson, Verdict } from "@ksearch/domain";
import type { Blobs, Referee } from "@ksearch/ports";
import { z } from "zod";
import { checkDevice, deployed, readAnswer } from "../answers.ts";
import { priceOf } from "./prices.ts";

/** The queue and job definition of each device that the stage has (stacks/gpu.ts). */
export const BatchJobs = z.partialRecord(
  z.enum(["T4", "L4", "A10", "L40S", "A100-80GB", "H100", "H200", "B200"]),
  z.strictObject({ queue: z.string().min(1), definition: z.string().min(1) }),
);
export type BatchJobs = z.infer<typeof BatchJobs>;

export type BatchSettings = {
  jobs: BatchJobs;
  blobs: Blobs;
  /** URLs for one who has no credentials, good for so many seconds. */
  sign: {
    get: (key: string, seconds: number) => Promise<string>;
    put: (key: string, seconds: number) => Promise<string>;
  };
  newId: () => string;
};

const Ticket = z.strictObject({
  batch: z.string().min(1),
  requestId: z.string().min(1),
  device: Device,
  totalMs: z.int().positive(),
});
type Ticket = z.infer<typeof Ticket>;

/** What a job may take beside its evaluation: to pull the image, and to import torch. */
const startSeconds = 600;
/** How long an address holds: a queue's time, and the job's. Signed by a role, it lives no longer than that role's session. */
const signedSeconds = 6 * 3600;

/** A ticket of this referee; null: another's. */
const ticketOf = (ticket: string): Ticket | null => Ticket.safeParse(parseJson(ticket)).data ?? null;

/** Whether a ticket is one of this referee. */
export const isBatchTicket = (ticket: string): boolean => ticketOf(ticket) !== null;

/**
 * The referee as jobs of AWS Batch, which the state machine starts and waits for (`submitJob.sync`). A request lies in the
 * store, the job reads it by a signed address and leaves its answer by another; only its driver knows them. A job that left no
 * answer (its host died, its address had expired) has ended: AppError `retry` `referee.lost`, and the step asks anew.
 */
export function batchReferee({ jobs, blobs, sign, newId }: BatchSettings): Referee {
  const parsed = (ticket: string): Ticket => {
    const known = ticketOf(ticket);
    if (known === null) throw new AppError("operator", "store.corrupt", `${ticket} is no ticket of a job at AWS Batch`);
    return known;
  };
  const jobFor = (device: Device) => {
    const found = jobs[device as keyof BatchJobs];
    if (found !== undefined) return found;
    throw new AppError(
      "caller",
      "referee.device",
      `this stage has jobs for ${Object.keys(jobs).join(", ")}, none for ${device}: choose another --target-gpu`,
    );
  };
  return {
    async submit(request: EvaluationRequest) {
      const { requestId, device, settings } = request;
      jobFor(device);
      const [runId = ""] = requestId.split("/");
      const batch = `runs/${runId}/jobs/${newId()}`;
      await blobs.put(`${batch}/request.json`, new TextEncoder().encode(JSON.stringify(request)));
      return { ticket: JSON.stringify({ batch, requestId, device, totalMs: settings.limits.totalMs }) };
    },
    async job(ticket) {
      const { batch, device, totalMs } = parsed(ticket);
      const [requestUrl, answerUrl] = await Promise.all([
        sign.get(`${batch}/request.json`, signedSeconds),
        sign.put(`${batch}/answer.json`, signedSeconds),
      ]);
      const name = batch
        .replace(/^runs\//, "")
        .replaceAll(/[^A-Za-z0-9_-]/g, "-")
        .slice(0, 128);
      return {
        name,
        ...jobFor(device),
        requestUrl,
        answerUrl,
        timeoutSeconds: Math.ceil(totalMs / 1000) + startSeconds,
      };
    },
    async collect(ticket) {
      const { batch, requestId, device } = parsed(ticket);
      const bytes = await blobs.get(`${batch}/answer.json`);
      if (bytes === null)
        return {
          ended: new AppError("retry", "referee.lost", `the job at AWS Batch left no answer (${batch})`),
        };
      try {
        const verdict = readAnswer(new TextDecoder().decode(bytes), Verdict, requestId, deployed);
        checkDevice(verdict, device);
        return { verdict };
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        return { ended: error };
      }
    },
    async examine() {
      throw new AppError("operator", "referee.examine", "jobs of AWS Batch examine no problems: use --referee modal");
    },
    // Step Functions stops its jobs with the execution.
    cancel: async () => undefined,
    price: (durationMs, device) => priceOf(durationMs, device),
  };
}
