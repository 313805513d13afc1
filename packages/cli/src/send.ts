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
  hasWorldModel,
  type Judged,
  type KernelId,
  type LoggedEvent,
  originalScore,
  type Problem,
  type RunFacts,
  type RunState,
  standing,
  type Tally,
  type TrackedTables,
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
import { wishesOf } from "./wishes.ts";

type Watch = {
  /** Told once where the run is shown. */
  opened: (where: string) => void;
  /** Waits for more events; false: there will be none. */
  news: () => Promise<boolean>;
};

/** Sends a run's log to a tracker, from where its record stands, until there is no news. AppError `operator` `tracker.*`. */
export async function sendRun(stores: Stores, runId: string, tracker: Tracker, { opened, news }: Watch): Promise<void> {
  const problem = await loadProblem(stores.blobs, runId);
  const facts = await factsOf(stores, runId);
  const place = await tracker.run(trackedRun(await stores.log.state(runId), problem, facts));
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
  if (state !== null) await tracker.finish({ values: endValues(state, tally), tables: treeOf(state) });
}

const treeOf = (state: RunState): TrackedTables =>
  hasWorldModel(state.options) ? { "ksearch-tree": treeTable(state) } : {};

/** What was asked for beside the search itself. */
async function factsOf(stores: Stores, runId: string): Promise<RunFacts> {
  const wishes = await wishesOf(stores, runId);
  const imported = (await stores.events.read(runId, 0)).find(({ event }) => event.type === "tree.imported")?.event;
  return {
    artifacts_dir: relative(process.cwd(), stores.folder) || ".",
    continue_from_world_model: imported?.type === "tree.imported" ? imported.from : null,
    save_results: wishes?.saveResults ?? true,
    save_solutions: wishes?.saveSolutions ?? false,
    num_eval_workload: wishes?.numEvalWorkload ?? null,
  };
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
  const snapshot = async () => {
    if (hasWorldModel(state.options)) await tracker.artifact(worldModelArtifact(state));
  };
  if (event.type === "tree.initialised" || event.type === "tree.imported") await snapshot();
  if (judged !== null) {
    const { attempt, text } = judged;
    const isBest = state.best?.attempt === attempt.attempt;
    if (attempt.score !== null && attempt.kernelId !== null)
      await tracker.artifact(codeArtifact(state, judged, await kernelOf(attempt.kernelId), text ?? ""));
    if (isBest) await snapshot();
    await tracker.attempt({
      seq,
      step: state.judged,
      values: attemptValues(state, tally, problem, judged),
      tables: isBest ? treeOf(state) : {},
    });
  }
  if (event.type === "run.finished") {
    const best = standing(state);
    await snapshot();
    if (best !== null) await tracker.artifact(bestArtifact(state, await kernelOf(best.kernelId)));
  }
}
