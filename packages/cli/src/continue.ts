import { existsSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import {
  AppError,
  bestImported,
  type Continuation,
  type ImportedSolution,
  type Kernel,
  type Problem,
  problemDigest,
  problemName,
  type RunOptions,
  type RunState,
  readContinuation,
  readKernel,
  standing,
} from "@ksearch/domain";
import { loadKernel } from "@ksearch/workflow";
import { type Reading, readCandidate } from "./candidates.ts";
import { findSolution, type Stores } from "./local.ts";
import { readJson, readText } from "./text.ts";

/** What a run begins with instead of nothing. */
export type Beginning = { seed: Kernel | null; world?: { continuation: Continuation; from: string } | undefined };

export type ContinueFlags = {
  continueFromSolution?: string | undefined;
  continueFromWorldModel?: string | undefined;
};

/** A problem's folder among artifacts, as the original names it (spec/ksearch.md 6). */
export const taskFolder = (root: string, problem: Problem): string =>
  join(root, problemName(problem).replace(/[^A-Za-z0-9_.-]/g, "_"));

/**
 * The kernel and the world model that the flags name. With a world model alone, its best kernel is judged first, so that
 * the run knows what it has to beat. AppError `caller`: there is no such thing, or it is for another problem.
 */
export async function beginning(
  stores: Stores,
  problem: Problem,
  options: RunOptions,
  dataset: string | null,
  flags: ContinueFlags,
): Promise<Beginning> {
  const world =
    flags.continueFromWorldModel === undefined
      ? undefined
      : await worldModel(stores, problem, options, flags.continueFromWorldModel);
  const given = flags.continueFromSolution;
  const reading: Reading = { language: options.language, targetHardware: options.device };
  if (given !== undefined) return { seed: await seedKernel(stores, problem, reading, dataset, given), world };
  return { seed: world ? bestImported(world.continuation) : null, world };
}

/** A solution's file, its name among the artifacts or in the dataset, or a run whose best kernel it is. */
async function seedKernel(
  stores: Stores,
  problem: Problem,
  reading: Reading,
  dataset: string | null,
  given: string,
): Promise<Kernel> {
  if (existsSync(given)) return readCandidate(given, problem, reading);
  const name = problemName(problem);
  const saved = join(taskFolder(stores.folder, problem), "solutions", name, `${given}.json`);
  if (existsSync(saved)) return readCandidate(saved, problem, reading);
  const run = await stores.runs.get(given);
  if (run !== null) {
    const best = standing(await stores.log.state(given));
    if (run.problem !== name) throw new AppError("caller", "solution.problem", `${given} is a run on '${run.problem}'`);
    if (best === null) throw new AppError("caller", "solution.none", `${given} has no kernel that stands`);
    return loadKernel(stores.blobs, given, best.kernelId);
  }
  if (dataset !== null) return findSolution(dataset, name, given);
  throw new AppError(
    "caller",
    "solution.unknown",
    `there is no solution '${given}': neither a file, nor ${saved}, nor a run`,
  );
}

async function worldModel(
  stores: Stores,
  problem: Problem,
  options: RunOptions,
  given: string,
): Promise<NonNullable<Beginning["world"]>> {
  const snapshot = join(taskFolder(stores.folder, problem), "world_model", "world_model.json");
  if (given === "auto") {
    if (existsSync(snapshot)) return fromFile(snapshot, problem, options);
    const name = problemName(problem);
    const runs = await stores.runs.list(1_000);
    for (const { id, problem: of } of runs) {
      if (of !== name) continue;
      const state = await stores.log.state(id);
      if (state.initialised) return fromRun(stores, state, problem, options);
    }
    throw new AppError(
      "caller",
      "world.none",
      `there is no world model of '${name}' to go on from: neither ${snapshot} nor a run of it in ${stores.root}`,
    );
  }
  if (existsSync(given)) {
    const path = statSync(given).isDirectory() ? join(given, "world_model.json") : given;
    return fromFile(path, problem, options);
  }
  if ((await stores.runs.get(given)) === null)
    throw new AppError("caller", "world.unknown", `there is no world model '${given}': neither a file nor a run`);
  return fromRun(stores, await stores.log.state(given), problem, options);
}

/** A snapshot of the original or of `ksearch export`, with the `solution_db.jsonl` beside it. */
function fromFile(path: string, problem: Problem, options: RunOptions): NonNullable<Beginning["world"]> {
  const rows = join(dirname(path), "solution_db.jsonl");
  const { language, device, evaluation } = options;
  const continuation = readContinuation(
    readJson(path, "world model"),
    existsSync(rows) ? readText(rows, "solution rows") : "",
    {
      definition: problemName(problem),
      kernelOf: (code) => readKernel(code, { problem, language, targetHardware: device }),
      scoreName: evaluation.aggregate,
      device,
    },
  );
  if (continuation === null)
    throw new AppError("caller", "world.invalid", `${path} holds no world model: no decision_tree with nodes`);
  return { continuation, from: path };
}

/** The world model of a run of our own, its kernels as they are; scores only where they were measured as here. */
async function fromRun(
  stores: Stores,
  state: RunState,
  problem: Problem,
  options: RunOptions,
): Promise<NonNullable<Beginning["world"]>> {
  const { tree, runId } = state;
  if (state.problem !== problemName(problem))
    throw new AppError(
      "caller",
      "world.problem",
      `${runId} is a run on '${state.problem}', not on '${problemName(problem)}'`,
    );
  if (!state.initialised) throw new AppError("caller", "world.none", `${runId} has no world model to go on from`);
  const isComparable =
    state.problemDigest === problemDigest(problem) &&
    state.options.device === options.device &&
    state.options.evaluation.aggregate === options.evaluation.aggregate;
  const solved = [...tree.nodes.values()].flatMap(({ nodeId, solution }) => (solution ? [{ nodeId, solution }] : []));
  const solutions = await Promise.all(
    solved.map(async ({ nodeId, solution }): Promise<ImportedSolution> => {
      const { kernelId, score, vsBaseline } = solution;
      const kernel = await loadKernel(stores.blobs, runId, kernelId);
      const measured = isComparable ? { score, vsBaseline } : { score: null, vsBaseline: null };
      return { nodeId, kernel, ...measured, recordedScore: score };
    }),
  );
  return { continuation: { tree, solutions, repairs: [] }, from: runId };
}
