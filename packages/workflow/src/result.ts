import {
  confirmCall,
  type RunState,
  repliesFrom,
  reportMarkdown,
  standing,
  toSolution,
  Verdict,
  worldModelFile,
} from "@ksearch/domain";
import type { Blobs } from "@ksearch/ports";
import { getJson, keys, loadKernel, loadProblem, putJson, resultFolder } from "./store.ts";

/** Writes what a run has found into {@link resultFolder}: report, world model, and the best kernel with its verdict. */
export async function writeResult(blobs: Blobs, state: RunState): Promise<void> {
  const { runId } = state;
  const problem = await loadProblem(blobs, runId);
  const bestId = standing(state)?.kernelId ?? null;
  const duel = state.duels.findLastIndex((one) => one.kernelId === bestId);
  const verdict = duel === -1 ? null : await getJson(blobs, keys.answer(runId, confirmCall(duel + 1)), Verdict);
  const put = (file: string, content: unknown) => putJson(blobs, `${resultFolder(state)}/${file}`, content);
  await put("report.md", reportMarkdown(state, problem, verdict));
  const model = repliesFrom(state.options);
  await put("world_model.json", { ...worldModelFile(state), run: runId, model });
  if (bestId === null) return;
  const kernel = await loadKernel(blobs, runId, bestId);
  await put("solution.json", toSolution(kernel, { name: `${runId}_${bestId}`, author: "ksearch", description: model }));
  if (verdict !== null) await put("verdict.json", verdict);
  for (const { path, content } of kernel.files) await put(`kernel/${path}`, content);
}
