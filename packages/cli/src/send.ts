import { relative } from "node:path";
import {
  apply,
  attemptOf,
  attemptValues,
  bestArtifact,
  codeArtifact,
  draftCall,
  emptyTally,
  endValues,
  evaluateCall,
  type Judged,
  type KernelId,
  type LoggedEvent,
  originalScore,
  type Problem,
  type RunState,
  standing,
  type Tally,
  tallied,
  trackedRun,
  treeTable,
  Verdict,
  worldModelArtifact,
} from "@ksearch/domain";
import type { Tracker } from "@ksearch/ports";
import { Answer, getJson, keys, loadKernel, loadProblem } from "@ksearch/workflow";
import type { z } from "zod";
import type { Stores } from "./local.ts";

type Watch = {
  /** Told once where the run is shown. */
  opened: (where: string) => void;
  /** Waits for more events; false: there will be none. */
  news: () => Promise<boolean>;
};

/** Sends a run's log to a tracker, from where its record stands, until there is no news. AppError `operator` `tracker.*`. */
export async function sendRun(stores: Stores, runId: string, tracker: Tracker, { opened, news }: Watch): Promise<void> {
  const problem = await loadProblem(stores.blobs, runId);
  const folder = relative(process.cwd(), stores.root) || ".";
  const place = await tracker.run(trackedRun(await stores.log.state(runId), problem, folder));
  if (place === null) return;
  opened(place.where);
  let state: RunState | null = null;
  let tally = emptyTally;
  for (let goesOn = true; ; goesOn = await news()) {
    for (const logged of await stores.events.read(runId, state?.seq ?? 0)) {
      state = apply(state, logged);
      const judged = await judgedBy(stores, state, logged);
      const score = judged?.verdict ? originalScore(judged.verdict, problem) : null;
      tally = tallied(tally, logged.event, score);
      if (logged.seq >= place.seq) await sendEvent(stores, tracker, { state, logged, tally, problem, judged });
    }
    if (!goesOn) break;
  }
  if (state !== null)
    await tracker.finish({ values: endValues(state, tally), tables: { "ksearch-tree": treeTable(state) } });
}

type Reply = Judged & { text: string | null };

/** What lies in the store about the attempt that an event judges; null for other events. A twin has its twin's verdict. */
async function judgedBy({ blobs }: Stores, state: RunState, { event }: LoggedEvent): Promise<Reply | null> {
  if (event.type !== "attempt.judged") return null;
  const attempt = attemptOf(state, event.attempt);
  const answer = <T>(call: string, schema: z.ZodType<T>) => getJson(blobs, keys.answer(state.runId, call), schema);
  const examined = attempt.sameAs === null ? attempt : attemptOf(state, attempt.sameAs);
  const reply = await answer(draftCall(attempt), Answer);
  return {
    attempt,
    verdict: await answer(evaluateCall(examined), Verdict),
    model: reply?.model ?? null,
    text: reply?.text ?? null,
  };
}

type Happened = { state: RunState; logged: LoggedEvent; tally: Tally; problem: Problem; judged: Reply | null };

/** Sends what one event brings: files first, the row last, so that a row stands for all of it. */
async function sendEvent(
  { blobs }: Stores,
  tracker: Tracker,
  { state, logged: { event, seq }, tally, problem, judged }: Happened,
): Promise<void> {
  const kernelOf = (id: KernelId) => loadKernel(blobs, state.runId, id);
  if (event.type === "tree.initialised") await tracker.artifact(worldModelArtifact(state));
  if (judged !== null) {
    const { attempt, text } = judged;
    const isBest = state.best?.attempt === attempt.attempt;
    if (attempt.score !== null && attempt.kernelId !== null)
      await tracker.artifact(codeArtifact(state, judged, await kernelOf(attempt.kernelId), text ?? ""));
    if (isBest) await tracker.artifact(worldModelArtifact(state));
    await tracker.attempt({
      seq,
      step: state.judged,
      values: attemptValues(state, tally, problem, judged),
      tables: isBest ? { "ksearch-tree": treeTable(state) } : {},
    });
  }
  if (event.type === "run.finished") {
    const best = standing(state);
    await tracker.artifact(worldModelArtifact(state));
    if (best !== null) await tracker.artifact(bestArtifact(state, await kernelOf(best.kernelId)));
  }
}
