import { AppError } from "@ksearch/domain";
import { describe, expect, test } from "vitest";
import { keys } from "../src/index.ts";
import {
  accounts,
  bench,
  createRun,
  execute,
  fakeLlm,
  fakeReferee,
  goodModel,
  kernelReply,
  refold,
  stage,
  world,
} from "./fakes.ts";

/** What models say when they do not do what they were asked for. */
const rubbish: [string, string][] = [
  ["prose", "I am sorry, but as a language model I would rather talk about the weather today."],
  ["half a JSON", '{"decision_tree": {"root_id": "root", "nodes": [{"node_id": "ro'],
  ["nothing", ""],
  ["white space", " \n\t "],
  ["a list", "[1, 2, 3]"],
  ["another object", '{"answer": 42}'],
  ["300 KB", "x".repeat(300_000)],
  ["300 KB of brackets", "{[".repeat(150_000)],
];

const noEdits = '{"ops": []}';
const usual = (purpose: string, slot: string, count: number): string =>
  purpose === "init" ? world(4) : purpose === "draft" ? kernelReply(1 + count / 100, slot) : noEdits;

const errorsOf = (on: ReturnType<typeof bench>, runId: string) =>
  on.events.read(runId, 0).then((log) => log.flatMap(({ event }) => (event.type === "call.failed" ? [event] : [])));

describe("a reply that is not what was asked for", () => {
  test.each(rubbish)("to init (%s): refused, told in the next question, and the run goes on", async (_, text) => {
    const llm = fakeLlm(0, ({ purpose, slot }, count) => (slot === "init/1" ? text : usual(purpose, slot, count)));
    const on = bench(llm, fakeReferee(0));
    await createRun(on, "run_a", { budgetAttempts: 3 });
    const state = await execute(on, "run_a");
    expect(state).toMatchObject({
      status: "succeeded",
      judged: 3,
      initRefusals: [expect.stringContaining("decision_tree")],
    });
    const second = llm.requests.find((request) => request.slot === "init/2");
    expect(second?.prompt.user).toContain(state.initRefusals[0]);
  });

  test("to init, three times: the run pauses for the operator; resumed, it asks anew under new names", async () => {
    const on = bench(
      fakeLlm(0, () => "no"),
      fakeReferee(0),
    );
    await createRun(on, "run_a", { budgetAttempts: 3 });
    const paused = await execute(on, "run_a");
    expect(paused).toMatchObject({
      status: "paused",
      pause: { who: "operator", code: "llm.unusable", message: expect.stringContaining("resume") },
    });
    expect(await on.runs.get("run_a")).toMatchObject({ status: "paused" });
    const llm = goodModel(0, 4);
    const state = await execute(bench(llm, fakeReferee(0), on.folder), "run_a");
    expect(state).toMatchObject({ status: "succeeded", judged: 3 });
    expect(llm.requests.map((request) => request.call).filter((call) => call.startsWith("init"))).toEqual(["init4"]);
  });

  test.each([...rubbish, ["a kernel that is cut off", '<file name="main.py">\ndef run(x):\n    return']])(
    "to a draft (%s): an unparsable attempt that costs no evaluation; the next draft is told why",
    async (_, text) => {
      const llm = fakeLlm(0, ({ purpose, slot }, count) =>
        slot === "draft/n0/1" ? text : usual(purpose, slot, count),
      );
      const referee = fakeReferee(0);
      const on = bench(llm, referee);
      await createRun(on, "run_a", { lanes: 1, budgetAttempts: 3 });
      const state = await execute(on, "run_a", 1);
      expect(state.status).toBe("succeeded");
      expect(state.attempts.map((attempt) => attempt.status)).toEqual(["unparsable", "passed", "passed"]);
      expect(state.attempts[0]).toMatchObject({ kernelId: null, score: null, message: expect.stringMatching(/\w/) });
      expect(referee.requests.some(({ requestId }) => requestId.includes("attempt1/"))).toBe(false);
      const second = llm.requests.find((request) => request.slot === "draft/n0/2");
      expect(second?.prompt.user).toContain(state.attempts[0]?.message);
    },
  );

  test.each(rubbish)("to refine (%s): the refusal is recorded, the cycle ends, the search goes on", async (_, text) => {
    const llm = fakeLlm(0, ({ purpose, slot }, count) => (purpose === "refine" ? text : usual(purpose, slot, count)));
    const on = bench(llm, fakeReferee(0));
    await createRun(on, "run_a", { lanes: 1, budgetAttempts: 6, attemptsPerNode: { base: 2, max: 2 } });
    const state = await execute(on, "run_a", 1);
    expect(state).toMatchObject({ status: "succeeded", judged: 6 });
    expect(state.refusals[0]).toMatchObject({ op: "script", reason: expect.stringContaining("ops") });
    const refined = llm.requests.filter((request) => request.purpose === "refine").map((request) => request.slot);
    expect(refined).toEqual(["refine/n0/1", "refine/n1/1", "refine/n2/1"]);
    const next = llm.requests.find((request) => request.slot === "refine/n1/1");
    expect(next?.prompt.user).toContain(state.refusals[0]?.reason);
  });

  test.each(rubbish)("to propose (%s): no new ideas, so the search ends with its best", async (_, text) => {
    const llm = fakeLlm(0, ({ purpose, slot }, count) => (purpose === "propose" ? text : usual(purpose, slot, count)));
    const on = bench(llm, fakeReferee(0));
    await createRun(on, "run_a", { lanes: 2, budgetAttempts: 100, attemptsPerNode: { base: 1, max: 1 } });
    const state = await execute(on, "run_a", 2);
    expect(state).toMatchObject({ status: "succeeded", judged: 4, barrenProposals: 3 });
    expect(state.refusals.some((refusal) => refusal.call.startsWith("propose"))).toBe(true);
    expect(state.confirmed).not.toBeNull();
  });
});

