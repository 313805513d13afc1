import type { TrackedArtifact, TrackedAttempt, TrackedEnd, TrackedRun } from "@ksearch/domain";

/** Where a tracker shows a run. */
export type TrackedPlace = {
  /** The last event of which something is kept, 0 for a new run. It and what follows is to be told, again or at last. */
  readonly seq: number;
  /** An address, or a folder, for people. */
  readonly where: string;
};

/**
 * Shows the course of a run to people: charts, tables, files. Told by whoever follows the log, never by a step: a search
 * neither waits for it nor fails by it. Every verb throws AppError `operator` `tracker.*` with the mend, after which the
 * tracker is of no more use; `run` of a new one goes on where the record stands.
 */
export interface Tracker {
  /** Opens the record of a run, or continues it. Null: this tracker keeps nothing and need not be told more. */
  run(run: TrackedRun): Promise<TrackedPlace | null>;
  /** Steps come in order. One that is kept already stays as it is. */
  attempt(attempt: TrackedAttempt): Promise<void>;
  /** The same files under the same name are no second version. */
  artifact(artifact: TrackedArtifact): Promise<void>;
  /**
   * Closes the record, once everything has left this machine where it is to leave it; `run` of a new tracker opens it
   * again. `tracker.left`: what did not leave in time is kept here, and the message says what sends it.
   */
  finish(end: TrackedEnd): Promise<void>;
  /** Ends whatever is at work for this tracker, at once. Safe at any time. */
  stop(): void;
}
