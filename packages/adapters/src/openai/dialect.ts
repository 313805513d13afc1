import type { Llm, LlmRequest } from "@ksearch/ports";

/** The limits of one call, as the SDK takes them: one deadline over all its tries. */
export type Limits = { readonly signal: AbortSignal; readonly timeout: number };

/** One of the two APIs. Throws what the SDK and zod throw; `index.ts` makes AppErrors of it. */
export type Dialect = {
  submit(request: LlmRequest, limits: Limits): ReturnType<Llm["submit"]>;
  collect(ticket: string, limits: Limits): ReturnType<Llm["collect"]>;
};
