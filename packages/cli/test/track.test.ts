import { AppError, FlashInferProblem, hardenedSettings, type TrackedAttempt } from "@ksearch/domain";
import type { Tracker } from "@ksearch/ports";
import { createRun } from "@ksearch/workflow";
import { expect, test, vi } from "vitest";
import { openStores, type Stores } from "../src/local.ts";
import { trackRun } from "../src/track.ts";
import { definition, newFolder, pause, workload } from "./stand-ins.ts";

const runId = "run_20260101-000000-abcd";
const limits = { silentMs: 20, flushMs: 100 };

/** A run that has just begun, in a folder of its own. */
async function newRun(): Promise<Stores> {
  const stores = openStores(newFolder(), true);
  const problem = FlashInferProblem.parse({ format: "flashinfer", definition, workloads: [workload.workload] });
  await createRun(stores, {
    runId,
    problem,
    seed: null,
    options: {
      policy: "lanes",
      stagnationWindow: 5,
      maxDifficulty: null,
      models: ["nobody"],
      treeModel: null,
      baseline: null,
      lanes: 1,
      attemptsPerNode: { base: 1, max: 1 },
      laneShare: 1,
      budgetAttempts: 2,
      budgetMicroUsd: null,
      targetScore: null,
      patience: null,
      confirmTop: 1,
      language: "python",
      device: "cpu",
      deviceFacts: "",
      seed: 1,
      maxOutputTokens: 1_000,
      llmTimeoutMs: 1_000,
      evaluation: hardenedSettings,
      modelLabel: "nobody",
      recordedReplies: true,
    },
  });
  return stores;
}

/** A tracker that keeps nothing but says where, of which `parts` do something else. */
const tracker = (parts: Partial<Tracker>): Tracker => ({
  run: async () => ({ seq: 0, where: "nowhere" }),
  attempt: async () => undefined,
  artifact: async () => undefined,
  finish: async () => undefined,
  stop: () => undefined,
  ...parts,
});

/** What is said while a run that has just begun is shown and ends at once. */
async function saidOf(shown: Tracker): Promise<string[]> {
  const said: string[] = [];
  const tell = (words: string) => void said.push(words);
  await trackRun(await newRun(), runId, () => shown, tell, limits).end(tell);
  return said;
}

test("a tracker that hangs is ended when its time is over, and what is to be done is said", async () => {
  const stopped = Promise.withResolvers<void>();
  const hanging = tracker({ finish: () => stopped.promise, stop: stopped.resolve });
  expect(await saidOf(hanging)).toEqual([
    "the run is shown at nowhere",
    "sending the last of the run, 0.1 s at most",
    expect.stringMatching(/^not all of the run was sent in 0\.1 s: '.*ksearch track run_\S+' sends the rest$/),
  ]);
});

test("what a tracker could not upload is said in its own words alone", async () => {
  const finish = () => Promise.reject(new AppError("operator", "tracker.left", "'wandb sync x' sends the rest"));
  expect(await saidOf(tracker({ finish }))).toEqual(["the run is shown at nowhere", "'wandb sync x' sends the rest"]);
});

test("a tracker that fails in any way is stopped and told of once", async () => {
  const stop = vi.fn();
  const run = () => Promise.reject(new TypeError("a defect"));
  expect(await saidOf(tracker({ run, stop }))).toEqual([
    expect.stringMatching(
      /^the run is not shown: a defect; the search goes on, and '.*ksearch track \S+' sends it later$/,
    ),
  ]);
  expect(stop).toHaveBeenCalled();
});

test("attempts are sent while the run goes on, before anybody asks for the end", async () => {
  const stores = await newRun();
  const rows: TrackedAttempt[] = [];
  const shown = tracker({ attempt: async (row) => void rows.push(row) });
  const tracking = trackRun(
    stores,
    runId,
    () => shown,
    () => undefined,
  );
  await pause(50);
  await stores.log.commit(runId, () => ({
    events: [
      { type: "execution.started", epoch: 1, lanes: 1 },
      { type: "cycle.opened", cycle: "lane1-cycle1", lane: 1, epoch: 1, nodeId: "root" },
      {
        type: "attempt.started",
        attempt: 1,
        cycle: "lane1-cycle1",
        nodeId: "root",
        nodeAttempt: 1,
        kind: "draft_spec",
        baseKernelId: null,
        previousAttempt: null,
        model: null,
        forecast: null,
      },
      {
        type: "attempt.judged",
        attempt: 1,
        status: "unparsable",
        score: null,
        vsBaseline: null,
        callNs: null,
        message: "no code",
      },
    ],
    result: null,
  }));
  await vi.waitFor(() => expect(rows).toHaveLength(1), { timeout: 10_000 });
  expect(rows[0]).toMatchObject({ step: 1, seq: 5, values: { "ksearch/status": "unparsable", "ksearch/model": null } });
  await tracking.end(() => undefined);
  expect(rows).toHaveLength(1);
});
