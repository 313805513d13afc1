import type { Prompt, Purpose, Usage } from "@ksearch/domain";

export type LlmRequest = {
  readonly runId: string;
  /** The name of the call, unique in the run. Submitting it twice may cost twice; the first recorded answer holds. */
  readonly call: string;
  /** What is asked, the same in every run of the same tree (`draft/<node>/<n>`): how a transcript finds its reply. */
  readonly slot: string;
  readonly purpose: Purpose;
  readonly prompt: Prompt;
  readonly maxOutputTokens: number;
  readonly timeoutMs: number;
};

export type LlmAnswer = { readonly text: string; readonly model: string; readonly usage: Usage };

/**
 * A language model. `submit` returns the answer itself or a ticket to collect later. Throws AppError: `caller` for a wrong
 * key or setting, `retry` for overload and time-outs after the adapter's own retries, `operator` for a broken endpoint.
 */
export interface Llm {
  submit(request: LlmRequest): Promise<{ answer: LlmAnswer } | { ticket: string }>;
  collect(ticket: string): Promise<{ answer: LlmAnswer } | "running">;
  /** Cost of a usage in whole micro-dollars; used for the worst case, too. */
  price(usage: Usage): number;
}
