import { type ChildProcess, fork } from "node:child_process";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import type { Bundle } from "../bundles.ts";

/**
 * Lambda's Invoke call on loopback: every function is its built bundle in processes of their own, one invocation at a time
 * each, kept warm. An emulation; memory, CPU and cold starts are those of this machine.
 */
export type Invoked = {
  name: string;
  ms: number;
  isCold: boolean;
  importMs: number;
  outcome: "ok" | "error" | "killed";
};

export type LambdaServer = {
  url: string;
  /** Kills the container that works on the n-th invocation if `pick` says so: before it begins, or while it is at it. */
  killWhen: (pick: (nth: number) => "before" | "during" | null) => void;
  invoked: Invoked[];
  logs: string[];
  close: () => Promise<void>;
};

type Container = { child: ChildProcess; importMs: number; isCold: boolean };
type Answer = { result: unknown } | { error: { errorType: string; errorMessage: string } };

const bootstrap = fileURLToPath(new URL("container.ts", import.meta.url));

export async function startLambda(
  bundles: readonly Bundle[],
  environment: (name: string) => Record<string, string>,
  timeoutMs: number,
): Promise<LambdaServer> {
  const idle = new Map<string, Container[]>();
  const all = new Set<ChildProcess>();
  const invoked: Invoked[] = [];
  const logs: string[] = [];
  let pick: (nth: number) => "before" | "during" | null = () => null;
  let count = 0;

  const newContainer = async (bundle: Bundle): Promise<Container> => {
    const child = fork(bootstrap, [bundle.path], {
      env: environment(bundle.name),
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      execArgv: ["--disable-warning=ExperimentalWarning"],
    });
    all.add(child);
    child.once("exit", () => all.delete(child));
    // A message to a process that has just died; its exit says the same.
    child.on("error", (error) => logs.push(String(error)));
    let said = "";
    for (const stream of [child.stdout, child.stderr])
      stream?.on("data", (chunk: Buffer) => {
        said = `${said}${chunk}`.slice(-2_000);
        logs.push(...String(chunk).split("\n").filter(Boolean));
      });
    return new Promise((resolve, reject) => {
      child.once("message", ({ importMs }: { importMs: number }) => resolve({ child, importMs, isCold: true }));
      child.once("exit", (code) => reject(new Error(`${bundle.name} did not start (${code}): ${said}`)));
    });
  };

  const work = ({ child }: Container, name: string, event: unknown, kill: boolean): Promise<Answer> =>
    new Promise((resolve) => {
      const timer = setTimeout(() => {
        child.kill("SIGKILL");
        end({
          error: { errorType: "Sandbox.Timedout", errorMessage: `Task timed out after ${timeoutMs / 1000} seconds` },
        });
      }, timeoutMs);
      const onExit = () =>
        end({ error: { errorType: "Runtime.ExitError", errorMessage: "Runtime exited with error: signal: killed" } });
      const onMessage = (answer: Answer) => end(answer);
      const end = (answer: Answer) => {
        clearTimeout(timer);
        clearTimeout(killer);
        child.off("exit", onExit).off("message", onMessage);
        resolve(answer);
      };
      child.once("exit", onExit).once("message", onMessage);
      child.send({ id: count, event, name, deadlineMs: Date.now() + timeoutMs });
      // Anywhere in what steps do, which takes them some 20 to 200 ms; one that is done before lives on.
      const killer = kill ? setTimeout(() => child.kill("SIGKILL"), 5 + ((count * 37) % 200)) : undefined;
    });

  const invoke = async (name: string, event: unknown): Promise<Answer> => {
    const bundle = bundles.find((one) => one.name === name);
    if (bundle === undefined) throw new Error(`there is no function ${name}`);
    count += 1;
    const fate = pick(count);
    const container = idle.get(name)?.pop() ?? (await newContainer(bundle));
    const began = performance.now();
    if (fate === "before") container.child.kill("SIGKILL");
    const answer = await work(container, name, event, fate === "during");
    const outcome = "result" in answer ? "ok" : answer.error.errorType === "Runtime.ExitError" ? "killed" : "error";
    invoked.push({
      name,
      ms: performance.now() - began,
      isCold: container.isCold,
      importMs: container.isCold ? container.importMs : 0,
      outcome,
    });
    container.isCold = false;
    if (container.child.connected && !container.child.killed) idle.set(name, [...(idle.get(name) ?? []), container]);
    return answer;
  };

  const server = createServer(async (request, response) => {
    const [, name = ""] = /^\/2015-03-31\/functions\/([^/]+)\/invocations$/.exec(request.url ?? "") ?? [];
    try {
      const answer = await invoke(name, JSON.parse(await text(request)));
      const isError = "error" in answer;
      response.writeHead(200, {
        "content-type": "application/json",
        ...(isError ? { "x-amz-function-error": "Unhandled" } : {}),
      });
      response.end(JSON.stringify(isError ? answer.error : answer.result));
    } catch (error) {
      response.writeHead(500, { "x-amzn-errortype": "ServiceException" }).end(String(error));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    killWhen: (when) => {
      pick = when;
    },
    invoked,
    logs,
    close: async () => {
      for (const child of all) child.kill("SIGKILL");
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** What a Task of Step Functions does with a function: errors get the names that AWS gives them. */
export async function invokeTask(url: string, name: string, input: unknown): Promise<unknown> {
  const response = await fetch(`${url}/2015-03-31/functions/${name}/invocations`, {
    method: "POST",
    body: JSON.stringify(input),
  });
  const body = await response.text();
  const named = (error: string, cause: string) => Object.assign(new Error(cause), { name: error });
  if (response.status !== 200) throw named("Lambda.ServiceException", body);
  if (!response.headers.has("x-amz-function-error")) return JSON.parse(body);
  throw named((JSON.parse(body) as { errorType: string }).errorType, body);
}
