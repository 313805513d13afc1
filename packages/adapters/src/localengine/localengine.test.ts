import { ended, engineContract } from "@ksearch/ports/contracts";
import { describe, expect, test } from "vitest";
import { type LocalEngineSettings, localEngine } from "./index.ts";

/** One Task, a Choice that waits and polls until told otherwise, and a lane for each item: what the real document uses. */
const definition = {
  StartAt: "Work",
  States: {
    Work: { Type: "Task", Resource: "arn:aws:lambda:us-east-1:000000000000:function:work", Next: "Ready" },
    Ready: { Type: "Choice", Choices: [{ Variable: "$.next", StringEquals: "wait", Next: "Pause" }], Default: "Done" },
    Pause: { Type: "Wait", SecondsPath: "$.waitSeconds", Next: "Work" },
    Done: { Type: "Succeed" },
  },
};

/** Holds runs in this process, as `holdRun` does between processes. */
function holder() {
  const held = new Set<string>();
  const hold: LocalEngineSettings["hold"] = (runId) => {
    if (held.has(runId)) return null;
    held.add(runId);
    return { release: () => held.delete(runId) };
  };
  return { held, hold };
}

const engineWith = (
  work: (input: unknown) => Promise<{ next: string; waitSeconds?: number }>,
  { held, hold } = holder(),
) => ({
  held,
  engine: localEngine({ definition, tasks: { Work: work }, waitsMs: { Pause: 5 }, hold }),
});

engineContract(async () => {
  let open: (fail?: string) => void = () => undefined;
  const gate = new Promise<void>((resolve, reject) => {
    open = (fail) => (fail === undefined ? resolve() : reject(new Error(fail)));
  });
  gate.catch(() => undefined);
  const { engine } = engineWith(async () => {
    await gate;
    return { next: "done" };
  });
  return { engine, release: (fail?: string) => open(fail) };
});

describe("an execution", () => {
  test("hands its input to the first state, and a Wait of a minute takes the time that it is given here", async () => {
    const inputs: unknown[] = [];
    const { engine } = engineWith(async (input) => {
      inputs.push(input);
      return inputs.length < 4 ? { next: "wait", waitSeconds: 60 } : { next: "done" };
    });
    const id = await engine.start({ runId: "run_a", lanes: 3 });
    expect(await ended(engine, id)).toEqual({ status: "succeeded" });
    expect(inputs).toHaveLength(4);
    expect(inputs[0]).toEqual({ runId: "run_a", lanes: 3 });
  });

  test("other runs are not busy", async () => {
    const { engine } = engineWith(async () => ({ next: "done" }));
    const ids = [await engine.start({ runId: "run_a", lanes: 1 }), await engine.start({ runId: "run_b", lanes: 1 })];
    for (const id of ids) expect(await ended(engine, id)).toEqual({ status: "succeeded" });
  });

  test.each(["succeeds", "fails", "is stopped"])("one that %s lets the run go", async (how) => {
    const { held, engine } = engineWith(async () => {
      if (how === "fails") throw new Error("broken");
      return how === "succeeds" ? { next: "done" } : { next: "wait", waitSeconds: 1 };
    });
    const id = await engine.start({ runId: "run_a", lanes: 1 });
    expect(held).toEqual(new Set(["run_a"]));
    if (how === "is stopped") await engine.stop(id);
    await ended(engine, id);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(held).toEqual(new Set());
    await engine.stop(await engine.start({ runId: "run_a", lanes: 1 }));
  });

  test("a stopped one enters no further state", async () => {
    let calls = 0;
    const { engine } = engineWith(async () => {
      calls += 1;
      return { next: "wait", waitSeconds: 1 };
    });
    const id = await engine.start({ runId: "run_a", lanes: 1 });
    while (calls < 3) await new Promise((resolve) => setTimeout(resolve, 1));
    await engine.stop(id);
    const atStop = calls;
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(calls).toBeLessThanOrEqual(atStop + 1);
  });

  test("a run is held until the step in hand has ended: nobody else starts beside it", async () => {
    let open: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    let working = false;
    const { held, engine } = engineWith(async () => {
      working = true;
      await gate;
      working = false;
      return { next: "done" };
    });
    const id = await engine.start({ runId: "run_a", lanes: 1 });
    while (!working) await new Promise((resolve) => setTimeout(resolve, 1));
    await engine.stop(id);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(held).toEqual(new Set(["run_a"]));
    await expect(engine.start({ runId: "run_a", lanes: 1 })).rejects.toMatchObject({ code: "run.busy" });
    open();
    while (held.size > 0) await new Promise((resolve) => setTimeout(resolve, 1));
  });

  test("an id of another process is unknown here", async () => {
    const { engine } = engineWith(async () => ({ next: "done" }));
    await expect(engine.status("no-such")).rejects.toMatchObject({ who: "caller", code: "execution.unknown" });
  });
});

test("a document that is not valid is refused when the engine is made", () => {
  expect(() =>
    localEngine({ definition: { StartAt: "Nowhere", States: {} }, tasks: {}, waitsMs: {}, hold: holder().hold }),
  ).toThrow();
});
