import { AppError, messageOf, type RunState, repliesFrom } from "@ksearch/domain";
import type { Llm, Tracker } from "@ksearch/ports";
import { requestPause } from "@ksearch/workflow";
import { isInteractive, openEngine, openReferee, type Stores, self } from "../local.ts";
import { note, paint, print, printJson } from "../output.ts";
import type { RefereeChoice } from "../referee-choice.ts";
import { trackRun } from "../track.ts";
import { follow } from "../view/follow.ts";
import { resultLines } from "../view/result.ts";
import { afterwards, keptFolders } from "../wishes.ts";

export type Execution = {
  runId: string;
  lanes: number;
  llm: Llm;
  judge: RefereeChoice;
  /** Of the referee of this machine, as given with --referee-python. */
  python: string | undefined;
  json: boolean;
  /** Opens what shows the run elsewhere. */
  tracker: () => Tracker;
  /** What was shown before: a resume begins where the log stood; null shows it from the start. */
  from: RunState | null;
};

/** Works on a recorded run in this process and shows it. Throws AppError when it paused, with the way to go on. */
export async function execute(stores: Stores, execution: Execution): Promise<void> {
  const { runId, lanes, llm, judge, python, json, tracker, from } = execution;
  const kept = await keptFolders(stores, runId);
  const referee = openReferee(judge, python, kept);
  const engine = openEngine(stores, llm, referee);
  const manner = json ? "json" : isInteractive() ? "screen" : "lines";
  const id = await engine.start({ runId, lanes });
  if (!json) note(`${runId}  (Ctrl-C pauses it; '${self} resume ${runId}' goes on)`);
  const notices: string[] = [];
  const tell = (words: string) => (manner === "screen" ? notices.push(words) : note(words));
  const tracking = trackRun(stores, runId, tracker, tell);
  const forget = pauseOnSignal(stores, runId, tell);
  try {
    await follow(stores, runId, { manner, from, status: () => engine.status(id), notices });
    forget();
    const written = await afterwards(stores, runId, referee);
    await tellEnd(stores, runId, json);
    if (!json) for (const path of [...written, ...(kept === null ? [] : [kept])]) print(paint.quiet(path));
  } finally {
    await tracking.end(note);
  }
}

/** Says what the run has come to. Throws AppError when it paused, with the way to go on. */
export async function tellEnd(stores: Stores, runId: string, json: boolean): Promise<void> {
  const state = await stores.log.state(runId);
  if (json) printJson({ type: "summary", model: repliesFrom(state.options), ...(await stores.runs.get(runId)) });
  else print(resultLines(state, stores.root).join("\n"));
  if (state.status === "paused") {
    if (state.pause?.code === "run.interrupted") {
      if (!json) note(`paused: '${self} resume ${runId}' goes on from here`);
      process.exitCode = 130;
      return;
    }
    const { who, code, message } = state.pause ?? { who: "operator", code: "internal", message: "no reason recorded" };
    throw new AppError(who, code, `${message}\nNothing is lost: '${self} resume ${runId}' goes on from here.`);
  }
  if (state.status === "running")
    throw new AppError(
      "operator",
      "execution.died",
      `the execution ended without an ending in the log: '${self} resume ${runId}'`,
    );
  if (state.status === "failed") process.exitCode = 1;
}

/**
 * Ctrl-C (or SIGTERM) pauses the run: calls in flight end and are recorded, nothing new begins. A second one leaves at once,
 * which loses nothing that is recorded either.
 */
function pauseOnSignal(stores: Stores, runId: string, tell: (words: string) => void): () => void {
  let asked = false;
  const onSignal = (signal: NodeJS.Signals) => {
    if (asked) process.exit(130);
    asked = true;
    tell("pausing when the calls in flight are answered; once more leaves at once");
    requestPause(stores, runId, `paused by ${signal}`).catch((error: unknown) =>
      tell(`the pause could not be recorded: ${messageOf(error)}`),
    );
  };
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  return () => process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
}
