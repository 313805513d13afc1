import type { EvaluationRequest, Examination, ExaminationRequest, Verdict } from "@ksearch/domain";

/**
 * The referee: one request, one verdict (design.md 6). A failing kernel is a verdict; AppError is for the referee's own
 * trouble: `retry` when another try may help (crash, rubbish, deadline), `operator` when the host must be mended.
 */
export interface Referee {
  submit(request: EvaluationRequest): Promise<{ verdict: Verdict } | { ticket: string }>;
  collect(ticket: string): Promise<{ verdict: Verdict } | "running">;
  /** Looks at a problem before a search: a refused problem is an answer, AppError is as for `submit`. */
  examine(request: ExaminationRequest): Promise<Examination>;
  /** Idempotent; an unknown or finished ticket is no error. */
  cancel(ticket: string): Promise<void>;
  /** Worst-case cost of an evaluation that may take so long, whole micro-dollars. */
  price(durationMs: number): number;
}
