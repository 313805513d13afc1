import type { Json } from "../digest.ts";

/** What a tracker is told of a run: facts, rows by step, tables and files. Keys are those of docs/tracking.md. */
export type TrackedValues = Readonly<Record<string, string | number | boolean | null>>;

export type TrackedTable = {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number | null)[])[];
};
export type TrackedTables = Readonly<Record<string, TrackedTable>>;

/** What holds for the whole run. */
export type TrackedRun = {
  readonly runId: string;
  readonly config: Readonly<Record<string, Json>>;
  readonly tags: readonly string[];
};

/** One judged attempt. `step` counts judged attempts from 1; `seq` is the event that says so. */
export type TrackedAttempt = {
  readonly seq: number;
  readonly step: number;
  readonly values: TrackedValues;
  readonly tables: TrackedTables;
};

/** Files under one name, which may get newer versions. */
export type TrackedArtifact = {
  readonly seq: number;
  readonly name: string;
  readonly type: string;
  readonly metadata: TrackedValues;
  /** Content by relative path. */
  readonly files: Readonly<Record<string, string>>;
};

/** What the run has come to when an execution ends. */
export type TrackedEnd = { readonly values: TrackedValues; readonly tables: TrackedTables };
