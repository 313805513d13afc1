import { AppError, type RunEvent } from "@ksearch/domain";
import type { LlmRequest } from "@ksearch/ports";
import { describe, expect, test } from "vitest";
import {
  accounts,
  type Bench,
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

/** Several models in one run. */

const models = ["strong", "weak"] as [string, ...string[]];
const several = { models, treeModel: "cheap", lanes: 2, budgetAttempts: 12, attemptsPerNode: { base: 2, max: 2 } };
const usual = ({ purpose, slot }: LlmRequest, count: number): string =>
  purpose === "init" ? world(6) : purpose === "draft" ? kernelReply(1 + count / 100, slot) : '{"ops": []}';
const asked = (requests: readonly LlmRequest[], isDraft: boolean) =>
  new Set(requests.filter(({ purpose }) => (purpose === "draft") === isDraft).map(({ model }) => model));
const ofType = async <T extends RunEvent["type"]>(on: Bench, type: T) =>
  (await on.events.read("run_a", 0)).flatMap(({ event }) =>
    event.type === type ? [event as Extract<RunEvent, { type: T }>] : [],
  );

test("drafts are shared by the models, the tree is edited by its own; attempts, calls and rows say by whom", async () => {
  const llm = fakeLlm(0, usual);
  const on = bench(
    { ...llm, price: (used, model) => (model === "strong" ? 10 : 1) * used.outputTokens },
    fakeReferee(0),
  );
  await createRun(on, "run_a", several);
  const state = await execute(on, "run_a", 2);
  expect(state).toMatchObject({ status: "succeeded", judged: 12 });
  expect(asked(llm.requests, true)).toEqual(new Set(models));
  expect(asked(llm.requests, false)).toEqual(new Set(["cheap"]));
  for (const { model, cycle, attempt, llmMicroUsd } of state.attempts) {
    const request = llm.requests.find(({ call }) => call === `${cycle}/attempt${attempt}/draft`);
    expect(request?.model).toBe(model);
    expect(llmMicroUsd).toBe(model === "strong" ? 500 : 50);
  }
  const submitted = await ofType(on, "call.submitted");
  expect(submitted.filter(({ to, model }) => (to === "referee") !== (model === null))).toEqual([]);
  const { rows, sum, spent } = await accounts(on, "run_a");
  expect(sum).toBe(spent);
  for (const { key, asked: label, purpose } of rows) {
    const call = submitted.find((event) => `${event.call}#${event.submission}` === key);
    expect({ label, purpose }).toEqual({ label: call?.model, purpose: call?.purpose });
  }
  expect(await refold(on, "run_a")).toEqual(state);
});

test("without a model for the tree the first one edits it; with one model no attempt names it", async () => {
  const llm = fakeLlm(0, usual);
  const on = bench(llm, fakeReferee(0));
  await createRun(on, "run_a", { ...several, treeModel: null });
  await execute(on, "run_a", 2);
  expect(asked(llm.requests, false)).toEqual(new Set(["strong"]));
  const single = bench(goodModel(0, 4), fakeReferee(0));
  await createRun(single, "run_a", { budgetAttempts: 2 });
  expect((await execute(single, "run_a")).attempts.map(({ model }) => model)).toEqual([null, null]);
});

test("a resume asks the model that the attempt was begun with", async () => {
  const never = {
    ...goodModel(0, 6),
    submit: async (request: LlmRequest) => {
      if (request.purpose === "draft") return new Promise<never>(() => undefined);
      return goodModel(0, 6).submit(request);
    },
  };
  const dead = stage({ llm: never, referee: fakeReferee(0) });
  await createRun(dead, "run_a", { ...several, lanes: 4 });
  const id = await dead.engine.start({ runId: "run_a", lanes: 4 });
  while ([...(await dead.log.state("run_a")).calls.values()].filter(({ purpose }) => purpose === "draft").length < 4)
    await new Promise((resolve) => setTimeout(resolve, 2));
  await dead.engine.stop(id);
  const begun = (await dead.log.state("run_a")).attempts.map(({ model }) => model);
  expect(new Set(begun)).toEqual(new Set(models));

  const llm = fakeLlm(0, usual);
  const on = bench(llm, fakeReferee(0), dead.folder);
  const state = await execute(on, "run_a", 4);
  expect(state).toMatchObject({ status: "succeeded", judged: 12 });
  for (const [index, model] of begun.entries()) {
    const { cycle, attempt } = state.attempts[index] ?? { cycle: "", attempt: 0 };
    expect(llm.requests.find(({ call }) => call === `${cycle}/attempt${attempt}/draft`)?.model).toBe(model);
  }
});

describe("other models from a resume on", () => {
  const change = (on: Bench, to: [string, ...string[]]) =>
    on.log.commit("run_a", () => ({
      events: [{ type: "models.changed", models: to, treeModel: null, modelLabel: to.join(), choice: "k" }],
      result: null,
    }));

  test("only they are asked, for attempts that were begun too; what the old one has on its way it still answers", async () => {
    const tickets: string[] = [];
    const collected: string[] = [];
    const late = {
      ...goodModel(0, 6),
      submit: async (request: LlmRequest) => {
        if (request.purpose !== "draft") return goodModel(0, 6).submit(request);
        if (request.model === "weak") throw new AppError("caller", "llm.quota", "no credit left for weak");
        tickets.push(request.call);
        return { ticket: request.call };
      },
    };
    const dead = stage({ llm: late, referee: fakeReferee(0), waitMs: 5 });
    await createRun(dead, "run_a", { ...several, treeModel: null });
    const id = await dead.engine.start({ runId: "run_a", lanes: 2 });
    while (tickets.length === 0 || !(await ofType(dead, "lane.stopped")).length)
      await new Promise((resolve) => setTimeout(resolve, 2));
    await dead.engine.stop(id);

    const llm = fakeLlm(0, usual);
    const on = bench(
      {
        ...llm,
        collect: async (ticket, model) => {
          collected.push(`${ticket} ${model}`);
          const usage = { inputTokens: 1, cachedInputTokens: 0, outputTokens: 1, reasoningTokens: 0, estimated: false };
          return { answer: { text: kernelReply(1.5, ticket), model: "late", usage, cut: null } };
        },
      },
      fakeReferee(0),
      dead.folder,
    );
    await change(on, ["new", "newer"]);
    const state = await execute(on, "run_a", 2);
    expect(state).toMatchObject({ status: "succeeded", judged: 12 });
    expect(collected).toEqual([`${tickets[0]} strong`]);
    expect([...new Set(llm.requests.map(({ model }) => model))].sort()).toEqual(["new", "newer"]);
    const rows = await on.money.rows("run_a");
    expect(rows.find(({ key }) => key === `${tickets[0]}#1`)).toMatchObject({ asked: "strong", outcome: "answered" });
    expect(state.attempts.map(({ model }) => model)).not.toContain("weak");
  });
});

describe("a model whose endpoint refuses every prompt", () => {
  const refusing = (label: string) =>
    fakeLlm(0, (request, count) => {
      if (request.model === label) throw new AppError("caller", "llm.request", `${label} wants no reasoning_effort`);
      return usual(request, count);
    });

  test("and has answered none: the run pauses with its words, and no attempt is wasted on it", async () => {
    const on = bench(refusing("weak"), fakeReferee(0));
    await createRun(on, "run_a", several);
    const state = await execute(on, "run_a", 2);
    expect(state).toMatchObject({
      status: "paused",
      pause: { who: "caller", code: "llm.request", message: expect.stringContaining("reasoning_effort") },
    });
    expect(state.attempts.filter(({ status }) => status === "unparsable")).toEqual([]);
  });

  test("one prompt of a model that has answered others: an attempt that failed, and the search goes on", async () => {
    let drafts = 0;
    const llm = fakeLlm(0, (request, count) => {
      if (request.purpose === "draft" && ++drafts === 5) throw new AppError("caller", "llm.request", "too long");
      return usual(request, count);
    });
    const on = bench(llm, fakeReferee(0));
    await createRun(on, "run_a", several);
    const state = await execute(on, "run_a", 2);
    expect(state).toMatchObject({ status: "succeeded", judged: 12 });
    expect(state.attempts.filter(({ status }) => status === "unparsable")).toMatchObject([
      { message: expect.stringMatching(/\w/) },
    ]);
  });
});

test("a draft that was cut off at its limit says so, to people and to the next draft", async () => {
  const llm = fakeLlm(0, usual);
  const usage = { inputTokens: 1, cachedInputTokens: 0, outputTokens: 1_000, reasoningTokens: 900, estimated: false };
  const on = bench(
    {
      ...llm,
      submit: async (request) => {
        const sent = await llm.submit(request);
        if (request.slot !== "draft/n0/1") return sent;
        return { answer: { text: '<file name="main.py">\ndef run(', model: "fake", usage, cut: "length" as const } };
      },
    },
    fakeReferee(0),
  );
  await createRun(on, "run_a", { lanes: 1, budgetAttempts: 2 });
  const state = await execute(on, "run_a", 1);
  const words = "the reply was cut off at its limit of 1000 tokens";
  expect(state.attempts[0]).toMatchObject({ status: "unparsable", message: expect.stringContaining(words) });
  expect(llm.requests.find(({ slot }) => slot === "draft/n0/2")?.prompt.user).toContain(words);
});
