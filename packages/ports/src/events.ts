import type { LoggedEvent, RunEvent } from "@ksearch/domain";

/** The append-only, numbered log of each run: the one truth of a search. */
export interface Events {
  /**
   * Appends events as numbers `afterSeq + 1` and on, all or none. `conflict`: somebody else appended first; read on and
   * decide anew. This is what makes claims and budgets hold among lanes.
   */
  append(runId: string, afterSeq: number, events: readonly RunEvent[], atMs: number): Promise<"appended" | "conflict">;
  /** Events numbered above `afterSeq`, in order. An unknown run has none. */
  read(runId: string, afterSeq: number): Promise<LoggedEvent[]>;
}
