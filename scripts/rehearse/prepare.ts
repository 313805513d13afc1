import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type LoggedEvent, Problem, type RunEvent, RunOptions } from "@ksearch/domain";

/** This repository. */
export const root = fileURLToPath(new URL("../..", import.meta.url));
const problemName = "gqa_paged_decode_h8_kv2_d64_ps1_f32";
/** RECORDED replies of a model. */
export const transcript = join(root, "problems/flashinfer/transcripts", `${problemName}.jsonl`);
export const rehearsalSynthesis = join(root, ".sst/synth/rehearsal.json");

export type Search = { attempts: string; lanes: string; seed: string };

/** The search on the one-machine engine, through the command line; what the cloud then does again. */
export async function onOneMachine(folder: string, { attempts, lanes, seed }: Search) {
  const main = join(root, "packages/cli/src/main.ts");
  const at = ["--artifacts-dir", join(folder, ".ksearch"), "--json"];
  const cli = async (...args: string[]) => {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ["--disable-warning=ExperimentalWarning", main, ...args],
      { cwd: root, maxBuffer: 1 << 28 },
    );
    return stdout;
  };
  const few = ["--warmup-runs", "1", "--iterations", "3", "--num-trials", "1"];
  const search = ["--world-model", "--lanes", lanes, "--budget-attempts", attempts, "--seed", seed];
  await cli("run", problemName, ...search, ...few, "--transcript", transcript, ...at);
  const { runId, events } = JSON.parse(await cli("show", ...at)) as { runId: string; events: LoggedEvent[] };
  const problem = Problem.parse(JSON.parse(readFileSync(join(folder, ".ksearch/runs", runId, "problem.json"), "utf8")));
  const created = events.find(({ event }) => event.type === "run.created")?.event as Extract<
    RunEvent,
    { type: "run.created" }
  >;
  return { events, problem, options: RunOptions.parse(created.options) };
}

/** The synthesised stage in a file: that of `rehearsal` is made anew, from stacks/ as they are. */
export async function synthesised(path: string): Promise<unknown> {
  if (path === rehearsalSynthesis || !existsSync(path)) await synthesise();
  return JSON.parse(readFileSync(path, "utf8"));
}

/** Writes `rehearsalSynthesis` from stacks/ as they are. */
const synthesise = () =>
  promisify(execFile)("npm", ["run", "--silent", "synth", "--", "--stage", "rehearsal"], { cwd: root });
