import { spawn } from "node:child_process";
import { AppError, parseJson } from "@ksearch/domain";
import { z } from "zod";

/** A process that answers one line of JSON with one line of JSON; `{"error": …}` is its last. */
export type Sidecar = {
  /** One exchange; the next begins when it is over. AppError `operator` `tracker.*`, after which the process is dead. */
  ask<A>(message: object, schema: z.ZodType<A>, timeoutMs: number): Promise<A>;
  /** Ends its input and waits until it has ended; kills it after `timeoutMs`. */
  end(timeoutMs: number): Promise<void>;
  kill(): void;
};

/** Longest reply that is read, characters. */
const longestReply = 65_536;

const Refusal = z.object({ error: z.string() });

/**
 * Starts a sidecar in a process group of its own: Ctrl-C on a terminal does not reach it, and `kill` reaches its children.
 * `env` is its whole environment.
 */
export function startSidecar([file, ...args]: readonly [string, ...string[]], env: Record<string, string>): Sidecar {
  const child = spawn(file, args, { env, stdio: ["pipe", "pipe", "pipe"], detached: true });
  let out = "";
  let stderr = "";
  let failure: AppError | null = null;
  let isOver = false;
  let waiting: PromiseWithResolvers<string> | null = null;
  const over = Promise.withResolvers<void>();

  const kill = () => {
    if (isOver || child.pid === undefined) return;
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
    }
    // A grandchild that left the group may hold the pipes open for ever.
    child.stdout.destroy();
    child.stderr.destroy();
  };
  const fail = (code: string, message: string): AppError => {
    failure ??= new AppError("operator", code, message);
    waiting?.reject(failure);
    waiting = null;
    kill();
    return failure;
  };
  child.on("error", (error) => {
    fail("tracker.start", `${file} cannot be started: ${error.message}`);
    over.resolve();
  });
  child.on("close", (code, signal) => {
    isOver = true;
    const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
    const said = stderr.trim().split("\n").at(-1)?.slice(0, 400) ?? "";
    fail("tracker.ended", said === "" ? `its process ended with ${how}` : said);
    over.resolve();
  });
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    stderr = (stderr + chunk).slice(-8_192);
  });
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    out += chunk;
    if (out.length > longestReply) fail("tracker.rubbish", "its process answered with too much");
    for (let end = out.indexOf("\n"); end !== -1; end = out.indexOf("\n")) {
      const line = out.slice(0, end);
      out = out.slice(end + 1);
      if (waiting === null) fail("tracker.rubbish", "its process spoke unasked");
      waiting?.resolve(line);
      waiting = null;
    }
  });
  child.stdin.on("error", () => {
    // The process ended before it read all; its exit code and last words tell why.
  });

  return {
    kill,
    async ask(message, schema, timeoutMs) {
      if (failure !== null) throw failure;
      waiting = Promise.withResolvers<string>();
      const { promise } = waiting;
      const timer = setTimeout(
        () => fail("tracker.timeout", `its process did not answer within ${timeoutMs / 1_000} s and was ended`),
        timeoutMs,
      );
      child.stdin.write(`${JSON.stringify(message)}\n`);
      const line = await promise.finally(() => clearTimeout(timer));
      const json = parseJson(line);
      const refusal = Refusal.safeParse(json);
      if (refusal.success) throw fail("tracker.failed", refusal.data.error);
      const reply = schema.safeParse(json);
      if (!reply.success) throw fail("tracker.rubbish", `its process answered '${line.slice(0, 80)}'`);
      return reply.data;
    },
    async end(timeoutMs) {
      child.stdin.end();
      const timer = setTimeout(kill, timeoutMs);
      await over.promise;
      clearTimeout(timer);
    },
  };
}
