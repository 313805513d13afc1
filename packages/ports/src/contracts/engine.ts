import { expect, test } from "vitest";
import type { Engine, ExecutionStatus } from "../engine.ts";

/** Polls until an execution is no longer running, at most ten seconds. */
export async function ended(engine: Engine, executionId: string): Promise<ExecutionStatus> {
  for (let poll = 0; poll < 500; poll += 1) {
    const status = await engine.status(executionId);
    if (status.status !== "running") return status;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("still running after ten seconds");
}

/** What every engine must do. `make` gives one whose machine runs until `release` is called, and fails if told so. */
export function engineContract(make: () => Promise<{ engine: Engine; release: (fail?: string) => void }>): void {
  test("an execution runs, then has succeeded", async () => {
    const { engine, release } = await make();
    const id = await engine.start({ runId: "run_a", lanes: 1 });
    expect(await engine.status(id)).toEqual({ status: "running" });
    release();
    expect(await ended(engine, id)).toEqual({ status: "succeeded" });
  });
  test("a failed execution tells its cause", async () => {
    const { engine, release } = await make();
    const id = await engine.start({ runId: "run_a", lanes: 1 });
    release("the disk is full");
    expect(await ended(engine, id)).toMatchObject({
      status: "failed",
      cause: expect.stringContaining("the disk is full"),
    });
  });
  test("a second execution of a busy run is refused", async () => {
    const { engine, release } = await make();
    const id = await engine.start({ runId: "run_a", lanes: 1 });
    await expect(engine.start({ runId: "run_a", lanes: 1 })).rejects.toMatchObject({ who: "caller", code: "run.busy" });
    release();
    await ended(engine, id);
  });
  test("a stopped execution is stopped, and stopping again or an unknown one is no error", async () => {
    const { engine, release } = await make();
    const id = await engine.start({ runId: "run_a", lanes: 1 });
    await engine.stop(id);
    release();
    expect(await ended(engine, id)).toEqual({ status: "stopped" });
    await engine.stop(id);
    await engine.stop("no-such-execution");
  });
}
