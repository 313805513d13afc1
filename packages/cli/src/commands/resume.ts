import { AppError, type RunState } from "@ksearch/domain";
import { getJson } from "@ksearch/workflow";
import { z } from "zod";
import {
  openLlm,
  openStores,
  openTracker,
  pathFrom,
  refereePython,
  type Stores,
  transcriptFor,
  wandbDefaults,
} from "../local.ts";
import { type ModelChoice, modelKey, parseChoice } from "../model.ts";
import { modelChoice, namesModel, parseFlags, ResumeFlags } from "../options.ts";
import { knownTracking } from "../tracking.ts";
import { execute } from "./execute.ts";
import { pickRun } from "./pick.ts";

export type ResumeCommand = { artifactsDir: string; json: boolean; refereePython?: string | undefined };

/** `ksearch resume`: a new execution over the same log; recorded answers are used, dead claims are taken over. */
export async function resume(given: string | undefined, rawFlags: unknown, command: ResumeCommand): Promise<void> {
  const flags = parseFlags(ResumeFlags, rawFlags);
  const stores = openStores(command.artifactsDir, false);
  const runId = await pickRun(stores, given);
  const state = await stores.log.state(runId);
  if (state.status !== "running" && state.status !== "paused")
    throw new AppError("caller", "run.finished", `${runId} has ended (${state.status}): there is nothing to resume`);
  const choice = await choose(stores, state, flags);
  const tracking = await knownTracking(stores, runId, flags, wandbDefaults());
  await execute(stores, {
    runId,
    lanes: flags.lanes ?? state.lanes,
    llm: openLlm(choice)(stores),
    python: refereePython(command.refereePython),
    json: command.json,
    tracker: () => openTracker(stores, runId, tracking),
    from: state,
  });
}

/** The model of the run, or the one that the flags name instead. Live and recorded replies are never mixed in one run. */
async function choose(stores: Stores, state: RunState, flags: ResumeFlags): Promise<ModelChoice> {
  const key = modelKey(state.runId);
  const choice = namesModel(flags)
    ? modelChoice(flags, pathFrom)
    : parseChoice(await getJson(stores.blobs, key, z.unknown()), key);
  if ((choice.kind === "replay") !== state.options.recordedReplies)
    throw new AppError("caller", "flags", "a run has live or recorded replies, never both: start another run");
  if (choice.kind === "replay") transcriptFor(choice.transcript, state.problemDigest);
  return choice;
}
