import type { Tracker } from "@ksearch/ports";

/** Shows a run to nobody, for runs that nobody asked to show. */
export const noTracker = (): Tracker => ({
  run: async () => null,
  attempt: async () => undefined,
  artifact: async () => undefined,
  finish: async () => undefined,
  stop: () => undefined,
});
