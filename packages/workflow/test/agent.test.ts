import { agentLlm, deliver } from "@ksearch/adapters/agent";
import type { OpenCall } from "@ksearch/domain";
import { describe, expect, test } from "vitest";
import { endCanceled, keys, requestPause, resultFolder } from "../src/index.ts";
import { type Bench, createRun, execute, fakeReferee, goodModel, kernelReply, refold, stage, world } from "./fakes.ts";

const withAgent = (folder?: string) =>
  stage({
    llm: goodModel(0, 0),
    referee: fakeReferee(0),
    ...(folder === undefined ? {} : { folder }),
    wrap: (ports) => ({ ...ports, llm: agentLlm(ports.blobs) }),
  });

const soon = () => new Promise((resolve) => setTimeout(resolve, 5));
const requestCancel = (on: Bench) =>
  on.log.commit("run_a", () => ({ events: [{ type: "cancel.requested" }], result: null }));

const openPrompts = async (on: Bench): Promise<OpenCall[]> =>
  [...(await on.log.state("run_a")).calls.values()].filter(
    (call) => call.state === "submitted" && call.ticket !== null,
  );

async function promptFor(on: Bench, purpose: string): Promise<OpenCall> {
  for (;;) {
    const open = (await openPrompts(on)).find((call) => call.purpose === purpose);
    if (open) return open;
    await soon();
  }
}

const replyTo = ({ purpose, slot }: OpenCall): string =>
  purpose === "init" ? world(3) : purpose === "draft" ? kernelReply(1.5, slot) : '{"ops": []}';

/** Somebody outside who answers every open prompt, `until` it is enough; what was answered. */
async function answerAll(on: Bench, until: () => boolean): Promise<string[]> {
  const answered: string[] = [];
  while (!until()) {
    for (const open of await openPrompts(on)) {
      expect(await on.blobs.get(keys.prompt("run_a", open.call))).not.toBeNull();
      if ((await deliver(on.blobs, "run_a", open.call, replyTo(open), "a person")) === "written")
        answered.push(open.call);
    }
    await soon();
  }
  return answered;
}

const few = { lanes: 2, budgetAttempts: 4, attemptsPerNode: { base: 2, max: 2 } };

describe("answers from outside", () => {
  test("a whole search: each prompt lies open in the log, is answered once, and its answer is picked up", async () => {
    const on = withAgent();
    await createRun(on, "run_a", few);
    let done = false;
    const ended = execute(on, "run_a", 2).finally(() => {
      done = true;
    });
    const answered = await answerAll(on, () => done);
    const state = await ended;
    expect(state).toMatchObject({ status: "succeeded", judged: 4 });
    expect(new Set(answered).size).toBe(answered.length);
    expect(answered).toHaveLength(state.callsMade.llm);
    for (const collect of ["CollectInit", "CollectDraft", "CollectRefine"]) expect(on.visited).toContain(collect);
    expect((await on.money.rows("run_a")).find((row) => row.to === "llm")).toMatchObject({
      model: "a person",
      costMicroUsd: 0,
    });
  });

  test("nobody answers: the run waits, and does not ask again", async () => {
    const on = withAgent();
    await createRun(on, "run_a", few);
    const ended = execute(on, "run_a", 2);
    const { call } = await promptFor(on, "init");
    while (on.visited.filter((name) => name === "CollectInit").length < 5) await soon();
    const state = await on.log.state("run_a");
    expect(state).toMatchObject({ status: "running", callsMade: { llm: 1 } });
    expect(state.calls.get(call)).toMatchObject({ submission: 1, state: "submitted" });
    await requestCancel(on);
    await ended;
  });

  test("an answer that comes while no process runs is found by the next, which asks nothing again", async () => {
    const first = withAgent();
    await createRun(first, "run_a", few);
    const id = await first.engine.start({ runId: "run_a", lanes: 2 });
    const open = await promptFor(first, "init");
    await first.engine.stop(id);
    await deliver(first.blobs, "run_a", open.call, replyTo(open), "a person");

    const on = withAgent(first.folder);
    let done = false;
    const ended = execute(on, "run_a", 2).finally(() => {
      done = true;
    });
    const answered = await answerAll(on, () => done);
    expect(await ended).toMatchObject({ status: "succeeded", epoch: 2, judged: 4 });
    expect(answered).not.toContain(open.call);
    const submissions = (await on.events.read("run_a", 0)).flatMap(({ event }) =>
      event.type === "call.submitted" && event.call === open.call ? [event.submission] : [],
    );
    expect(submissions).toEqual([1]);
  });

  test("an answer that is none is refused, and a new prompt lies open with the reason", async () => {
    const on = withAgent();
    await createRun(on, "run_a", few);
    const ended = execute(on, "run_a", 2);
    const first = await promptFor(on, "init");
    await deliver(on.blobs, "run_a", first.call, "hello?", "a person");
    let second = first;
    while (second.call === first.call) {
      await soon();
      second = await promptFor(on, "init");
    }
    const prompt = new TextDecoder().decode((await on.blobs.get(keys.prompt("run_a", second.call))) ?? undefined);
    expect(prompt).toContain("decision_tree");
    expect((await on.log.state("run_a")).initRefusals).toHaveLength(1);
    await requestCancel(on);
    await ended;
  });
});

