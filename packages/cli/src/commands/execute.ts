import { AppError, messageOf } from "@ksearch/domain";
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
  if (!json) note(`${runId}  (Ctrl-C pauses it; 'ksearch resume ${runId}' goes on)`);
  const forget = pauseOnSignal(stores, runId);
  await follow(stores, runId, manner, () => engine.status(id));
  forget();
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

/**
 * Ctrl-C (or SIGTERM) pauses the run: calls in flight end and are recorded, nothing new begins. A second one leaves at once,
 * which loses nothing that is recorded either.
 */
function pauseOnSignal(stores: Stores, runId: string): () => void {
  let asked = false;
  const onSignal = (signal: NodeJS.Signals) => {
    if (asked) process.exit(130);
    asked = true;
    note("pausing when the calls in flight are answered; once more leaves at once");
    const event = {
      type: "run.paused",
      who: "caller",
      code: "run.interrupted",
      message: `paused by ${signal}`,
    } as const;
    stores.log
      .commit(runId, (state) => ({ events: state.status === "running" ? [event] : [], result: null }))
      .catch((error: unknown) => note(`the pause could not be recorded: ${messageOf(error)}`));
  };
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  return () => process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
}
