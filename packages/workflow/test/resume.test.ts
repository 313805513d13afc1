import { AppError, type RunEvent } from "@ksearch/domain";
import { expect, test } from "vitest";
import type { Ports } from "../src/index.ts";
import { keys } from "../src/index.ts";
import {
  accounts,
  bench,
  createRun,
  execute,
  fakeLlm,
  fakeReferee,
  kernelReply,
  refold,
  stage,
  temporaryFolder,
  world,
} from "./fakes.ts";

/** What a killed process would do at this point: nothing more, ever. */
class Killed extends Error {}

type Moment = "before" | "after";

/** Ports that die at the k-th call that changes something (or costs something), before or after it took effect. */
function mortal(ports: Ports, k: number, moment: Moment) {
  let calls = 0;
  let dead = false;
  const alive = () => {
    if (dead) throw new Killed("killed");
  };
  const deadly =
    <A extends unknown[], R>(work: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      alive();
      calls += 1;
      const fatal = calls === k;
      if (fatal && moment === "before") dead = true;
      alive();
      try {
        return await work(...args);
      } finally {
        if (fatal) dead = true;
        alive();
      }
    };
  const reading =
    <A extends unknown[], R>(work: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      alive();
      return work(...args);
    };
  const { events, runs, money, blobs, llm, referee } = ports;
  const changed: Ports = {
    ...ports,
    events: { append: deadly(events.append), read: reading(events.read) },
    runs: { ...runs, update: deadly(runs.update) },
    money: {
      open: deadly(money.open),
      reserve: deadly(money.reserve),
      settle: deadly(money.settle),
      release: deadly(money.release),
      balance: money.balance,
      rows: money.rows,
    },
    blobs: { put: deadly(blobs.put), get: reading(blobs.get), list: reading(blobs.list) },
    llm: { ...llm, submit: deadly(llm.submit) },
    referee: { ...referee, submit: deadly(referee.submit) },
  };
  return { ports: changed, died: () => dead };
}

const size = { lanes: 2, budgetAttempts: 5, attemptsPerNode: { base: 2, max: 2 }, confirmTop: 2 };

/** A model whose first reply to init is no world; one with a slip is overloaded once, at one draft. */
function model(slips: boolean) {
  let slipped = !slips;
  return fakeLlm(0, ({ purpose, slot }, count) => {
    if (slot === "draft/n1/1" && !slipped) {
      slipped = true;
      throw new AppError("retry", "llm.overloaded", "overloaded");
    }
    if (slot === "init/1") return "no world";
    return purpose === "init" ? world(3) : purpose === "draft" ? kernelReply(1 + count / 100, slot) : '{"ops": []}';
  });
}

const ofType = <T extends RunEvent["type"]>(log: { event: RunEvent }[], type: T) =>
  log.flatMap(({ event }) => (event.type === type ? [event as Extract<RunEvent, { type: T }>] : []));

/** Runs until it is killed at the k-th call, if it comes that far. */
async function runAndDie(k: number, moment: Moment, folder = temporaryFolder(), fresh = true) {
  let death = { died: () => false };
  const [llm, referee] = [model(fresh), fakeReferee(0)];
  const on = stage({
    llm,
    referee,
    folder,
    wrap: (ports) => {
      const changed = mortal(ports, k, moment);
      death = changed;
      return changed.ports;
    },
  });
  if (fresh) await createRun(bench(model(false), fakeReferee(0), folder), "run_a", size);
  await execute(on, "run_a", 2).catch(() => undefined);
  return { folder, died: death.died() };
}

/** What the dead left in the stores. */
async function legacyOf(folder: string) {
  const on = bench(model(false), fakeReferee(0), folder);
  const answers = (await on.blobs.list("runs/run_a/calls/")).filter((key) => key.endsWith("/answer.json"));
  return { answers: new Set(answers), log: await on.events.read("run_a", 0) };
}

