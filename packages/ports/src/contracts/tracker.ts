import type { TrackedArtifact, TrackedAttempt, TrackedEnd, TrackedRun } from "@ksearch/domain";
import { expect, test } from "vitest";
import type { Tracker } from "../tracker.ts";

/** One place in which a tracker keeps a run: trackers of one place continue each other. */
export type TrackerPlace = {
  open(): Tracker;
  /** Steps in the order in which they are kept; null: nothing is. */
  steps(): Promise<number[] | null>;
};

const run: TrackedRun = {
  runId: "run_20260101-000000-abcd",
  config: { max_opt_rounds: 3, generator: { model_name: "a model", language: "cpp" }, "ksearch/policy": "lanes" },
  tags: ["recorded replies"],
};
const attempt = (step: number, seq = 10 * step): TrackedAttempt => ({
  seq,
  step,
  values: { "task/generate/round_score": null, "ksearch/status": "passed", "ksearch/callNs": 1_000 * step },
  tables: { "ksearch-tree": { columns: ["node", "score"], rows: [["root", null], ...(step > 1 ? [["ü", 1.5]] : [])] } },
});
const artifact = (seq: number): TrackedArtifact => ({
  seq,
  name: `r${seq}_code`,
  type: "generated-code",
  metadata: { round: seq, solution: null },
  files: { "clean/deep/kernel.cpp": 'extern "C" // µ\n', "raw/raw_code.txt": "" },
});
const end: TrackedEnd = { values: { "ksearch/runStatus": "paused" }, tables: {} };

/** What every tracker must do. `make` gives a fresh, empty place. */
export function trackerContract(make: () => Promise<TrackerPlace>): void {
  test("a run is told from its beginning to its end", async () => {
    const place = await make();
    const tracker = place.open();
    const opened = await tracker.run(run);
    if (opened !== null) expect(opened).toEqual({ seq: 0, where: expect.stringMatching(/./) });
    await tracker.artifact(artifact(5));
    await tracker.attempt(attempt(1));
    await tracker.attempt(attempt(2));
    await tracker.finish(end);
    expect([null, [1, 2]]).toContainEqual(await place.steps());
  });
  test("a second tracker continues the record, and keeps no step twice", async () => {
    const place = await make();
    const first = place.open();
    const isKept = (await first.run(run)) !== null;
    await first.attempt(attempt(1));
    await first.attempt(attempt(2));
    await first.finish(end);
    const second = place.open();
    expect((await second.run(run))?.seq).toBe(isKept ? 20 : undefined);
    await second.artifact(artifact(20));
    await second.attempt(attempt(2));
    await second.attempt(attempt(3));
    await second.finish(end);
    expect(await place.steps()).toEqual(isKept ? [1, 2, 3] : null);
  });
  test("an end without a beginning, and stopping at any time, are no trouble", async () => {
    const place = await make();
    const untold = place.open();
    await untold.finish(end);
    untold.stop();
    const stopped = place.open();
    stopped.stop();
    const tracker = place.open();
    await tracker.run(run);
    tracker.stop();
    tracker.stop();
  });
}
