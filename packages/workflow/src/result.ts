import {
  attemptOf,
  confirmCall,
  evaluateCall,
  type KernelId,
  type RunReport,
  type RunState,
  repliesFrom,
  reportHtml,
  reportMarkdown,
  seedCall,
  standing,
  toSolution,
  Verdict,
  verdictOn,
  worldModelFile,
} from "@ksearch/domain";
import type { Blobs } from "@ksearch/ports";
import type { Deps } from "./deps.ts";
import { getJson, keys, loadKernel, loadProblem, putJson, resultFolder } from "./store.ts";

type Read = Pick<Deps, "blobs" | "money" | "iso">;

/** Writes what a run has found into {@link resultFolder}: reports, world model, and the best kernel with its verdict. */
export async function writeResult(deps: Read, state: RunState): Promise<void> {
  const { blobs } = deps;
  const { runId } = state;
  const report = await loadReport(deps, state);
  const put = (file: string, content: unknown) => putJson(blobs, `${resultFolder(state)}/${file}`, content);
  await put("report.md", reportMarkdown(report));
  await put("report.html", reportHtml(report));
  const model = repliesFrom(state.options);
  await put("world_model.json", { ...worldModelFile(state), run: runId, model });
  if (report.winner === null) return;
  const { kernel, kernelId, verdict } = report.winner;
  const name = `${runId}_${kernelId}`;
  await put("solution.json", toSolution(kernel, { name, author: "ksearch", description: model }));
  if (verdict !== null) await put("verdict.json", verdict);
  for (const { path, content } of kernel.files) await put(`kernel/${path}`, content);
}

/** All that a report of a run is made of, for any run in any state; without diffs. */
export async function loadReport({ blobs, money, iso }: Read, state: RunState): Promise<RunReport> {
  const { runId } = state;
  const best = standing(state);
  return {
    state,
    problem: await loadProblem(blobs, runId),
    winner: best && {
      ...best,
      kernel: await loadKernel(blobs, runId, best.kernelId),
      verdict: await loadVerdict(blobs, state, best.kernelId),
    },
    usage: await money.rows(runId),
    diffs: [],
    startedAt: iso(state.startedAtMs),
  };
}

/**
 * The verdict on a kernel: of its last confirmation, else of the search. With an attempt, the one that the attempt got.
 * Null: there is none.
 */
export async function loadVerdict(
  blobs: Blobs,
  state: RunState,
  kernelId: KernelId,
  attempt?: number,
): Promise<Verdict | null> {
  const duel = attempt === undefined ? state.duels.findLastIndex((one) => one.kernelId === kernelId) : -1;
  const given = attempt === undefined ? verdictOn(state, kernelId) : attemptOf(state, attempt);
  const judged = given && given.sameAs !== null ? attemptOf(state, given.sameAs) : given;
  const seed = state.seed?.kernelId === kernelId ? seedCall : null;
  const call = duel >= 0 ? confirmCall(duel + 1) : judged ? evaluateCall(judged) : seed;
  return call === null ? null : getJson(blobs, keys.answer(state.runId, call), Verdict);
}
