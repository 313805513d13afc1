import { AppError, type RunEvent } from "@ksearch/domain";
import type { Llm, LlmAnswer, LlmRequest } from "@ksearch/ports";
import { describe, expect, test } from "vitest";
import { endCanceled, keys, putJson, requestCancel, requestPause } from "../src/index.ts";
import {
  accounts,
  type Bench,
  bench,
  createRun,
  execute,
  fakeReferee,
  goodModel,
  kernelReply,
  stage,
  world,
} from "./fakes.ts";

/** Replies that cost money and come later: a provider's background mode. */

const usage = { inputTokens: 100, cachedInputTokens: 0, outputTokens: 50, reasoningTokens: 0, estimated: false };
const answered = (text: string): { answer: LlmAnswer } => ({ answer: { text, model: "later", usage, cut: null } });
const usual = ({ purpose, slot }: LlmRequest, count: number): string =>
  purpose === "init" ? world(3) : purpose === "draft" ? kernelReply(1 + count / 100, slot) : '{"ops": []}';

type Provider = {
  /** What a collect of a submission says before its answer: nothing more when this runs out. */
  before?: (request: LlmRequest, nth: number) => (Awaited<ReturnType<Llm["collect"]>> | AppError)[];
};

/** A provider whose work outlives the processes that ask it; `llm()` is one process's way to it. */
function provider({ before = () => [] }: Provider = {}) {
  const submitted: LlmRequest[] = [];
  const collected: string[] = [];
  const canceled: string[] = [];
  const scripts = new Map<string, ReturnType<Required<Provider>["before"]>>();
  const llm: Llm = {
    async submit(request) {
      const nth = submitted.push(request);
      const same = submitted.filter(({ call }) => call === request.call).length;
      scripts.set(`response-${nth}`, [...before(request, same)]);
      return { ticket: `response-${nth}` };
    },
    async collect(ticket, model) {
      collected.push(`${ticket} ${model}`);
      const said = scripts.get(ticket)?.shift();
      if (said instanceof AppError) throw said;
      const nth = Number(ticket.slice("response-".length));
      const request = submitted[nth - 1];
      if (!request) throw new Error(`nobody submitted ${ticket}`);
      return said ?? answered(usual(request, nth));
    },
    cancel: async (ticket, model) => {
      canceled.push(`${ticket} ${model}`);
    },
    price: (used) => used.inputTokens + used.outputTokens,
  };
  return { llm, submitted, collected, canceled };
}

const small = { lanes: 1, budgetAttempts: 2, attemptsPerNode: { base: 2, max: 2 } };
const timesAsked = (at: ReturnType<typeof provider>, call: string) =>
  at.submitted.filter((request) => request.call === call).length;
const soon = () => new Promise((resolve) => setTimeout(resolve, 5));
const until = async (isSo: () => Promise<boolean> | boolean) => {
  for (let time = 0; !(await isSo()); time += 1) {
    if (time > 2_000) throw new Error("waited in vain");
    await soon();
  }
};
const ticketOf = async (on: Bench, call: string) => (await on.log.state("run_a")).calls.get(call)?.ticket ?? null;
const ofType = async <T extends RunEvent["type"]>(on: Bench, type: T) =>
  (await on.events.read("run_a", 0)).flatMap(({ event }) =>
    event.type === type ? [event as Extract<RunEvent, { type: T }>] : [],
  );
const running = Array<"running">(3).fill("running");

