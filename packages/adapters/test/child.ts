import { spawn } from "node:child_process";

/** A real child process that runs a piece of our code: for what only another process can show (locks, kills). */
export function inChild(code: string, env: NodeJS.ProcessEnv = process.env) {
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", "--input-type=module", "-e", code], {
    stdio: ["ignore", "pipe", "pipe"],
    env,
    cwd: import.meta.dirname,
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const ended = new Promise<{ code: number | null; signal: string | null; stdout: string; stderr: string }>(
    (resolve) => {
      child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
    },
  );
  return {
    ended,
    kill: () => child.kill("SIGKILL"),
    /** Resolves once the child has printed this; rejects if it ends without. */
    says: (pattern: RegExp): Promise<void> =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (pattern.test(stdout)) resolve();
        };
        child.stdout.on("data", look);
        child.on("close", () =>
          pattern.test(stdout)
            ? resolve()
            : reject(new Error(`the child ended without ${pattern}: ${stdout}${stderr}`)),
        );
        look();
      }),
  };
}
