/**
 * `npm run chaos`: searches as in the rehearsal, in which step processes, executions, containers of the referee and
 * connections to Modal are killed, and the stores and Modal's control plane are disturbed besides.
 *
 *   npm run chaos [-- --kills N --minutes N --seed N --attempts N --lanes N --log FILE]
 *
 * Begins another search until N kills are done or the time is up. After each the rules of rehearse/compare.ts must hold: no
 * recorded answer lost, asked for again or paid again. Ends with 1 where one is broken.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { buildFunctions } from "./bundles.ts";
import { faultPlan } from "./rehearse/faults.ts";
import { onOneMachine, rehearsalSynthesis, synthesised } from "./rehearse/prepare.ts";
import { startRehearsal } from "./rehearse/stage.ts";

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "100" },
    minutes: { type: "string", default: "30" },
    seed: { type: "string", default: "1" },
    attempts: { type: "string", default: "6" },
    lanes: { type: "string", default: "2" },
    log: { type: "string" },
  },
});
/** Of one search: with more of them its steps run out of the tries that the state machine gives them. */
const killsOfOne = 16;
const every = 3;

type Kills = Record<"step" | "engine" | "container" | "connection", number>;
/** `executions`: epochs; one whose first step came twice has two. */
type Run = { seed: number; status: string; attempts: number; executions: number; wallMs: number; kills: Kills };

const say = (line: string) => process.stdout.write(`${line}\n`);
const row = (cells: readonly (string | number)[]) => say(cells.map((cell) => String(cell).padStart(10)).join(" "));
const total = (kills: Kills) => Object.values(kills).reduce((sum, one) => sum + one, 0);

const began = Date.now();
const deadlineMs = began + Number(values.minutes) * 60_000;
const runs: Run[] = [];
const violations: { seed: number; rule: string }[] = [];
const disturbed: Record<string, number> = {};
const done = () => runs.reduce((sum, { kills }) => sum + total(kills), 0);

const folder = mkdtempSync(join(tmpdir(), "ksearch-chaos-"));
try {
  say("RECORDED replies, a small judging effort; what is killed and when is drawn from the seed");
  const local = await onOneMachine(folder, values);
  const synthesis = await synthesised(rehearsalSynthesis);
  const bundles = await buildFunctions(join(folder, "bundles"));
  row([
    "seed",
    "status",
    "attempts",
    "executions",
    "seconds",
    "step",
    "engine",
    "container",
    "connection",
    "violations",
  ]);
  for (let seed = Number(values.seed); done() < Number(values.kills) && Date.now() < deadlineMs; seed += 1) {
    const own = join(folder, `${seed}`);
    mkdirSync(own);
    const plan = {
      ...faultPlan(seed, Math.min(killsOfOne, Number(values.kills) - done()), every),
      twice: seed % 4 === 0,
    };
    const rehearsal = await startRehearsal({ folder: own, synthesis, bundles, plan });
    try {
      const startMs = Date.now();
      const { state, violated } = await rehearsal.search(local);
      const { status, judged: attempts, epoch: executions } = state;
      const run: Run = { seed, status, attempts, executions, wallMs: Date.now() - startMs, kills: rehearsal.kills() };
      runs.push(run);
      violations.push(...violated.map((rule) => ({ seed, rule })));
      for (const [fault, count] of Object.entries(plan.done())) disturbed[fault] = (disturbed[fault] ?? 0) + count;
      const { step, engine, container, connection } = run.kills;
      const wallSeconds = Math.round(run.wallMs / 1_000);
      row([seed, status, attempts, executions, wallSeconds, step, engine, container, connection, violated.length]);
      for (const rule of violated) say(`  ✗ ${rule}`);
      if (violated.length > 0)
        writeFileSync(join(tmpdir(), `ksearch-chaos-${seed}.txt`), rehearsal.lambda.logs.join("\n"));
    } finally {
      await rehearsal.close();
      rmSync(own, { recursive: true, force: true });
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

const kills: Kills = { step: 0, engine: 0, container: 0, connection: 0 };
for (const run of runs) for (const kind of Object.keys(kills) as (keyof Kills)[]) kills[kind] += run.kills[kind];
const [processor] = cpus();
const report = {
  command: `npm run chaos -- --kills ${values.kills} --minutes ${values.minutes} --seed ${values.seed} --attempts ${values.attempts} --lanes ${values.lanes}`,
  date: new Date(began).toISOString().slice(0, 10),
  machine: `${processor?.model ?? "unknown processor"}, ${cpus().length} cores, Node ${process.version}`,
  recordedReplies: true,
  asked: Number(values.kills),
  done: done(),
  kills,
  disturbedRequests: disturbed,
  violations,
  runs,
};
say(`${done()} kills in ${runs.length} searches, ${violations.length} violations`);
if (values.log !== undefined) writeFileSync(values.log, `${JSON.stringify(report, null, 1)}\n`);
process.exit(violations.length > 0 ? 1 : 0);
