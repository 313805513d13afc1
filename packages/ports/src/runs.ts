import type { RunSummary } from "@ksearch/domain";

/** One line a run, for listing; derived from the log and never read back into it. */
export interface Runs {
  create(summary: RunSummary): Promise<"created" | "existed">;
  get(id: string): Promise<RunSummary | null>;
  /** Newest first. */
  list(limit: number): Promise<RunSummary[]>;
  /** Replaces the line of a known run. */
  update(summary: RunSummary): Promise<void>;
}
