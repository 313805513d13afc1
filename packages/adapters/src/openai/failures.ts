import { AppError, asAppError, complaints } from "@ksearch/domain";
import { APIConnectionError, APIConnectionTimeoutError, APIError } from "openai";
import { z } from "zod";
import { isOutOfCredit, quoted, type Refusal, refusalIn } from "./refusal.ts";
import { type EndedTry, lostPatience } from "./transport.ts";

/** What an error message may name (host, model) and what it must never show (key, prompt). */
export type Call = {
  readonly host: string;
  readonly modelName: string;
  readonly apiKey: string;
  readonly keyName: string;
  readonly promptText: string;
  readonly timeoutMs: number;
  readonly deadline: AbortSignal;
  readonly latest: EndedTry | null;
};

/**
 * Whatever a call threw, as an AppError that says who has to act. The SDK's error is not kept as `cause`: its message may
 * show part of the key or of the prompt.
 */
export function failureOf(error: unknown, call: Call): AppError {
  const { latest } = call;
  if (latest !== null && "error" in latest && latest.isSent) return broken(call, networkCode(latest.error));
  // The deadline fell between two tries: what the last one met is the reason, and nothing was left running to be billed.
  if (call.deadline.aborted && latest !== null)
    return "status" in latest
      ? refused(latest.status, latest.refusal, call)
      : unreachable(call, networkCode(latest.error));
  if (call.deadline.aborted || error instanceof APIConnectionTimeoutError)
    return new AppError(
      "retry",
      "llm.timeout",
      `${call.modelName} at ${call.host} did not answer within ${call.timeoutMs} ms`,
    );
  if (error instanceof APIConnectionError) return unreachable(call, networkCode(error.cause));
  if (error instanceof APIError && error.status !== undefined) return refused(error.status, refusalOf(error), call);
  if (error instanceof SyntaxError) return rubbish(call, "no JSON");
  if (error instanceof z.ZodError) return rubbish(call, complaints(error));
  const code = networkCode(error);
  return code !== null && brokeOff.has(code) ? broken(call, code) : asAppError(error);
}

/** What the endpoint said with an error status. */
export const refusalOf = (error: APIError): Refusal => refusalIn({ error: error.error });

function refused(status: number, refusal: Refusal, call: Call): AppError {
  const { host, modelName, keyName } = call;
  const reason = (): string => quoted(refusal.message, call.apiKey, call.promptText);
  if (status === 402 || isOutOfCredit(refusal))
    return new AppError(
      "caller",
      "llm.quota",
      `the account at ${host} has no credit left for ${modelName}: top it up or use another key`,
    );
  if (status === 401 || status === 403 || (status === 400 && /api[ _-]?key/i.test(refusal.message)))
    return new AppError(
      "caller",
      "llm.auth",
      `${host} refused the key for ${modelName} (${status}): check ${keyName} and its rights`,
    );
  if (status === 404)
    return new AppError(
      "caller",
      "llm.model",
      `${host} knows no model '${modelName}', or has no such API at this base URL (404): ${reason()}`,
    );
  if (status === 429)
    return new AppError("retry", "llm.overloaded", `${host} takes no more requests for ${modelName} at present (429)`);
  if (lostPatience.has(status))
    return new AppError("retry", "llm.timeout", `a gateway at ${host} gave ${modelName} no time to answer (${status})`);
  if (status >= 500 || status === 408 || status === 409)
    return new AppError("retry", "llm.server", `${host} failed (${status})`);
  return new AppError("caller", "llm.request", `${host} refused the request for ${modelName} (${status}): ${reason()}`);
}

const unreachable = (call: Call, code: string | null): AppError =>
  new AppError("retry", "llm.network", `the connection to ${call.host} failed${code === null ? "" : ` (${code})`}`);

/** Booked as paid by whoever asked: the reply may have been on its way. */
const broken = (call: Call, code: string | null): AppError =>
  new AppError(
    "retry",
    "llm.broken",
    `the connection to ${call.host} broke before ${call.modelName}'s reply was whole${code === null ? "" : ` (${code})`}`,
  );

const rubbish = (call: Call, found: string): AppError =>
  new AppError("retry", "llm.rubbish", `${call.host} answered with something that is no reply of a model: ${found}`);

/** `ECONNREFUSED` and its kin: what Node calls the failure of a connection. */
const networkCode = (error: unknown): string | null => NodeError.safeParse(error).data?.code ?? null;
const NodeError = z.object({ code: z.string().regex(/^[A-Z0-9_]+$/) });

/** A connection that broke while the reply was being read; the SDK hands these on as they are. */
const brokeOff = new Set(["ECONNRESET", "EPIPE", "ETIMEDOUT", "ERR_STREAM_PREMATURE_CLOSE"]);
