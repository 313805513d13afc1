import { AppError } from "@ksearch/domain";
import type { Llm } from "@ksearch/ports";
import { isInteractive, openEngine, openReferee, type Stores } from "../local.ts";
import { note, print, printJson } from "../output.ts";
import { follow } from "../view/follow.ts";
import { resultLines } from "../view/result.ts";

export type Execution = { runId: string; lanes: number; llm: Llm; python: string; json: boolean };

/** Works on a recorded run in this process and shows it. Throws AppError when it paused, with the way to go on. */
export async function execute(stores: Stores, { runId, lanes, llm, python, json }: Execution): Promise<void> {
  const engine = openEngine(stores, llm, openReferee(python));
  const manner = json ? "json" : isInteractive() ? "screen" : "lines";
  const id = await engine.start({ runId, lanes });
  if (!json) note(`${runId}  (stop with Ctrl-C at any moment; 'ksearch resume ${runId}' goes on)`);
  await follow(stores, runId, manner, () => engine.status(id));
  const state = await stores.log.state(runId);
  if (json) printJson({ type: "summary", ...(await stores.runs.get(runId)) });
  else print(resultLines(state, stores.root).join("\n"));
  if (state.status === "paused") {
    const { who, code, message } = state.pause ?? { who: "operator", code: "internal", message: "no reason recorded" };
    throw new AppError(who, code, `${message}\nNothing is lost: 'ksearch resume ${runId}' goes on from here.`);
  }
  if (state.status === "running")
    throw new AppError(
      "operator",
      "execution.died",
      `the execution ended without an ending in the log: 'ksearch resume ${runId}'`,
    );
  if (state.status === "failed") process.exitCode = 1;
}
