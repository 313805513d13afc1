import type { RunState } from "@ksearch/domain";
import { isInteractive, type Stage, self } from "../local.ts";
import { note, print, printJson } from "../output.ts";
import { follow } from "../view/follow.ts";
import { tellEnd } from "./execute.ts";

export type StageExecution = {
  runId: string;
  lanes: number;
  json: boolean;
  /** Return once the execution has begun. */
  detach: boolean;
  /** What was shown before; null shows it from the start. */
  from: RunState | null;
};

/** How often a stage is asked what is new, ms: every look costs a few requests. */
const refreshMs = 2_000;

/** Starts an execution in a stage and shows the run, which goes on there whatever becomes of this process. */
export async function executeInStage(
  stage: Stage,
  { runId, lanes, json, detach, from }: StageExecution,
): Promise<void> {
  const { stores, engine, name } = stage;
  const execution = await engine.start({ runId, lanes });
  if (detach) {
    if (json) printJson({ type: "started", runId, stage: name, execution });
    else
      print(
        `${runId}\nwatch it: ${self} show ${runId} --stage ${name}\nend it:   ${self} cancel ${runId} --stage ${name}`,
      );
    return;
  }
  if (!json) note(`${runId}  (Ctrl-C leaves it at work; '${self} cancel ${runId} --stage ${name}' ends it)`);
  const manner = json ? "json" : isInteractive() ? "screen" : "lines";
  await follow(stores, runId, { manner, from, status: () => engine.status(execution), notices: [], refreshMs });
  await tellEnd(stores, runId, json);
}