describe("a ticket", () => {
  test("is collected until the answer is there, and asked for once", async () => {
    const at = provider({ before: () => running });
    const on = bench(at.llm, fakeReferee(0));
    await createRun(on, "run_a", small);
    expect(await execute(on, "run_a", 1)).toMatchObject({ status: "succeeded", judged: 2 });
    expect(new Set(at.submitted.map(({ call }) => call)).size).toBe(at.submitted.length);
    const { rows, sum, spent } = await accounts(on, "run_a");
    expect(sum).toBe(spent);
    expect(rows.filter(({ to }) => to === "llm").every(({ outcome }) => outcome === "answered")).toBe(true);
  });

  test("of a dead process is collected by the next one, not paid again", async () => {
    const at = provider({ before: ({ purpose }) => (purpose === "draft" ? Array(50).fill("running") : []) });
    const dead = stage({ llm: at.llm, referee: fakeReferee(0), waitMs: 5 });
    await createRun(dead, "run_a", small);
    const id = await dead.engine.start({ runId: "run_a", lanes: 1 });
    const call = "lane1-cycle1/attempt1/draft";
    await until(async () => (await ticketOf(dead, call)) !== null);
    await dead.engine.stop(id);

    const on = stage({ llm: at.llm, referee: fakeReferee(0), folder: dead.folder, waitMs: 5 });
    expect(await execute(on, "run_a", 1)).toMatchObject({ status: "succeeded", epoch: 2, judged: 2 });
    expect(timesAsked(at, call)).toBe(1);
    const { rows, sum, spent } = await accounts(on, "run_a");
    expect(rows.filter(({ key }) => key.startsWith(call)).map(({ outcome }) => outcome)).toEqual(["answered"]);
    expect(sum).toBe(spent);
  });

  test("stands when the provider cannot be reached for a while: the reply is paid, and asked for once", async () => {
    const away = new AppError("retry", "llm.server", "the endpoint failed (503)");
    const at = provider({ before: () => [away, "running", away] });
    const on = bench(at.llm, fakeReferee(0));
    await createRun(on, "run_a", small);
    expect(await execute(on, "run_a", 1)).toMatchObject({ status: "succeeded", judged: 2 });
    expect(new Set(at.submitted.map(({ call }) => call)).size).toBe(at.submitted.length);
    expect(await ofType(on, "call.failed")).toEqual([]);
  });

  test("stands when somebody must act first: the run pauses, and a resume collects it", async () => {
    const revoked = new AppError("caller", "llm.auth", "the key was refused");
    const at = provider({ before: ({ call }) => (call === "lane1-cycle1/attempt1/draft" ? [revoked] : []) });
    const on = bench(at.llm, fakeReferee(0));
    await createRun(on, "run_a", small);
    expect(await execute(on, "run_a", 1)).toMatchObject({ status: "paused", pause: { code: "llm.auth" } });
    const again = bench(at.llm, fakeReferee(0), on.folder);
    expect(await execute(again, "run_a", 1)).toMatchObject({ status: "succeeded", judged: 2 });
    expect(timesAsked(at, "lane1-cycle1/attempt1/draft")).toBe(1);
    const { sum, spent, balance } = await accounts(again, "run_a");
    expect(sum).toBe(spent);
    expect(balance.reservedMicroUsd).toBe(0);
  });

  test("whose answer is no longer kept is a loss at the worst case, and asked anew", async () => {
    const gone = { ended: new AppError("retry", "llm.expired", "the answer is gone") };
    const at = provider({ before: ({ call }, nth) => (call.endsWith("attempt1/draft") && nth === 1 ? [gone] : []) });
    const on = bench(at.llm, fakeReferee(0));
    await createRun(on, "run_a", small);
    expect(await execute(on, "run_a", 1)).toMatchObject({ status: "succeeded", judged: 2 });
    const [failed, ...others] = await ofType(on, "call.failed");
    const worst = (await ofType(on, "call.submitted")).find(({ call }) => call === failed?.call)?.reservedMicroUsd;
    expect(failed).toMatchObject({ code: "llm.expired", costMicroUsd: worst });
    expect(others).toEqual([]);
    const { rows, sum, spent } = await accounts(on, "run_a");
    const draft = rows.filter(({ key }) => key.includes("attempt1/draft"));
    expect(draft).toMatchObject([
      { outcome: "lost", purpose: "draft", asked: "fake", costMicroUsd: worst },
      { outcome: "answered", costMicroUsd: 150 },
    ]);
    expect(sum).toBe(spent);
    expect((await on.log.state("run_a")).attempts[0]?.costMicroUsd).toBe((worst ?? 0) + 150);
  });

  test("whose answer is never kept: three losses, then the run pauses and says so", async () => {
    const gone = { ended: new AppError("retry", "llm.expired", "the answer is gone") };
    const at = provider({ before: ({ purpose }) => (purpose === "draft" ? [gone] : []) });
    const on = bench(at.llm, fakeReferee(0));
    await createRun(on, "run_a", small);
    expect(await execute(on, "run_a", 1)).toMatchObject({ status: "paused", pause: { code: "llm.expired" } });
    expect(timesAsked(at, "lane1-cycle1/attempt1/draft")).toBe(3);
  });
});

