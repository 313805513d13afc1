import { spawn } from "node:child_process";
import {
  AppError,
  type EvaluationRequest,
  Examination,
  type ExaminationRequest,
  parseJson,
  Verdict,
} from "@ksearch/domain";
import type { Referee } from "@ksearch/ports";
import pLimit from "p-limit";
import { z } from "zod";

export type SubprocessSettings = {
  /** The referee's command without its door, e.g. `[".venv/bin/python", "-I", "-m", "ksearch_referee"]`. */
  command: readonly [string, ...string[]];
  /** The whole environment of the referee: no secret of ours belongs there. */
  env: Readonly<Record<string, string>>;
  /** Time beyond the request's own `totalMs` before the referee is killed: queueing for the device and start-up. */
  graceMs: number;
  /** Referee processes at once; further requests wait here, where their deadline does not run. */
  atOnce: number;
};

/** Largest result that is read; a verdict is a few kilobytes. */
const longestResult = 16 * 1024 * 1024;

const Refused = z.object({ error: z.object({ code: z.string(), message: z.string(), path: z.string().default("$") }) });

/**
 * The referee as a process on this machine: request on stdin, verdict on stdout, a process a request. Crash, hang and
 * rubbish are AppError `retry` `referee.*`; a referee that cannot even start is for the operator.
 */
export function subprocessReferee({ command, env, graceMs, atOnce }: SubprocessSettings): Referee {
  const admitted = pLimit(atOnce);
  /** One request through one door of the referee. */
  async function ask<A extends { requestId: string }>(
    door: "judge" | "examine",
    request: EvaluationRequest | ExaminationRequest,
    schema: z.ZodType<A>,
  ): Promise<A> {
    const timeoutMs = request.settings.limits.totalMs + graceMs;
    const whole = [...command, door, "-", "--with-parent"] as const;
    const outcome = await admitted(() => runOnce(whole, env, JSON.stringify(request), timeoutMs));
    if (outcome.timedOut)
      throw new AppError(
        "retry",
        "referee.timeout",
        `the referee did not answer within ${timeoutMs} ms and was killed`,
      );
    return readAnswer(request.requestId, schema, outcome);
  }
  return {
    submit: async (request) => ({ verdict: await ask("judge", request, Verdict) }),
    examine: (request) => ask("examine", request, Examination),
    async collect(ticket) {
      throw new AppError(
        "operator",
        "referee.ticket",
        `a local referee gives no tickets, and cannot collect '${ticket}'`,
      );
    },
    async cancel() {
      // Nothing to cancel: submit holds the answer, and `--with-parent` ends a referee whose asker died.
    },
    price: () => 0,
  };
}

type Outcome = { code: number | null; signal: string | null; stdout: string; stderr: string; timedOut: boolean };

function readAnswer<A extends { requestId: string }>(
  requestId: string,
  schema: z.ZodType<A>,
  { code, signal, stdout, stderr }: Outcome,
): A {
  const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
  const json = parseJson(stdout);
  const refused = Refused.safeParse(json);
  if (refused.success)
    throw new AppError(
      "operator",
      "referee.request",
      `the referee refused the request: ${refused.data.error.message} (at ${refused.data.error.path})`,
    );
  const answer = schema.safeParse(json);
  if (!answer.success) {
    const tail = stderr.trim().split("\n").at(-1)?.slice(0, 300) ?? "";
    const what = json === undefined ? "no JSON" : z.prettifyError(answer.error).split("\n", 2).join(" ");
    throw new AppError(
      "retry",
      "referee.rubbish",
      `the referee ended with ${how} and answered ${what}${tail === "" ? "" : `; it said: ${tail}`}`,
    );
  }
  if (answer.data.requestId !== requestId)
    throw new AppError(
      "retry",
      "referee.rubbish",
      `the referee answered request '${answer.data.requestId}', not '${requestId}'`,
    );
  return answer.data;
}

/** Runs a command with a text on stdin in a process group of its own, and kills the group at the deadline. */
function runOnce(
  command: readonly [string, ...string[]],
  env: Readonly<Record<string, string>>,
  stdin: string,
  timeoutMs: number,
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const [file, ...args] = command;
    const child = spawn(file, args, { env, stdio: ["pipe", "pipe", "pipe"], detached: true });
    const out: Buffer[] = [];
    let size = 0;
    let stderr = "";
    let timedOut = false;
    const kill = () => {
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, "SIGKILL");
      } catch (error) {
        if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
      }
    };
    const timer = setTimeout(() => {
      timedOut = true;
      kill();
      // A grandchild that left the group may hold the pipes open for ever.
      child.stdout.destroy();
      child.stderr.destroy();
    }, timeoutMs);
    child.on("error", (error) => {
      clearTimeout(timer);
      reject(
        new AppError(
          "operator",
          "referee.start",
          `the referee cannot be started (${file}): ${error.message}; run scripts/quickstart.sh, or set --referee-python`,
          { cause: error },
        ),
      );
    });
    child.stdout.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size > longestResult) kill();
      else out.push(chunk);
    });
    child.stderr.on("data", (chunk: Buffer) => {
      stderr = (stderr + chunk.toString("utf8")).slice(-8_192);
    });
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, stdout: Buffer.concat(out).toString("utf8"), stderr, timedOut });
    });
    child.stdin.on("error", () => {
      // The referee ended before it read all; its exit code and output tell why.
    });
    child.stdin.end(stdin);
  });
}
