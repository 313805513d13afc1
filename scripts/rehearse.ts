/**
 * `npm run rehearse`: the cloud's search on one machine, and beside it the same search on the one-machine engine.
 *
 *   npm run rehearse [-- --attempts N --lanes N --seed N --faults --kills N --log FILE]
 *
 * Real: the synthesised state machine document, the built Lambda bundles in processes of their own, DynamoDB Local, an S3
 * server, Modal's SDK, the referee on this CPU. Emulated: Step Functions, Lambda's Invoke call, Modal's control plane.
 * RECORDED: the model's replies. Ends with 1 where the two searches differ in kind.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { RunState } from "@ksearch/domain";
import { buildFunctions } from "./bundles.ts";
import { differences } from "./rehearse/compare.ts";
import { type FaultPlan, faultPlan, noFaults } from "./rehearse/faults.ts";
import { onOneMachine, rehearsalSynthesis, synthesised } from "./rehearse/prepare.ts";
import { type Rehearsal, startRehearsal } from "./rehearse/stage.ts";

const { values } = parseArgs({
  options: {
    attempts: { type: "string", default: "24" },
    lanes: { type: "string", default: "4" },
    seed: { type: "string", default: "1" },
    faults: { type: "boolean", default: false },
    kills: { type: "string", default: "0" },
    log: { type: "string" },
    synthesis: { type: "string", default: rehearsalSynthesis },
  },
});

const say = (line: string) => process.stdout.write(`${line}\n`);
const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;

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
  const local = await onOneMachine(folder, values);
  say(`  ${local.events.length} events in ${seconds(performance.now() - began)}`);

  const plan: FaultPlan =
    values.faults || Number(values.kills) > 0 ? faultPlan(Number(values.seed), Number(values.kills)) : noFaults;
  const synthesis = await synthesised(values.synthesis);
  const bundles = await buildFunctions(join(folder, "bundles"));
  say(`the cloud, rehearsed: ${bundles.length} bundles${plan === noFaults ? "" : ", with faults"}`);
  const rehearsal = await startRehearsal({ folder, synthesis, bundles, plan });
  try {
    began = performance.now();
    const { state, events, violated } = await rehearsal.search(local);
    const wallMs = performance.now() - began;
    tell(rehearsal, state, wallMs);
    for (const [fault, count] of Object.entries(plan.done())) say(`  fault: ${fault}: ${count}`);
    for (const [kind, count] of Object.entries(rehearsal.kills())) if (count > 0) say(`  killed: ${kind}: ${count}`);
    const wrong = [...violated, ...differences(local.events, events, plan !== noFaults)];
    failed = wrong.length > 0;
    for (const line of wrong) say(`  ✗ ${line}`);
    if (!failed) say(`  ✓ the same kinds of events, the same rules, nothing recorded was lost or paid again`);
    if (values.log !== undefined)
      writeFileSync(values.log, `${JSON.stringify(await rehearsal.record(local.options, state, wallMs), null, 1)}\n`);
    if (failed) writeFileSync(join(tmpdir(), "ksearch-rehearsal-logs.txt"), rehearsal.lambda.logs.join("\n"));
  } finally {
    await rehearsal.close();
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);
