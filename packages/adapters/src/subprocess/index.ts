import { spawn } from "node:child_process";
import { AppError, type EvaluationRequest, parseJson, Verdict } from "@ksearch/domain";
import type { Referee } from "@ksearch/ports";
import pLimit from "p-limit";
import { z } from "zod";

export type SubprocessSettings = {
  /** The referee's command, e.g. `[".venv/bin/python", "-I", "-m", "ksearch_referee", "judge", "-"]`. */
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
  return {
    async submit(request) {
      const { code, signal, stdout, stderr, timedOut } = await admitted(() =>
        runOnce(command, env, JSON.stringify(request), request.settings.limits.totalMs + graceMs),
      );
      if (timedOut)
        throw new AppError(
          "retry",
          "referee.timeout",
          `the referee did not answer within ${request.settings.limits.totalMs + graceMs} ms and was killed`,
        );
      return { verdict: readVerdict(request, stdout, { code, signal, stderr }) };
    },
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

function readVerdict(
  request: EvaluationRequest,
  stdout: string,
  { code, signal, stderr }: Pick<Outcome, "code" | "signal" | "stderr">,
): Verdict {
  const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
  const json = parseJson(stdout);
  const refused = Refused.safeParse(json);
  if (refused.success)
    throw new AppError(
      "operator",
      "referee.request",
      `the referee refused the request: ${refused.data.error.message} (at ${refused.data.error.path})`,
    );
  const verdict = Verdict.safeParse(json);
  if (!verdict.success) {
    const tail = stderr.trim().split("\n").at(-1)?.slice(0, 300) ?? "";
    const what = json === undefined ? "no JSON" : z.prettifyError(verdict.error).split("\n", 2).join(" ");
    throw new AppError(
      "retry",
      "referee.rubbish",
      `the referee ended with ${how} and answered ${what}${tail === "" ? "" : `; it said: ${tail}`}`,
    );
  }
  if (verdict.data.requestId !== request.requestId)
    throw new AppError(
      "retry",
      "referee.rubbish",
      `the referee answered request '${verdict.data.requestId}', not '${request.requestId}'`,
    );
  return verdict.data;
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
