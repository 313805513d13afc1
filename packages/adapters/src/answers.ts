import { AppError, type Device, parseJson, type Verdict } from "@ksearch/domain";
import { z } from "zod";

/** Largest answer that is read, characters; a verdict is a few kilobytes. */
const longestAnswer = 16 * 1024 * 1024;

const Refused = z.object({ error: z.object({ code: z.string(), message: z.string(), path: z.string().default("$") }) });

/** Who answers, in words, and what its operator does if it is of another version than the search. */
export type Answerer = { name: string; renew: string };

/** A referee that stands in the cloud. */
export const deployed: Answerer = { name: "the deployed referee", renew: "deploy it with scripts/deploy.sh" };

/** What a referee far away returned, as the answer to its request. AppError: it is none. */
export function readAnswer<A extends { requestId: string }>(
  returned: unknown,
  schema: z.ZodType<A>,
  requestId: string,
  by: Answerer,
): A {
  const rubbish = (what: string): AppError => new AppError("retry", "referee.rubbish", `${by.name} answered ${what}`);
  if (typeof returned !== "string") throw rubbish(`no text but ${returned === null ? "null" : typeof returned}`);
  if (returned.length > longestAnswer) throw rubbish(`${returned.length} characters`);
  const json = parseJson(returned);
  if (json === undefined) throw rubbish("no JSON");
  const refused = Refused.safeParse(json);
  if (refused.success) {
    const { code, message, path } = refused.data.error;
    if (code !== "request.invalid") throw rubbish(`${code}: ${message}`);
    throw new AppError(
      "operator",
      "referee.request",
      `${by.name} refused the request: ${message} (at ${path}); one of another version does that: ${by.renew}`,
    );
  }
  const answer = schema.safeParse(json);
  if (!answer.success) throw rubbish(z.prettifyError(answer.error).split("\n", 2).join(" "));
  if (answer.data.requestId !== requestId) throw rubbish(`request '${answer.data.requestId}', not '${requestId}'`);
  return answer.data;
}

/** AppError `retry` `referee.device`: the verdict is of another device, whose times mean nothing here. */
export function checkDevice(verdict: Verdict, device: Device): void {
  const { gpu } = verdict.env;
  const word = new RegExp(`\\b${device.split("-")[0]}G?\\b`);
  const fits = device === "cpu" ? gpu === null : gpu !== null && word.test(gpu);
  if (verdict.device === device && (fits || verdict.status !== "passed")) return;
  throw new AppError(
    "retry",
    "referee.device",
    `a verdict on ${device} was asked for, and the referee judged on ${verdict.device} (${gpu ?? "no GPU"})`,
  );
}
