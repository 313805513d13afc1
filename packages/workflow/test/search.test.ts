import { expect, test } from "vitest";
import { bench, createRun, execute, fakeReferee, goodModel, verdictFor } from "./fakes.ts";

test("four lanes: a whole search to a confirmed best, four model calls in flight at once, no Wait entered", async () => {
  const llm = goodModel(30, 12);
  const busy = { id: "K03", level: "warn" as const, evidence: "the host was busy" };
  const referee = fakeReferee(10, (request) => ({ ...verdictFor(request), guards: [busy] }));
  const on = bench(llm, referee);
  await createRun(on, "run_a");
  const state = await execute(on, "run_a");
  expect(state.pause).toBeNull();
  expect(state.status).toBe("succeeded");
  expect(state.judged).toBe(16);
  expect(llm.peak()).toBe(4);
  expect(on.visited.filter((name) => name.startsWith("Collect"))).toEqual([]);
  expect(state.confirmed).toBe(state.best?.kernelId);
  expect(await on.blobs.list("runs/run_a/result-1/")).toContain("runs/run_a/result-1/kernel/main.py");
  expect(await on.runs.get("run_a")).toMatchObject({ status: "succeeded", attempts: 16 });
  const result = async (file: string) =>
    new TextDecoder().decode((await on.blobs.get(`runs/run_a/result-1/${file}`)) ?? undefined);
  expect(await result("solution.json")).toContain("recorded replies: a fake");
  expect(await result("world_model.json")).toContain("recorded replies: a fake");
  expect(await result("report.md")).toContain("K03: the host was busy");
});
