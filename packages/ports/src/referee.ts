import type { AppError, Device, EvaluationRequest, Examination, ExaminationRequest, Verdict } from "@ksearch/domain";

/** Work that the engine itself starts and waits for (AWS Batch by `submitJob.sync`). */
export type Job = {
  readonly name: string;
  readonly queue: string;
  readonly definition: string;
  /** Signed addresses: where the job reads its request, and where it leaves its answer. */
  readonly requestUrl: string;
  readonly answerUrl: string;
  readonly timeoutSeconds: number;
};

/**
 * The referee: one request, one verdict (design.md 6). A failing kernel is a verdict; AppError is for the referee's own
 * trouble: `retry` when another try may help (crash, rubbish, deadline), `operator` when the host must be mended.
 */
export interface Referee {
  submit(request: EvaluationRequest): Promise<{ verdict: Verdict } | { ticket: string }>;
  /** `ended`: no verdict will come, for the reason given. What it throws says nothing of the ticket, which stands. */
  collect(ticket: string): Promise<{ verdict: Verdict } | { ended: AppError } | "running">;
  /** What the engine has to run before a ticket can be collected; null, or no such method: nothing. */
  job?(ticket: string): Promise<Job | null>;
  /** Looks at a problem before a search: a refused problem is an answer, AppError is as for `submit`. */
  examine(request: ExaminationRequest): Promise<Examination>;
  /** Idempotent; an unknown or finished ticket is no error. */
  cancel(ticket: string): Promise<void>;
  /** Cost of an evaluation that takes so long on a device, whole micro-dollars; used for the worst case, too. */
  price(durationMs: number, device: Device): number;
}
