import { AppError, messageOf } from "@ksearch/domain";

/**
 * What an AWS client threw, after its own retries, as an AppError. `where` names the resource, e.g. `bucket b`.
 *
 * - `retry` `aws.busy`: throttled, a fault of the service, no connection, or bytes that changed on their way.
 * - `operator` `aws.denied`: no, wrong or expired credentials, or a role that lacks a permission.
 * - `operator` `aws.missing`: there is no such resource.
 * - `operator` `aws.region`: the resource is in another region, or there is no such region.
 * - `operator` `aws.refused`: anything else.
 */
export function awsError(error: unknown, where: string): AppError {
  if (error instanceof AppError) return error;
  const name = error instanceof Error ? error.name : "";
  const [who, code, mend] = kindOf(error, name);
  return new AppError(who, code, `${where}: ${name || "Error"}: ${messageOf(error)}; ${mend}`, { cause: error });
}

/** The HTTP status of an answer that the client threw; undefined where there was none. */
export const statusOf = (error: unknown): number | undefined =>
  typeof error === "object" &&
  error !== null &&
  "$metadata" in error &&
  typeof error.$metadata === "object" &&
  error.$metadata !== null &&
  "httpStatusCode" in error.$metadata &&
  typeof error.$metadata.httpStatusCode === "number"
    ? error.$metadata.httpStatusCode
    : undefined;

type Kind = [who: AppError["who"], code: string, mend: string];

function kindOf(error: unknown, name: string): Kind {
  const status = statusOf(error) ?? 0;
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
  if (regional.has(name) || code === "ENOTFOUND")
    return ["operator", "aws.region", "check the region, and that this machine resolves AWS's names"];
  if (missing.has(name))
    return ["operator", "aws.missing", "check its name and the region, and that the stage is deployed"];
  if (denied.has(name) || status === 401 || status === 403)
    return ["operator", "aws.denied", "check the credentials (expired?), the clock, and what the role may do"];
  const isSpoilt = /^Checksum mismatch/.test(messageOf(error));
  if (status >= 500 || status === 408 || status === 429 || busy.test(name) || cut.has(code) || isSpoilt)
    return ["retry", "aws.busy", "try again"];
  return ["operator", "aws.refused", "this is a defect, or a limit of AWS"];
}

const regional = new Set(["PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"]);
const missing = new Set(["NoSuchBucket", "ResourceNotFoundException"]);
/** Services answer some of these with status 400. */
const denied = new Set([
  "AccessDeniedException",
  "CredentialsProviderError",
  "ExpiredToken",
  "ExpiredTokenException",
  "IncompleteSignatureException",
  "InvalidSignatureException",
  "MissingAuthenticationTokenException",
  "RequestExpired",
  "TokenProviderError",
  "UnrecognizedClientException",
]);
const busy = /Throttl|TooManyRequests|LimitExceeded|SlowDown|ThroughputExceeded|InProgress|Timeout|BadDigest/;
/** Node's words for a connection that did not come about, or did not last. */
const cut = new Set(["ECONNREFUSED", "ECONNRESET", "EPIPE", "ETIMEDOUT", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH"]);