describe("the end of a run with replies on their way", () => {
  const slow = () => provider({ before: ({ purpose }) => (purpose === "draft" ? Array(1_000).fill("running") : []) });

  test("a canceled run cancels them at the provider, and books what they may have cost", async () => {
    const at = slow();
    const on = stage({ llm: at.llm, referee: fakeReferee(0), waitMs: 5 });
    await createRun(on, "run_a", { ...small, lanes: 2 });
    const ended = execute(on, "run_a", 2);
    await until(() => at.submitted.filter(({ purpose }) => purpose === "draft").length === 2);
    await requestCancel(on, "run_a");
    expect(await ended).toMatchObject({ status: "canceled" });
    expect([...at.canceled].sort()).toEqual(["response-2 fake", "response-3 fake"]);
    const { rows, sum, spent, balance } = await accounts(on, "run_a");
    const drafts = rows.filter(({ purpose }) => purpose === "draft");
    expect(drafts.map(({ outcome }) => outcome)).toEqual(["lost", "lost"]);
    expect(drafts.every(({ costMicroUsd }) => costMicroUsd > 1_000)).toBe(true);
    expect(sum).toBe(spent);
    expect(balance.reservedMicroUsd).toBe(0);
  });

  test.each([
    ["and tells the provider", true, ["response-2 fake"]],
    ["and cannot tell the provider, without a key", false, []],
  ])("a run that is canceled when no process is at work books them %s", async (_, isTold, canceled) => {
    const at = slow();
    const dead = stage({ llm: at.llm, referee: fakeReferee(0), waitMs: 5 });
    await createRun(dead, "run_a", small);
    const id = await dead.engine.start({ runId: "run_a", lanes: 1 });
    await until(async () => (await ticketOf(dead, "lane1-cycle1/attempt1/draft")) !== null);
    await dead.engine.stop(id);
    const on = bench(at.llm, fakeReferee(0), dead.folder);
    await requestCancel(on, "run_a");
    await endCanceled(on, isTold ? at.llm : null, "run_a");
    expect(await on.log.state("run_a")).toMatchObject({ status: "canceled" });
    expect(at.canceled).toEqual(canceled);
    const { rows, sum, spent } = await accounts(on, "run_a");
    expect(rows.at(-1)).toMatchObject({ outcome: "lost", purpose: "draft" });
    expect(sum).toBe(spent);
  });

  test("a provider that cannot be told does not keep a run from its end", async () => {
    const at = slow();
    const deaf = { ...at.llm, cancel: () => Promise.reject(new AppError("retry", "llm.network", "nobody there")) };
    const on = stage({ llm: deaf, referee: fakeReferee(0), waitMs: 5 });
    await createRun(on, "run_a", small);
    const ended = execute(on, "run_a", 1);
    await until(() => at.submitted.length === 2);
    await requestCancel(on, "run_a");
    expect(await ended).toMatchObject({ status: "canceled" });
    expect(await ofType(on, "call.failed")).toMatchObject([
      { code: "llm.cancelled", message: expect.stringContaining("nobody there") },
    ]);
  });

  test("a pause lets them come and records them; nothing new is asked", async () => {
    let isDone = false;
    const at = provider();
    const { collect } = at.llm;
    at.llm.collect = async (ticket, model) => (ticket === "response-1" || isDone ? collect(ticket, model) : "running");
    const on = stage({ llm: at.llm, referee: fakeReferee(0), waitMs: 5 });
    await createRun(on, "run_a", small);
    const ended = execute(on, "run_a", 1);
    const call = "lane1-cycle1/attempt1/draft";
    await until(async () => (await ticketOf(on, call)) !== null);
    await requestPause(on, "run_a", "paused by SIGINT");
    await soon();
    isDone = true;
    expect(await ended).toMatchObject({ status: "paused", judged: 0 });
    expect(await on.blobs.get(keys.answer("run_a", call))).not.toBeNull();
    expect(at.submitted).toHaveLength(2);
    expect(at.canceled).toEqual([]);
    const again = bench(at.llm, fakeReferee(0), on.folder);
    expect(await execute(again, "run_a", 1)).toMatchObject({ status: "succeeded", judged: 2 });
    expect(timesAsked(at, call)).toBe(1);
  });
});

