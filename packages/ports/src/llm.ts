import type { AppError, Prompt, Purpose, Usage } from "@ksearch/domain";

export type LlmRequest = {
  readonly runId: string;
  /** The name of the call, unique in the run. Submitting it twice may cost twice; the first recorded answer holds. */
  readonly call: string;
  /** What is asked, the same in every run of the same tree (`draft/<node>/<n>`): how a transcript finds its reply. */
  readonly slot: string;
  readonly purpose: Purpose;
  /** Label of the model that is asked, one of the run's. */
  readonly model: string;
  readonly prompt: Prompt;
  readonly maxOutputTokens: number;
  /** How long the reply may take, waited for or as a ticket; nobody hurries a person who answers. */
  readonly timeoutMs: number;
};

export type LlmAnswer = {
  readonly text: string;
  /** Who answered, in the provider's words. */
  readonly model: string;
  readonly usage: Usage;
  /** What ended the reply before the model did: the limit of its tokens, or a content filter. Null: the model itself. */
  readonly cut: "length" | "filter" | null;
};

/**
 * The language models of a run, each under its label. `submit` returns the answer itself or a ticket to collect later. Throws AppError: `caller` for a wrong
 * key or setting, `retry` for overload and time-outs after the adapter's own retries, `operator` for a broken endpoint.
 */
export interface Llm {
  submit(request: LlmRequest): Promise<{ answer: LlmAnswer } | { ticket: string }>;
  /** `ended`: no answer will come, for the reason given. What it throws says nothing of the ticket, which stands. */
  collect(ticket: string, model: string): Promise<{ answer: LlmAnswer } | { ended: AppError } | "running">;
  /** Nobody wants the answer any more. Idempotent; an unknown or finished ticket is no error. */
  cancel(ticket: string, model: string): Promise<void>;
  /** Cost of a usage in whole micro-dollars; used for the worst case, too. */
  price(usage: Usage, model: string): number;
}
