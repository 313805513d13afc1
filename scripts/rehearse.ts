/**
 * `npm run rehearse`: the cloud's search on one machine, and beside it the same search on the one-machine engine.
 *
 *   npm run rehearse [-- --attempts N --lanes N --seed N --faults --kills N --log FILE]
 *
 * Real: the synthesised state machine document, the built Lambda bundles in processes of their own, DynamoDB Local, an S3
 * server, Modal's SDK, the referee on this CPU. Emulated: Step Functions, Lambda's Invoke call, Modal's control plane.
 * RECORDED: the model's replies. Ends with 1 where the two searches differ in kind.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { type LoggedEvent, Problem, type RunEvent, RunOptions, type RunState } from "@ksearch/domain";
import { buildFunctions } from "./bundles.ts";
import { differences, violations } from "./rehearse/compare.ts";
import { type FaultPlan, faultPlan, noFaults } from "./rehearse/faults.ts";
import { type Rehearsal, startRehearsal } from "./rehearse/stage.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const problemName = "gqa_paged_decode_h8_kv2_d64_ps1_f32";
const transcript = join(root, "problems/flashinfer/transcripts", `${problemName}.jsonl`);

const { values } = parseArgs({
  options: {
    attempts: { type: "string", default: "24" },
    lanes: { type: "string", default: "4" },
    seed: { type: "string", default: "1" },
    faults: { type: "boolean", default: false },
    kills: { type: "string", default: "0" },
    log: { type: "string" },
  },
});

const say = (line: string) => process.stdout.write(`${line}\n`);
const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;

/** The search on the one-machine engine, through the command line; what the cloud then does again. */
async function onOneMachine(folder: string) {
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
  const search = [
    "--world-model",
    "--lanes",
    values.lanes,
    "--budget-attempts",
    values.attempts,
    "--seed",
    values.seed,
  ];
  await cli("run", problemName, ...search, ...few, "--transcript", transcript, ...at);
  const { runId, events } = JSON.parse(await cli("show", ...at)) as { runId: string; events: LoggedEvent[] };
  const problem = Problem.parse(JSON.parse(readFileSync(join(folder, ".ksearch/runs", runId, "problem.json"), "utf8")));
  const created = events.find(({ event }) => event.type === "run.created")?.event as Extract<
    RunEvent,
    { type: "run.created" }
  >;
  return { events, problem, options: RunOptions.parse(created.options) };
}

async function synthesised(): Promise<unknown> {
  await promisify(execFile)("npm", ["run", "--silent", "synth", "--", "--stage", "rehearsal"], { cwd: root });
  return JSON.parse(readFileSync(join(root, ".sst/synth/rehearsal.json"), "utf8"));
}

function tell(rehearsal: Rehearsal, state: RunState, wallMs: number): void {
  const { lambda, counts, happenings } = rehearsal;
  const entered = happenings.filter(({ type }) => type === "StateEntered").length;
  const killed = lambda.invoked.filter(({ outcome }) => outcome === "killed").length;
  say(
    `  ${state.status} after ${seconds(wallMs)}: ${state.judged} attempts, best ${state.best?.score.toFixed(2)} times the reference`,
  );
  say(
    `  ${entered} states entered, ${lambda.invoked.length} invocations (${killed} killed) in ${lambda.invoked.filter(({ isCold }) => isCold).length} containers`,
  );
  for (const [service, count] of Object.entries(counts))
    say(
      `  ${service}: ${count.requests} requests, ${(count.bytes / 1e6).toFixed(2)} MB sent, ${count.faults} disturbed`,
    );
}

const folder = mkdtempSync(join(tmpdir(), "ksearch-rehearsal-"));
let failed = false;
try {
  say(`RECORDED replies, a small judging effort: the figures are of the machinery, not of kernels`);
  say(`one machine: ${values.attempts} attempts on ${values.lanes} lanes`);
  let began = performance.now();
  const local = await onOneMachine(folder);
  say(`  ${local.events.length} events in ${seconds(performance.now() - began)}`);

  const plan: FaultPlan =
    values.faults || Number(values.kills) > 0 ? faultPlan(Number(values.seed), Number(values.kills)) : noFaults;
  const synthesis = await synthesised();
  const bundles = await buildFunctions(join(folder, "bundles"));
  say(`the cloud, rehearsed: ${bundles.length} bundles${plan === noFaults ? "" : ", with faults"}`);
  const rehearsal = await startRehearsal({ root, folder, synthesis, bundles, transcript, plan });
  try {
    began = performance.now();
    const { state, events } = await rehearsal.search(local);
    const wallMs = performance.now() - began;
    tell(rehearsal, state, wallMs);
    for (const [fault, count] of Object.entries(plan.done())) say(`  fault: ${fault}: ${count}`);
    const wrong = [
      ...rehearsal.denied().map((wish) => `the synthesised roles do not permit ${wish}`),
      ...violations({
        state,
        events,
        asked: rehearsal.asked(),
        money: await rehearsal.money(),
        faulty: plan !== noFaults,
      }),
      ...differences(local.events, events, plan !== noFaults),
    ];
    failed = wrong.length > 0;
    for (const line of wrong) say(`  ✗ ${line}`);
    if (!failed) say(`  ✓ the same kinds of events, the same rules, nothing recorded was lost or paid again`);
    if (values.log !== undefined)
      writeFileSync(values.log, JSON.stringify(rehearsal.record(local.options, state, wallMs), null, 1));
    if (failed) writeFileSync(join(tmpdir(), "ksearch-rehearsal-logs.txt"), rehearsal.lambda.logs.join("\n"));
  } finally {
    await rehearsal.close();
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);