/** Executes again on the same folder, as another process would, and checks all that must hold. */
async function resumeAndCheck(folder: string) {
  const legacy = await legacyOf(folder);
  const [llm, referee] = [model(false), fakeReferee(0)];
  const on = bench(llm, referee, folder);
  const last = await on.log.state("run_a");
  const state = last.status === "running" || last.status === "paused" ? await execute(on, "run_a", 2) : last;

  expect(state).toMatchObject({ status: "succeeded", pause: null });
  expect(state.confirmed).not.toBeNull();
  expect(await refold(on, "run_a")).toEqual(state);
  const log = await on.events.read("run_a", 0);
  expect(log.slice(0, legacy.log.length), "what was recorded stands").toEqual(legacy.log);

  const asked = [
    ...llm.requests.map((request) => keys.answer("run_a", request.call)),
    ...referee.requests.map((request) => keys.answer("run_a", request.requestId.slice("run_a/".length))),
  ];
  expect(
    asked.filter((key) => legacy.answers.has(key)),
    "no recorded answer is asked for again",
  ).toEqual([]);

  expect(state.attempts.length).toBeLessThanOrEqual(size.budgetAttempts);
  const judged = ofType(log, "attempt.judged").map((event) => event.attempt);
  expect(new Set(judged).size, "each attempt is judged once").toBe(judged.length);
  expect(judged.length).toBe(state.judged);
  for (const node of state.tree.nodes.values())
    expect(node.attempts.length).toBeLessThanOrEqual(size.attemptsPerNode.max);

  expect(
    [...state.cycles.values()].filter((cycle) => cycle.epoch < state.epoch),
    "claims of the dead are taken over",
  ).toEqual([]);
  expect(
    [...state.calls.values()].filter((call) => call.state === "submitted"),
    "no call is left open",
  ).toEqual([]);

  const { rows, sum, spent, balance } = await accounts(on, "run_a");
  expect(sum, "ledger and log agree").toBe(spent);
  expect(balance).toMatchObject({ reservedMicroUsd: 0, spentMicroUsd: sum });
  expect(new Set(rows.map((row) => row.key)).size).toBe(rows.length);
  const submitted = ofType(log, "call.submitted").map((event) => `${event.call}#${event.submission}`);
  expect(new Set(submitted).size, "each submission has a name of its own").toBe(submitted.length);
  expect(
    rows.filter((row) => !submitted.includes(row.key)),
    "nothing is booked that was not submitted",
  ).toEqual([]);

  expect(await on.runs.get("run_a")).toMatchObject({ status: "succeeded", attempts: state.judged });
  expect(await on.blobs.list(`runs/run_a/result-${state.epoch}/`)).toContain(
    `runs/run_a/result-${state.epoch}/report.md`,
  );
  return { state, rows };
}

test("undisturbed, the search that is killed below makes more calls than the last of these kills", async () => {
  const { died } = await runAndDie(100, "before");
  expect(died).toBe(true);
});

/** Every call of the first sixty; a death after a call leaves what a death before the next one leaves, so fewer of those. */
const kills: [number, Moment][] = Array.from({ length: 60 }, (_, index): [number, Moment][] => [
  [index + 1, "before"],
  ...(index % 4 === 0 ? [[index + 1, "after"] as [number, Moment]] : []),
]).flat();

test.each(kills)(
  "killed at call %i, %s it took effect: resumed, it finishes; nothing recorded is lost, judged or paid again",
  async (k, moment) => {
    const { folder, died } = await runAndDie(k, moment);
    expect(died).toBe(true);
    await resumeAndCheck(folder);
  },
);

test("killed again and again, a few calls further each time, it still gets to its end", async () => {
  const { folder } = await runAndDie(25, "before");
  let deaths = 1;
  for (; deaths < 12; deaths += 1)
    if (!(await runAndDie(9 + deaths, deaths % 2 === 0 ? "before" : "after", folder, false)).died) break;
  expect(deaths).toBeGreaterThan(3);
  const { state } = await resumeAndCheck(folder);
  expect(state.epoch).toBeGreaterThan(4);
});

test("killed with an answer on its way: that one submission is booked as lost at its worst case, and asked once more", async () => {
  const folder = temporaryFolder();
  const on = stage({
    llm: model(false),
    referee: fakeReferee(0),
    folder,
    wrap: (ports) => {
      let dead = false;
      const gone =
        <A extends unknown[], R>(work: (...args: A) => Promise<R>) =>
        async (...args: A): Promise<R> => {
          if (dead) throw new Killed("killed");
          return work(...args);
        };
      return {
        ...ports,
        events: { append: gone(ports.events.append), read: gone(ports.events.read) },
        money: { ...ports.money, settle: gone(ports.money.settle), release: gone(ports.money.release) },
        blobs: { ...ports.blobs, put: gone(ports.blobs.put) },
        llm: {
          ...ports.llm,
          submit: async (request) => {
            const answer = await ports.llm.submit(request);
            if (request.call === "init2") dead = true;
            return answer;
          },
        },
      };
    },
  });
  await createRun(bench(model(false), fakeReferee(0), folder), "run_a", size);
  await execute(on, "run_a", 2).catch(() => undefined);
  const { rows } = await resumeAndCheck(folder);
  const lost = rows.filter((row) => row.outcome === "lost");
  expect(lost.map((row) => row.key)).toEqual(["init2#1"]);
  expect(lost[0]?.costMicroUsd).toBeGreaterThan(1_000);
  expect(rows.filter((row) => row.key.startsWith("init2#")).map((row) => row.outcome)).toEqual(["lost", "answered"]);
});

test("resumed with other numbers of lanes, the work of all the dead ones is taken over", async () => {
  for (const lanes of [1, 6]) {
    const { folder } = await runAndDie(70, "before");
    const on = bench(model(false), fakeReferee(0), folder);
    const state = await execute(on, "run_a", lanes);
    expect(state).toMatchObject({ status: "succeeded", lanes, judged: size.budgetAttempts });
    expect([...state.cycles.values()]).toEqual([]);
  }
});