describe("cancel", () => {
  test.each(["init", "draft", "refine", "propose"])(
    "while a prompt of the kind '%s' waits for its answer: the run ends as canceled",
    async (purpose) => {
      const on = withAgent();
      await createRun(on, "run_a", { lanes: 1, attemptsPerNode: { base: 1, max: 1 }, budgetAttempts: 100 });
      const ended = execute(on, "run_a", 1);
      let waiting = false;
      const seen = promptFor(on, purpose).then(() => {
        waiting = true;
      });
      while (!waiting) {
        for (const open of await openPrompts(on))
          if (open.purpose !== purpose) await deliver(on.blobs, "run_a", open.call, replyTo(open), "a person");
        await soon();
      }
      await seen;
      await requestCancel(on);
      const state = await ended;
      expect(state).toMatchObject({ status: "canceled", reason: expect.stringContaining("canceled"), pause: null });
      expect(await on.runs.get("run_a")).toMatchObject({ status: "canceled" });
      expect((await on.blobs.list(`${resultFolder(state)}/`)).some((key) => key.endsWith("report.md"))).toBe(true);
    },
  );

  test("in the middle of a search: lanes start nothing more, and the best so far is in the result folder", async () => {
    const llm = goodModel(2, 12);
    const on = stage({ llm, referee: fakeReferee(2) });
    await createRun(on, "run_a", { budgetAttempts: 1_000, attemptsPerNode: { base: 20, max: 20 } });
    const ended = execute(on, "run_a");
    while ((await on.log.state("run_a")).judged < 5) await soon();
    await requestCancel(on);
    const asked = llm.requests.length;
    const state = await ended;
    expect(state).toMatchObject({ status: "canceled", confirmed: null });
    expect(llm.requests.length).toBeLessThanOrEqual(asked + 4);
    expect(state.best).not.toBeNull();
    expect(await on.blobs.list(`${resultFolder(state)}/`)).toContain(`${resultFolder(state)}/solution.json`);
    expect(await refold(on, "run_a")).toEqual(state);
    expect((await on.money.balance("run_a")).reservedMicroUsd).toBe(0);
  });

  test("before anything began: nothing is asked", async () => {
    const llm = goodModel(0, 4);
    const on = stage({ llm, referee: fakeReferee(0) });
    await createRun(on, "run_a");
    await requestCancel(on);
    expect(await execute(on, "run_a")).toMatchObject({ status: "canceled" });
    expect(llm.requests).toEqual([]);
  });

  test("after a pause: the result says canceled, and the pause's own stays", async () => {
    const on = stage({ llm: goodModel(5, 12), referee: fakeReferee(5) });
    await createRun(on, "run_a", { budgetAttempts: 1_000 });
    const ended = execute(on, "run_a");
    while ((await on.log.state("run_a")).judged === 0) await soon();
    await requestPause(on, "run_a", "lunch");
    const paused = await ended;
    await requestCancel(on);
    await endCanceled(on, on.llm, "run_a");
    const canceled = await on.log.state("run_a");
    const statusIn = async (state: typeof paused) =>
      /\| status \| (.*) \|/.exec(
        new TextDecoder().decode((await on.blobs.get(`${resultFolder(state)}/report.md`)) ?? undefined),
      )?.[1];
    expect(await statusIn(paused)).toBe("paused: lunch");
    expect(await statusIn(canceled)).toBe("canceled: the run was canceled");
  });

  test("a canceled run cannot be resumed", async () => {
    const on = stage({ llm: goodModel(0, 4), referee: fakeReferee(0) });
    await createRun(on, "run_a");
    await requestCancel(on);
    const canceled = await execute(on, "run_a");
    await expect(execute(on, "run_a")).rejects.toThrow();
    expect(await refold(on, "run_a")).toEqual(canceled);
  });
});