describe("a model that fails", () => {
  const overloaded = () => new AppError("retry", "llm.overloaded", "the endpoint is overloaded");
  const badKey = () => new AppError("caller", "llm.auth", "the key is not valid: set OPENAI_API_KEY");

  test("for a while: the run gets through, all attempts are judged, failed calls cost nothing and are on record", async () => {
    const failed = new Set<string>();
    const llm = fakeLlm(0, ({ purpose, slot }, count) => {
      if (purpose === "draft" && /n[02]\/1/.test(slot) && !failed.has(slot)) {
        failed.add(slot);
        throw overloaded();
      }
      return usual(purpose, slot, count);
    });
    const on = bench(llm, fakeReferee(0));
    await createRun(on, "run_a", { attemptsPerNode: { base: 2, max: 2 }, budgetAttempts: 100 });
    const state = await execute(on, "run_a");
    expect(state).toMatchObject({ status: "succeeded", judged: 8 });
    expect(failed.size).toBe(2);
    expect(await errorsOf(on, "run_a")).toHaveLength(2);
    const { rows, sum, spent } = await accounts(on, "run_a");
    expect(rows.filter((row) => row.outcome === "failed").map((row) => row.costMicroUsd)).toEqual([0, 0]);
    expect(sum).toBe(spent);
  });

  test.each([
    ["retry", "llm.overloaded", overloaded, /overloaded/],
    ["caller", "llm.auth", badKey, /OPENAI_API_KEY/],
  ] as const)(
    "for ever, after five drafts (%s %s): paused with who must act and the best so far; resumed, nothing is asked twice",
    async (who, code, error, words) => {
      let drafts = 0;
      const llm = fakeLlm(1, ({ purpose, slot }, count) => {
        if (purpose === "draft" && ++drafts > 5) throw error();
        return usual(purpose, slot, count);
      });
      const on = bench(llm, fakeReferee(1));
      await createRun(on, "run_a", { budgetAttempts: 100, attemptsPerNode: { base: 3, max: 3 } });
      const paused = await execute(on, "run_a");
      expect(paused).toMatchObject({
        status: "paused",
        judged: 5,
        pause: { who, code, message: expect.stringMatching(words) },
      });
      expect(paused.best).not.toBeNull();
      expect(await on.blobs.get("runs/run_a/result-1/solution.json")).not.toBeNull();
      expect(await on.runs.get("run_a")).toMatchObject({ status: "paused", attempts: 5 });
      expect((await on.money.balance("run_a")).reservedMicroUsd).toBe(0);

      const recorded = (await on.events.read("run_a", 0)).flatMap(({ event }) =>
        event.type === "call.answered" ? [event.call] : [],
      );
      const [model, referee] = [goodModel(0, 4), fakeReferee(0)];
      const again = bench(model, referee, on.folder);
      const state = await execute(again, "run_a");
      expect(state).toMatchObject({ status: "succeeded", epoch: 2 });
      expect(state.attempts).toHaveLength(12);
      const asked = [
        ...model.requests.map((request) => request.call),
        ...referee.requests.map((request) => request.requestId.slice("run_a/".length)),
      ];
      expect(asked.filter((call) => recorded.includes(call))).toEqual([]);
      const { sum, spent } = await accounts(again, "run_a");
      expect(sum).toBe(spent);
    },
  );

  test("at the very first question: paused at once, after one call; the run is not lost", async () => {
    const llm = fakeLlm(0, () => {
      throw badKey();
    });
    const on = bench(llm, fakeReferee(0));
    await createRun(on, "run_a");
    expect(await execute(on, "run_a")).toMatchObject({ status: "paused", pause: { who: "caller", code: "llm.auth" } });
    expect(llm.requests).toHaveLength(1);
    expect(await execute(bench(goodModel(0, 4), fakeReferee(0), on.folder), "run_a")).toMatchObject({
      status: "succeeded",
    });
  });

  test.each(["init", "draft", "refine", "propose"])(
    "with an error that is none of ours, at %s: a defect for the operator, on record, and resumable",
    async (where) => {
      const llm = fakeLlm(0, ({ purpose, slot }, count) => {
        if (purpose === where) throw new TypeError("x is not a function");
        return usual(purpose, slot, count);
      });
      const on = bench(llm, fakeReferee(0));
      await createRun(on, "run_a", { attemptsPerNode: { base: 1, max: 1 }, budgetAttempts: 100 });
      await execute(on, "run_a").catch(() => undefined);
      expect(await on.log.state("run_a")).toMatchObject({
        status: "paused",
        pause: { who: "operator", code: "internal", message: expect.stringContaining("x is not a function") },
      });
      expect(await execute(bench(goodModel(0, 4), fakeReferee(0), on.folder), "run_a")).toMatchObject({
        status: "succeeded",
      });
    },
  );

  test("in one lane: the other lanes do all they can, then the run pauses with that error", async () => {
    const llm = fakeLlm(1, ({ purpose, slot }, count) => {
      if (slot.startsWith("draft/n0/")) throw new AppError("caller", "replay.missing", "no reply for n0");
      return usual(purpose, slot, count);
    });
    const on = bench(llm, fakeReferee(1));
    await createRun(on, "run_a", { attemptsPerNode: { base: 2, max: 2 }, budgetAttempts: 100 });
    const state = await execute(on, "run_a");
    expect(state).toMatchObject({
      status: "paused",
      judged: 6,
      pause: { who: "caller", code: "replay.missing", message: "no reply for n0" },
    });
    for (const nodeId of ["n1", "n2", "n3"]) expect(state.tree.nodes.get(nodeId)?.attempts).toHaveLength(2);
  });
});

