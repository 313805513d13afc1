import { AppError } from "@ksearch/domain";
import { openRuns, openTracker, wandbDefaults } from "../local.ts";
import { parseFlags, TrackFlags } from "../options.ts";
import { print, printJson } from "../output.ts";
import { sendRun } from "../send.ts";
import { knownTracking } from "../tracking.ts";
import { pickRun } from "./pick.ts";
import type { ReadCommand } from "./read.ts";

/** `ksearch track`: sends a run to Weights & Biases, or what is left of it, from its log. */
export async function track(given: string | undefined, rawFlags: unknown, command: ReadCommand): Promise<void> {
  const flags = { ...parseFlags(TrackFlags, rawFlags), wandb: true };
  const stores = await openRuns(command);
  const runId = await pickRun(stores, given);
  const choice = await knownTracking(stores, runId, flags, wandbDefaults());
  if (choice === null) throw new AppError("caller", "flags", "WANDB_MODE is 'disabled': name another --wandb-mode");
  const tracker = openTracker(stores, runId, choice);
  try {
    await sendRun(stores, runId, tracker, {
      opened: (where) => (command.json ? printJson({ runId, where }) : print(where)),
      news: async () => false,
    });
  } finally {
    tracker.stop();
  }
}
