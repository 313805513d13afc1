import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import {
  AppError,
  confirmCall,
  type Kernel,
  messageOf,
  type Problem,
  problemName,
  type RunState,
  repliesFrom,
  standing,
  toSolution,
  Verdict,
} from "@ksearch/domain";
import type { Referee } from "@ksearch/ports";
import { getJson, keys, loadKernel, loadProblem, putJson } from "@ksearch/workflow";
import { z } from "zod";
import { taskFolder } from "./continue.ts";
import { readFlashInfer, type Stores, saveSolution, saveTraces } from "./local.ts";
import { verdictOf } from "./verdict.ts";

/** What is asked for beside the search itself: K-Search's final evaluation and what it leaves (spec/ksearch.md 5.2, 6). */
const Wishes = z.strictObject({
  /** The user's FlashInfer-Bench dataset, whose other workloads are evaluated, too; null: none. */
  dataset: z.string().nullable(),
  /** So many of its workloads at most; null: all. */
  numEvalWorkload: z.int().positive().nullable(),
  saveResults: z.boolean(),
  saveSolutions: z.boolean(),
  /** The folders of judgements stay, under the run. */
  keepFolders: z.boolean(),
});
export type Wishes = z.infer<typeof Wishes>;

const wishesKey = (runId: string): string => `runs/${runId}/wishes.json`;

/** Keeps the wishes beside their run, so that a resumed run does the same. */
export const keepWishes = ({ blobs }: Stores, runId: string, wishes: Wishes) =>
  putJson(blobs, wishesKey(runId), wishes);

/** The wishes of a run; null: it has none. */
export const wishesOf = ({ blobs }: Stores, runId: string): Promise<Wishes | null> =>
  getJson(blobs, wishesKey(runId), Wishes);

/** Where the folders of judgements stay; null: they are removed. */
export async function keptFolders(stores: Stores, runId: string): Promise<string | null> {
  const wishes = await wishesOf(stores, runId);
  return wishes?.keepFolders ? join(stores.folder, "runs", runId, "judgements") : null;
}

/** Does what was asked for when the search has ended with a kernel; returns what was written, a line each. */
export async function afterwards(stores: Stores, runId: string, referee: Referee): Promise<string[]> {
  const wishes = await wishesOf(stores, runId);
  const state = await stores.log.state(runId);
  const best = standing(state);
  if (wishes === null || best === null || state.status !== "succeeded") return [];
  const problem = await loadProblem(stores.blobs, runId);
  const kernel = await loadKernel(stores.blobs, runId, best.kernelId);
  const name = `${state.options.modelLabel}_${state.problem}_${runId}`.replace(/[^A-Za-z0-9_.-]+/g, "_");
  const about = { name, author: "ksearch", description: `${repliesFrom(state.options)}, run ${runId}` };
  const written: string[] = [];
  if (wishes.saveSolutions) {
    const folder = join(taskFolder(stores.folder, problem), "solutions", problemName(problem));
    written.push(write(join(folder, `${name}.json`), toSolution(kernel, about)));
  }
  if (!wishes.saveResults) return written;
  try {
    const verdict = await finalVerdict(stores, state, problem, kernel, wishes, referee);
    if (verdict === null) return written;
    const atMs = stores.now();
    const stamp = stores.iso(atMs).replace(/\D/g, "").slice(0, 14);
    const folder = join(taskFolder(stores.folder, problem), "eval", problemName(problem));
    written.push(write(join(folder, `eval_report_${stamp}_${name}.json`), evalReport(state, name, verdict)));
    if (wishes.dataset === null) return written;
    written.push(saveSolution(wishes.dataset, kernel, about));
    const traces = saveTraces(wishes.dataset, {
      definition: problemName(problem),
      solution: name,
      author: about.author,
      verdict,
      statistic: state.options.evaluation.timing.statistic,
      timestamp: stores.iso(atMs),
    });
    if (traces !== null) written.push(traces);
  } catch (error) {
    // The search has ended well: what could not be evaluated or written after it is told, and its record stands.
    if (!(error instanceof AppError)) throw error;
    written.push(`not all of the final evaluation was written: ${error.message}`);
  }
  return written;
}

/** The winner on all workloads of the dataset; without more of them than the search had, its last confirmation. */
async function finalVerdict(
  stores: Stores,
  state: RunState,
  problem: Problem,
  kernel: Kernel,
  { dataset, numEvalWorkload }: Wishes,
  referee: Referee,
): Promise<Verdict | null> {
  const duel = state.duels.findLastIndex(({ kernelId }) => kernelId === standing(state)?.kernelId);
  const confirmed =
    duel === -1 ? null : await getJson(stores.blobs, keys.answer(state.runId, confirmCall(duel + 1)), Verdict);
  if (dataset === null || problem.format !== "flashinfer") return confirmed;
  const choice = numEvalWorkload === null ? ("all" as const) : { first: numEvalWorkload };
  const all = readFlashInfer(dataset, problemName(problem), choice).problem;
  const { workloads } = all;
  const searched = new Set(problem.workloads.map(({ uuid }) => uuid));
  if (confirmed !== null && workloads.length === searched.size && workloads.every(({ uuid }) => searched.has(uuid)))
    return confirmed;
  const { evaluation, device } = state.options;
  return verdictOf(referee, {
    schema: "ksearch.request/1",
    requestId: `${state.runId}/final`,
    problem: all,
    kernel,
    incumbent: null,
    // The baseline's times are those of the workloads that the search had.
    settings: { ...evaluation, aggregate: "geomean_speedup", baselineNs: null },
    device,
  });
}

/** The report of a final evaluation, with the original's field names. */
function evalReport(state: RunState, solution: string, verdict: Verdict): object {
  const { baselineNs } = state.options.evaluation;
  const hardware = verdict.env.gpu ?? verdict.env.cpu;
  const rows = verdict.workloads.map(({ id, axes, status, call, referenceCall, speedup }) => {
    const baseline = baselineNs?.[id];
    return {
      workload_uuid: id,
      axes,
      status,
      latency_ms: call === null ? null : call.medianNs / 1e6,
      ref_latency_ms: referenceCall === null ? null : referenceCall.medianNs / 1e6,
      speedup,
      vs_base: baseline === undefined || call === null ? null : baseline / call.medianNs,
      hardware,
    };
  });
  const mean = (values: (number | null)[]): number | null => {
    const known = values.filter((value) => value !== null);
    return known.length === 0 || known.length < values.length ? null : known.reduce((a, b) => a + b, 0) / known.length;
  };
  return {
    run: state.runId,
    definition: state.problem,
    solution,
    model: repliesFrom(state.options),
    status: verdict.status,
    baseline: state.options.baseline,
    mean_latency_ms: mean(rows.map((row) => row.latency_ms)),
    mean_speedup: mean(rows.map((row) => row.speedup)),
    mean_vs_baseline: mean(rows.map((row) => row.vs_base)),
    workloads: rows,
  };
}

/** Writes a JSON file and returns its path. AppError `operator`: the folder cannot be written. */
function write(path: string, value: object): string {
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);
  } catch (error) {
    throw new AppError("operator", "store.write", `${path} cannot be written: ${messageOf(error)}`, { cause: error });
  }
  return path;
}
