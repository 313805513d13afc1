import { isDeepStrictEqual } from "node:util";
import { AppError, type RunEvent, type RunState } from "@ksearch/domain";
import { choicesOf, keepChoice, labelsOf, liveLabel, type ModelChoice } from "@ksearch/workflow";
import {
  keysOfStage,
  openLlm,
  openRuns,
  openStage,
  openTracker,
  pathFrom,
  type RunPlace,
  type Stores,
  transcriptFor,
  wandbDefaults,
} from "../local.ts";
import { modelChoice, namesModel } from "../model-flags.ts";
import { parseFlags, ResumeFlags } from "../options.ts";
import { refereeOf } from "../referee-choice.ts";
import { knownTracking } from "../tracking.ts";
import { execute } from "./execute.ts";
import { executeInStage } from "./in-stage.ts";
import { pickRun } from "./pick.ts";

export type ResumeCommand = RunPlace & { json: boolean; refereePython?: string | undefined };

/** `ksearch resume`: a new execution over the same log; recorded answers are used, dead claims are taken over. */
export async function resume(given: string | undefined, rawFlags: unknown, command: ResumeCommand): Promise<void> {
  const flags = parseFlags(ResumeFlags, rawFlags);
  const stage = command.stage === undefined ? null : await openStage(command.stage);
  const stores = stage?.stores ?? (await openRuns(command));
  const runId = await pickRun(stores, given);
  const state = await stores.log.state(runId);
  if (state.status !== "running" && state.status !== "paused")
    throw new AppError("caller", "run.finished", `${runId} has ended (${state.status}): there is nothing to resume`);
  const former = await choicesOf(stores, runId);
  const choice = choose(state, flags, former);
  const llm = openLlm(choice, former, stage === null ? undefined : keysOfStage)(stores);
  if (!isDeepStrictEqual(choice, former.at(-1))) await change(stores, state, choice);
  const lanes = flags.lanes ?? state.lanes;
  if (stage !== null) return executeInStage(stage, { runId, lanes, json: command.json, detach: false, from: state });
  const tracking = await knownTracking(stores, runId, flags, wandbDefaults());
  await execute(stores, {
    runId,
    lanes,
    llm,
    judge: await refereeOf(stores, runId),
    python: command.refereePython,
    json: command.json,
    tracker: () => openTracker(stores, runId, tracking),
    from: state,
  });
}

/** The models of the run, or those that the flags name instead. Live and recorded replies are never mixed in one run. */
function choose(state: RunState, flags: ResumeFlags, former: readonly ModelChoice[]): ModelChoice {
  const choice = (namesModel(flags) ? undefined : former.at(-1)) ?? modelChoice(flags, pathFrom);
  if ((choice.kind === "replay") !== state.options.recordedReplies)
    throw new AppError("caller", "flags", "a run has live or recorded replies, never both: start another run");
  if (choice.kind === "replay") transcriptFor(choice.transcript, state.problemDigest);
  return choice;
}

/** Records that other models are asked from here on, for this execution and all later ones. */
async function change(stores: Stores, { runId, options }: RunState, choice: ModelChoice): Promise<void> {
  const held = await stores.holdIdle(runId);
  if (held === null)
    throw new AppError("caller", "run.busy", `another process is at work on ${runId}: its models stay as they are`);
  try {
    const key = await keepChoice(stores, runId, choice);
    const now = choice.kind === "replay" ? options.modelLabel : liveLabel(choice);
    const modelLabel = now === options.modelLabel ? now : `${options.modelLabel}, then ${now}`;
    const event: RunEvent = { type: "models.changed", ...labelsOf(choice), modelLabel, choice: key };
    await stores.log.commit(runId, () => ({ events: [event], result: null }));
  } finally {
    held.release();
  }
}
