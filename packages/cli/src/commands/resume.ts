import { AppError } from "@ksearch/domain";
import { getJson } from "@ksearch/workflow";
import { z } from "zod";
import { openLlm, openStores, pathFrom, refereePython } from "../local.ts";
import { modelKey, parseChoice } from "../model.ts";
import { execute } from "./execute.ts";
import { pickRun } from "./pick.ts";

export type ResumeCommand = {
  artifactsDir: string;
  json: boolean;
  lanes?: string | undefined;
  transcript?: string | undefined;
  refereePython?: string | undefined;
};

/** `ksearch resume`: a new execution over the same log; recorded answers are used, dead claims are taken over. */
export async function resume(given: string | undefined, command: ResumeCommand): Promise<void> {
  const stores = openStores(command.artifactsDir, false);
  const runId = await pickRun(stores, given);
  const state = await stores.log.state(runId);
  const lanes = command.lanes === undefined ? state.options.lanes : Number(command.lanes);
  if (!Number.isInteger(lanes) || lanes < 1 || lanes > 64)
    throw new AppError("caller", "flags", "--lanes: a whole number from 1 to 64");
  if (state.status !== "running" && state.status !== "paused")
    throw new AppError("caller", "run.finished", `${runId} has ${state.status}: there is nothing to resume`);
  const recorded = parseChoice(await getJson(stores.blobs, modelKey(runId), z.unknown()), modelKey(runId));
  const choice =
    command.transcript === undefined ? recorded : { kind: "replay" as const, transcript: pathFrom(command.transcript) };
  if (choice.kind === "replay" && !state.options.recordedReplies)
    throw new AppError("caller", "flags", "this run's replies are live; recorded ones must not be mixed in");
  await execute(stores, {
    runId,
    lanes,
    llm: openLlm(choice)(stores),
    python: refereePython(command.refereePython),
    json: command.json,
  });
}
