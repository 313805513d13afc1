import type { AppError } from "@ksearch/domain";
import type { LlmAnswer, LlmRequest } from "@ksearch/ports";

/** The limits of one call, as the SDK takes them: one deadline over all its tries. */
export type Limits = { readonly signal: AbortSignal; readonly timeout: number };

/** What came of a response: its answer, its id while it is not done, or why there will be none. */
export type Outcome = { answer: LlmAnswer } | { ticket: string } | { ended: AppError };

/** One of the two APIs; tickets are ids of responses. Throws what the SDK and zod throw; `index.ts` makes AppErrors of it. */
export type Dialect = {
  submit(request: LlmRequest, limits: Limits): Promise<Outcome>;
  collect(id: string, limits: Limits): Promise<Outcome>;
  /** What the response has come to then: canceled, or done before. */
  cancel(id: string, limits: Limits): Promise<Outcome>;
};
