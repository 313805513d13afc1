import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";

/** How a call ended, by the numbers of Modal's GenericStatus. */
export const status = { success: 1, failure: 2, terminated: 3, timeout: 4, internalFailure: 6 } as const;

export type Ending = { status: (typeof status)[keyof typeof status]; exception: string; returned: string | null };

export type FunctionCall = {
  id: string;
  /** The deployed function. */
  name: string;
  /** The keyword argument `request`. */
  request: string;
  ending: Ending | null;
  /** Settles when the call has ended. */
  ended: Promise<Ending>;
  end: (ending: Ending) => void;
  container: ChildProcess | null;
};

export function newCall(name: string, request: string): FunctionCall {
  const { promise, resolve } = Promise.withResolvers<Ending>();
  const call: FunctionCall = {
    id: `fc-${randomUUID()}`,
    name,
    request,
    ending: null,
    ended: promise,
    container: null,
    end: (ending) => {
      call.ending ??= ending;
      kill(call);
      resolve(call.ending);
    },
  };
  return call;
}

/** What a container is started as: the request's text on standard input, the answer's on standard output. */
export type Body = { command: readonly [string, ...string[]]; env: Readonly<Record<string, string>> };

/** Runs a call in a container of its own: a process group. A signal is a lost container, an exit code an exception. */
export function start(call: FunctionCall, { command: [file, ...args], env }: Body, timeoutMs: number): void {
  if (call.ending !== null) return;
  const container = spawn(file, args, { env, stdio: ["pipe", "pipe", "pipe"], detached: true });
  call.container = container;
  const out: Buffer[] = [];
  let said = "";
  const timer = setTimeout(
    () =>
      call.end({ status: status.timeout, exception: `the function took longer than ${timeoutMs} ms`, returned: null }),
    timeoutMs,
  );
  container.stdout.on("data", (chunk: Buffer) => out.push(chunk));
  container.stderr.on("data", (chunk: Buffer) => {
    said = (said + chunk.toString("utf8")).slice(-2_000);
  });
  container.stdin.on("error", () => {
    // It ended before it read all; how it ended tells why.
  });
  container.on("error", (error) => call.end({ status: status.failure, exception: error.message, returned: null }));
  container.on("close", (code, signal) => {
    clearTimeout(timer);
    const returned = Buffer.concat(out).toString("utf8");
    if (code === 0) call.end({ status: status.success, exception: "", returned });
    else if (signal !== null)
      call.end({ status: status.internalFailure, exception: `the container died by ${signal}`, returned: null });
    else
      call.end({ status: status.failure, exception: `RuntimeError(${JSON.stringify(said.trim())})`, returned: null });
  });
  container.stdin.end(call.request);
}

/** Kills the container of a call. False: none is at work on it. */
export function kill({ container }: FunctionCall): boolean {
  if (container?.pid === undefined || container.exitCode !== null || container.signalCode !== null) return false;
  try {
    return process.kill(-container.pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
    return false;
  }
}