describe("a store that fails under a lane's step", () => {
  const failingPut = (times: number, error: () => Error) => {
    let left = times;
    return stage({
      llm: goodModel(0, 4),
      referee: fakeReferee(0),
      wrap: (ports) => ({
        ...ports,
        blobs: {
          ...ports.blobs,
          put: async (key, bytes) => {
            if (key.includes("/kernels/") && left-- > 0) throw error();
            return ports.blobs.put(key, bytes);
          },
        },
      }),
    });
  };

  test("once, in a way that may pass: the engine runs the step again, and no lane stops", async () => {
    const on = failingPut(1, () => new AppError("retry", "store.busy", "the store is busy"));
    await createRun(on, "run_a", { budgetAttempts: 100, attemptsPerNode: { base: 2, max: 2 } });
    const state = await execute(on, "run_a");
    const stops = (await on.events.read("run_a", 0)).flatMap(({ event }) =>
      event.type === "lane.stopped" && event.error ? [event] : [],
    );
    expect(stops).toEqual([]);
    expect(state).toMatchObject({ status: "succeeded", judged: 8 });
  });

  test("in every try of the engine: the lane's stop says what happened, and that another try may help", async () => {
    const on = failingPut(0, () => new Error("unused"));
    await createRun(on, "run_a");
    const error = { Error: "ksearch.Retry", Cause: "the table is throttled" };
    await on.steps.laneFailed({ runId: "run_a", epoch: 1, round: 1, lane: 1, left: 3, error });
    expect((await on.events.read("run_a", 0)).at(-1)?.event).toMatchObject({
      type: "lane.stopped",
      message: "a store stayed out of reach: the table is throttled",
      error: { who: "retry", code: "store.unreachable" },
    });
  });

  test("for ever: the run pauses with the store's own words; with space again it goes on and pays no draft twice", async () => {
    const on = failingPut(
      1_000,
      () => new AppError("operator", "store.files", "no space left; free space, then resume"),
    );
    await createRun(on, "run_a", { budgetAttempts: 8 });
    expect(await execute(on, "run_a")).toMatchObject({
      status: "paused",
      pause: { code: "store.files", message: expect.stringContaining("free space") },
    });
    const drafted = (await on.blobs.list("runs/run_a/calls/")).filter((key) => key.endsWith("draft/answer.json"));
    const llm = goodModel(0, 4);
    expect(await execute(bench(llm, fakeReferee(0), on.folder), "run_a")).toMatchObject({
      status: "succeeded",
      judged: 8,
    });
    const asked = llm.requests.map((request) => keys.answer("run_a", request.call));
    expect(asked.filter((key) => drafted.includes(key))).toEqual([]);
  });
});