describe("a reply that was paid and did not arrive", () => {
  test("because the connection broke: booked at its worst case, and asked anew at once", async () => {
    const llm = goodModel(0, 3);
    let broken = 0;
    const flaky: Llm = {
      ...llm,
      submit: async (request) => {
        if (request.call.endsWith("attempt1/draft") && ++broken < 3)
          throw new AppError("retry", "llm.broken", "the connection broke");
        return llm.submit(request);
      },
    };
    const on = bench(flaky, fakeReferee(0));
    await createRun(on, "run_a", small);
    expect(await execute(on, "run_a", 1)).toMatchObject({ status: "succeeded", judged: 2, round: 1 });
    const { rows, sum, spent } = await accounts(on, "run_a");
    expect(rows.filter(({ key }) => key.includes("attempt1/draft")).map(({ outcome }) => outcome)).toEqual([
      "lost",
      "lost",
      "answered",
    ]);
    expect(sum).toBe(spent);
  });

  test.each([1, 2])("in the store, which was busy %i times: it is stored later, and asked for once", async (times) => {
    const llm = goodModel(0, 3);
    let left = times;
    const on = stage({
      llm,
      referee: fakeReferee(0),
      wrap: (ports) => ({
        ...ports,
        blobs: {
          ...ports.blobs,
          put: async (key, bytes) => {
            if (key.endsWith("draft/answer.json") && left-- > 0)
              throw new AppError("retry", "store.busy", "the store is busy");
            return ports.blobs.put(key, bytes);
          },
        },
      }),
    });
    await createRun(on, "run_a", { ...small, lanes: 2, budgetAttempts: 4 });
    // The engine runs the step again, which has the reply still at hand.
    expect(await execute(on, "run_a", 2)).toMatchObject({ status: "succeeded", judged: 4 });
    const calls = llm.requests.map(({ call }) => call);
    expect(new Set(calls).size).toBe(calls.length);
    const { rows, sum, spent } = await accounts(on, "run_a");
    expect(rows.filter(({ outcome }) => outcome !== "answered")).toEqual([]);
    expect(sum).toBe(spent);
  });

  test("because the run had no use for it any more: it is booked at what it cost", async () => {
    const on = bench(goodModel(0, 3), fakeReferee(0));
    await createRun(on, "run_a", { ...small, budgetAttempts: 1 });
    await on.log.commit("run_a", () => ({
      events: [
        {
          type: "call.submitted",
          call: "propose1",
          to: "llm",
          purpose: "propose",
          slot: "propose/1",
          model: "fake",
          submission: 1,
          reservedMicroUsd: 9_999,
        },
      ],
      result: null,
    }));
    await putJson(on.blobs, keys.answer("run_a", "propose1"), answered("{}").answer);
    expect(await execute(on, "run_a", 1)).toMatchObject({ status: "succeeded" });
    const { rows, sum, spent } = await accounts(on, "run_a");
    expect(rows.find(({ key }) => key === "propose1#1")).toMatchObject({ outcome: "answered", costMicroUsd: 150 });
    expect(sum).toBe(spent);
  });
});
