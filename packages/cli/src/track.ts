import { setTimeout as delay } from "node:timers/promises";
import { AppError, messageOf } from "@ksearch/domain";
import type { Tracker } from "@ksearch/ports";
import { type Stores, self } from "./local.ts";
import { sendRun } from "./send.ts";

/** How often the log is looked at for news, ms. */
const pollMs = 500;

/** How long the end of an execution waits for the last of it to be sent, ms: without a word, and in all. */
const usualLimits = { silentMs: 2_000, flushMs: 30_000 };

/** What is said of a tracker, and where: one line each. */
type Tell = (words: string) => void;

/**
 * Shows a run by a tracker while it goes on, beside the search: it reads the log, which is all the buffer that is needed,
 * and the search neither waits for it nor fails by it. What goes wrong is told, once. `end`, after the last event, gives
 * it a limited time for the rest; from then on `tellNow` is told, because the live screen is over.
 */
export function trackRun(
  stores: Stores,
  runId: string,
  open: () => Tracker,
  tell: Tell,
  { silentMs, flushMs } = usualLimits,
): { end: (tellNow: Tell) => Promise<void> } {
  let say = tell;
  let tracker: Tracker | null = null;
  let isEnded = false;
  const ended = Promise.withResolvers<void>();
  const sending = async (): Promise<void> => {
    tracker = open();
    await sendRun(stores, runId, tracker, {
      opened: (where) => say(`the run is shown at ${where}`),
      news: async () => {
        await Promise.race([delay(pollMs, null, { ref: false }), ended.promise]);
        return !isEnded;
      },
    });
  };
  const later = `'${self} track ${runId}'`;
  let isGivenUp = false;
  const sent = sending().catch((error: unknown) => {
    tracker?.stop();
    if (isGivenUp) return;
    const isLeft = error instanceof AppError && error.code === "tracker.left";
    say(
      isLeft
        ? error.message
        : `the run is not shown: ${messageOf(error)}; the search goes on, and ${later} sends it later`,
    );
  });
  return {
    async end(tellNow) {
      say = tellNow;
      isEnded = true;
      ended.resolve();
      const within = async (ms: number) => Promise.race([sent.then(() => true), delay(ms, false, { ref: false })]);
      if (await within(silentMs)) return;
      say(`sending the last of the run, ${flushMs / 1_000} s at most`);
      if (await within(flushMs - silentMs)) return;
      isGivenUp = true;
      tracker?.stop();
      say(`not all of the run was sent in ${flushMs / 1_000} s: ${later} sends the rest`);
      await sent;
    },
  };
}