describe("money", () => {
  test("what the rows say, what the log says and what the purse says is one sum", async () => {
    const on = bench(goodModel(0, 12), fakeReferee(0));
    await createRun(on, "run_a");
    const state = await execute(on, "run_a");
    const { rows, sum, spent, balance } = await accounts(on, "run_a");
    expect(sum).toBe(spent);
    expect(balance).toEqual({ capMicroUsd: null, reservedMicroUsd: 0, spentMicroUsd: sum });
    expect(sum).toBe(150 * rows.filter((row) => row.to === "llm").length);
    expect(rows.filter((row) => row.to === "llm")).toHaveLength(state.callsMade.llm);
    expect(new Set(rows.map((row) => row.key)).size).toBe(rows.length);
    const perAttempt = state.attempts.reduce((total, attempt) => total + attempt.costMicroUsd, 0);
    expect(perAttempt).toBe(150 * state.attempts.length);
  });

  test("a cap ends the run as a success with its best so far; it is never overspent", async () => {
    const llm = goodModel(0, 12);
    const on = bench(llm, fakeReferee(0));
    const cap = 9_000;
    await createRun(on, "run_a", { budgetMicroUsd: cap, budgetAttempts: 1_000 });
    const state = await execute(on, "run_a");
    expect(state).toMatchObject({ status: "succeeded", reason: expect.stringMatching(/money/), pause: null });
    expect(state.confirmed).toBe(state.best?.kernelId);
    expect(state.judged).toBeGreaterThan(0);
    const { sum, spent, balance } = await accounts(on, "run_a");
    expect(sum).toBe(spent);
    expect(sum).toBeLessThanOrEqual(cap);
    expect(balance.reservedMicroUsd).toBe(0);
  });

  test("a cap that does not cover the first question: nothing is asked, and the run ends with the reason", async () => {
    const llm = goodModel(0, 4);
    const on = bench(llm, fakeReferee(0));
    await createRun(on, "run_a", { budgetMicroUsd: 10 });
    expect(await execute(on, "run_a")).toMatchObject({
      status: "failed",
      reason: expect.stringContaining("money budget"),
      spentMicroUsd: 0,
    });
    expect(llm.requests).toEqual([]);
  });

  test("a call that was in flight when the process died is booked at its worst case, and asked again once", async () => {
    const never = { ...goodModel(0, 4), submit: () => new Promise<never>(() => undefined) };
    const dead = bench(never, fakeReferee(0));
    await createRun(dead, "run_a", { lanes: 1, budgetAttempts: 2 });
    await dead.engine.start({ runId: "run_a", lanes: 1 });
    while ((await dead.log.state("run_a")).calls.get("init1")?.state !== "submitted")
      await new Promise((resolve) => setTimeout(resolve, 2));
    const worst = (await dead.money.balance("run_a")).reservedMicroUsd;
    expect(worst).toBeGreaterThan(1_000);

    const llm = goodModel(0, 4);
    const on = bench(llm, fakeReferee(0), dead.folder);
    expect(await execute(on, "run_a", 1)).toMatchObject({ status: "succeeded", judged: 2 });
    expect(llm.requests.filter((request) => request.call === "init1")).toHaveLength(1);
    const { rows, sum, spent, balance } = await accounts(on, "run_a");
    expect(rows.slice(0, 2)).toMatchObject([
      { key: "init1#1", outcome: "lost", costMicroUsd: worst },
      { key: "init1#2", outcome: "answered", costMicroUsd: 150 },
    ]);
    expect(sum).toBe(spent);
    expect(balance.reservedMicroUsd).toBe(0);
  });
});

describe("a run that has ended", () => {
  test("is not touched by another execution: it fails, and the run stays what it was", async () => {
    const on = bench(goodModel(0, 4), fakeReferee(0));
    await createRun(on, "run_a", { budgetAttempts: 2 });
    const ended = await execute(on, "run_a");
    expect(ended.status).toBe("succeeded");
    await expect(execute(on, "run_a")).rejects.toThrow();
    expect(await refold(on, "run_a")).toEqual(ended);
    expect(await on.runs.get("run_a")).toMatchObject({ status: "succeeded" });
  });

  test("a run that does not exist cannot be executed, and nothing is made for it", async () => {
    const on = bench(goodModel(0, 4), fakeReferee(0));
    await expect(execute(on, "run_none")).rejects.toThrow();
    expect(await on.events.read("run_none", 0)).toEqual([]);
  });
});
