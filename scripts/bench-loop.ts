/**
 * Benchmarks the control plane on one machine: real stores, real engine, a model and a referee that only wait.
 *   npm run bench:loop
 * 1. Control-plane time an attempt at 100, 300 and 1,000 attempts: the whole search with answers that take no time.
 * 2. Wall clock of 64 attempts on 1, 4 and 8 lanes: model 200 ms, referee 100 ms.
 * 3. Memory of the process at 1,000 attempts. Writes results/bench-loop.json.
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import {
  bench,
  createRun,
  execute,
  fakeLlm,
  fakeReferee,
  kernelReply,
  node,
  world,
} from "../packages/workflow/test/fakes.ts";

type Measured = { attempts: number; lanes: number; wallMs: number; rssMb: number; heapMb: number };

/** A model that never runs out of ideas: every proposal brings one new node a lane. */
const endlessModel = (delayMs: number) => {
  let ideas = 0;
  return fakeLlm(delayMs, ({ purpose, slot }) => {
    if (purpose === "init") return world(24);
    if (purpose === "draft") return kernelReply(1 + (ideas % 97) / 100, slot);
    if (purpose === "refine") return '{"ops": []}';
    const ops = Array.from({ length: 8 }, () => {
      ideas += 1;
      const { parent_id: _, ...fresh } = node(`idea${ideas}`);
      return { op: "insert_node", parent_id: "root", node: fresh };
    });
    return JSON.stringify({ ops });
  });
};

/** The same port without the record of requests that a fake keeps for tests: this benchmark weighs the product's memory. */
const forgetful = <T extends { requests: unknown[] }>(fake: T): T => {
  fake.requests.push = () => 0;
  return fake;
};

async function search(attempts: number, lanes: number, llmMs: number, refereeMs: number): Promise<Measured> {
  const on = bench(forgetful(endlessModel(llmMs)), forgetful(fakeReferee(refereeMs)));
  await createRun(on, "run_bench", {
    lanes,
    budgetAttempts: attempts,
    attemptsPerNode: { base: 4, max: 4 },
    laneShare: 200,
  });
  const started = performance.now();
  const state = await execute(on, "run_bench", lanes);
  const wallMs = performance.now() - started;
  if (state.judged !== attempts)
    throw new Error(`${state.judged} of ${attempts} attempts were judged: ${state.pause?.message ?? state.reason}`);
  const { rss, heapUsed } = process.memoryUsage();
  rmSync(on.folder, { recursive: true });
  return {
    attempts,
    lanes,
    wallMs: Math.round(wallMs),
    rssMb: Math.round(rss / 2 ** 20),
    heapMb: Math.round(heapUsed / 2 ** 20),
  };
}

const show = (text: string) => process.stdout.write(`${text}\n`);
const machine = `${cpus()[0]?.model.trim() ?? "unknown"}, ${availableParallelism()} cores, Node ${process.version}`;
show(`machine: ${machine}; model and referee are simulated, stores and engine are real`);

await search(20, 4, 0, 0); // warm-up: first use of every module
show("\ncontrol plane (answers take no time, 4 lanes)");
const overhead = [];
for (const attempts of [100, 300, 1_000]) {
  const measured = await search(attempts, 4, 0, 0);
  overhead.push(measured);
  show(
    `  ${String(attempts).padStart(5)} attempts  ${(measured.wallMs / attempts).toFixed(1)} ms an attempt  ${measured.rssMb} MB resident, ${measured.heapMb} MB heap`,
  );
}
show("\nwall clock of 64 attempts (model 200 ms, referee 100 ms)");
const lanes = [];
for (const count of [1, 4, 8]) {
  const measured = await search(64, count, 200, 100);
  lanes.push(measured);
  show(
    `  ${count} lane${count === 1 ? " " : "s"}  ${(measured.wallMs / 1_000).toFixed(2)} s  ${((lanes[0]?.wallMs ?? 0) / measured.wallMs).toFixed(2)} times one lane`,
  );
}
mkdirSync("results", { recursive: true });
writeFileSync(
  "results/bench-loop.json",
  `${JSON.stringify({ command: "npm run bench:loop", machine, simulated: ["model", "referee"], overhead, lanes }, null, 2)}\n`,
);
