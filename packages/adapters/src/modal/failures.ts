import { AppError, messageOf } from "@ksearch/domain";
import { FunctionTimeoutError, InternalFailure, NotFoundError, RemoteError } from "modal";
import { ClientError, Status } from "nice-grpc";

/** Codes of a server or a network that may do better later. */
const passing: ReadonlySet<Status> = new Set([
  Status.UNAVAILABLE,
  Status.DEADLINE_EXCEEDED,
  Status.RESOURCE_EXHAUSTED,
  Status.CANCELLED,
  Status.ABORTED,
  Status.INTERNAL,
  Status.UNKNOWN,
]);

/** What the SDK says of a blob's transfer, beside `fetch failed`. */
const blobTrouble = /^Failed (blob upload|to download blob)|fetch failed/;

const deploy = "deploy the referee with scripts/deploy.sh";

/** Why Modal could not be asked, as an AppError: it says nothing of a call that is under way. */
export function troubleOf(error: unknown): AppError {
  if (error instanceof AppError) return error;
  const message = messageOf(error);
  const app = (who: AppError["who"], code: string, words: string) => new AppError(who, code, words, { cause: error });
  if (error instanceof NotFoundError) return app("operator", "referee.missing", `${message}: ${deploy}`);
  if (error instanceof ClientError) {
    if (error.code === Status.UNAUTHENTICATED || error.code === Status.PERMISSION_DENIED)
      return app(
        "operator",
        "referee.auth",
        `Modal refuses the token (${error.details}): set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET to one of the workspace that the referee is deployed in`,
      );
    const who = passing.has(error.code) ? "retry" : "operator";
    return app(who, "referee.unreachable", `Modal does not answer as it should: ${message}`);
  }
  if (blobTrouble.test(message)) return app("retry", "referee.unreachable", `Modal's storage: ${message}`);
  return app("operator", "referee.broken", `the deployed referee does not fit this version: ${message}; ${deploy}`);
}

/**
 * Why a call will never be answered; null: the error does not say that. A kernel is never to blame: the referee answers within
 * the request's own limits whatever a kernel does, so a function that ran into Modal's time limit is the host's trouble.
 */
export function endingOf(error: unknown): AppError | null {
  const app = (who: AppError["who"], code: string, words: string) => new AppError(who, code, words, { cause: error });
  const message = messageOf(error);
  if (error instanceof FunctionTimeoutError)
    return app(
      "retry",
      "referee.timeout",
      `the referee was cut off by Modal's time limit of its function (${message})`,
    );
  if (error instanceof InternalFailure) return app("retry", "referee.lost", `Modal lost the container (${message})`);
  if (error instanceof ClientError && error.code === Status.NOT_FOUND)
    return app("retry", "referee.lost", "Modal does not know the call any more");
  if (!(error instanceof RemoteError)) return null;
  const said = message.replace(/^Remote error:\s*/, "");
  // Modal has no words for a call that was cancelled, and for a container that was evicted or did not start.
  return said === ""
    ? app("retry", "referee.lost", "the call was cancelled, or its container was taken away")
    : app("operator", "referee.broken", `the deployed referee failed: ${said.slice(0, 500)}; ${deploy}`);
}
