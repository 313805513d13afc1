import type { z } from "zod";

/**
 * Every error that ksearch throws on purpose says who has to act on it.
 * `caller`: whoever typed the command or sent the request. `retry`: nobody, trying again may help.
 * `operator`: whoever runs the machine, the model account or the referee.
 * A failing kernel is never an error: it is a verdict.
 */
export class AppError extends Error {
  readonly who: "caller" | "retry" | "operator";
  /** Dotted and stable, e.g. `llm.auth`: what a program may test for. */
  readonly code: string;
  constructor(who: AppError["who"], code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "AppError";
    this.who = who;
    this.code = code;
  }
}

/** The text of anything thrown, for a log line or a record. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Any thrown value as an AppError; what is not one of ours is a defect that an operator must see. */
export const asAppError = (error: unknown): AppError =>
  error instanceof AppError ? error : new AppError("operator", "internal", messageOf(error), { cause: error });

/** What is wrong with a value, in one line: the place and the complaint, of the first three. */
export const complaints = (error: z.ZodError): string =>
  error.issues
    .slice(0, 3)
    .map(({ path, message }) => (path.length === 0 ? message : `${path.join(".")}: ${message}`))
    .join("; ");
