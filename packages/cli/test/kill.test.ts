import { cpSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fileBlobs } from "@ksearch/adapters/files";
import { openDatabase, sqliteEvents, sqliteRuns } from "@ksearch/adapters/sqlite";
import { fold, type LoggedEvent, type RunEvent, type RunState, rngFor, type UsageRow } from "@ksearch/domain";
import { getJson, keys } from "@ksearch/workflow";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import {
  callMicroUsd,
  digest,
  type Ended,
  type FakeModel,
  fakeModel,
  type Judged,
  ksearch,
  lastJson,
  newFolder,
  pause,
  problemFolder,
  problemName,
  type Received,
  replyTo,
  type StandIn,
  standInReferee,
  start,
  world,
} from "./stand-ins.ts";

/**
 * design.md 9: "kill -9 anywhere: no recorded answer lost or paid again, same tree". Real processes of the command line
 * die at more than 50 points of their lives. The model is a real HTTP server, the referee a real process (a stand-in that
 * runs no kernel); both write down every request, so that what was asked twice cannot hide.
 */
vi.setConfig({ testTimeout: 30_000 });

const lanes = 4;
const budgetAttempts = 10;
const runs = 10;
const killsWanted = 50;

const anywhere = ["--world-model", "--target-gpu", "cpu", "--language", "python"];
const searchFlags = [...anywhere, "--lanes", `${lanes}`, "--budget-attempts", `${budgetAttempts}`];
const runCommand = (problems: string, model: FakeModel, referee: StandIn, more: string[] = []): string[] => {
  const nodes = ["--attempts-per-node", "1-2", "--problems", problems, "--referee-python", referee.python];
  return ["run", problemName, "--json", ...searchFlags, ...nodes, ...model.flags, ...more];
};

/** When to kill a process: some time after its start, after signs of life from model and referee, in or after a confirmation. */
type Trigger = { on: "start" | "touches" | "confirming" | "confirmed"; count: number; delayMs: number };

/** What lay on the disk and what had been asked when a process was dead. */
type Snapshot = {
  trigger: Trigger;
  state: RunState;
  events: LoggedEvent[];
  /** Recorded answers: call to digest of the file. */
  answers: Map<string, string>;
  received: number;
  judged: number;
};

type Life = {
  runId: string;
  kills: number;
  snapshots: Snapshot[];
  events: LoggedEvent[];
  state: RunState;
  usage: UsageRow[];
  balance: { spentMicroUsd: number; reservedMicroUsd: number };
  tree: { rootId: string; nodes: unknown[] };
  answers: Map<string, string>;
  /** The call that a request to the model was for, by the stored prompts. */
  callOf: (received: Received) => string;
  received: Received[];
  judged: Judged[];
  listed: { id: string; status: string; attempts: number };
  result: string[];
  last: Ended | null;
};

const Prompt = z.object({ system: z.string(), user: z.string() });

const ofType = <T extends RunEvent["type"]>(events: LoggedEvent[], type: T) =>
  events.flatMap(({ event }) => (event.type === type ? [event as Extract<RunEvent, { type: T }>] : []));

const countBy = <T>(items: readonly T[], key: (item: T) => string): Map<string, number> => {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(key(item), (counts.get(key(item)) ?? 0) + 1);
  return counts;
};

/** The run in a folder as a dead process left it, read from a copy so that recovery is left to `resume`. Null: none yet. */
async function look(
  cwd: string,
): Promise<{ state: RunState; events: LoggedEvent[]; answers: Map<string, string> } | null> {
  const root = join(cwd, ".ksearch");
  if (!existsSync(join(root, "ksearch.sqlite"))) return null;
  const copy = newFolder();
  for (const file of ["ksearch.sqlite", "ksearch.sqlite-wal"])
    if (existsSync(join(root, file))) cpSync(join(root, file), join(copy, file));
  const database = openDatabase(join(copy, "ksearch.sqlite"));
  const [run] = await sqliteRuns(database).list(1);
  const events = run === undefined ? [] : await sqliteEvents(database).read(run.id, 0);
  database.close();
  const state = fold(events);
  return state && { state, events, answers: answersIn(root, state.runId) };
}

function answersIn(root: string, runId: string): Map<string, string> {
  const calls = join(root, "runs", runId, "calls");
  const files = existsSync(calls) ? readdirSync(calls, { recursive: true, encoding: "utf8" }) : [];
  const answers = files.filter((file) => file.endsWith("/answer.json"));
  return new Map(
    answers.map((file) => [file.slice(0, -"/answer.json".length), digest(readFileSync(join(calls, file), "utf8"))]),
  );
}

/** Runs a command until its trigger, and kills it then with SIGKILL; null if it ended before. */
async function killed(
  args: string[],
  cwd: string,
  trigger: Trigger,
  model: FakeModel,
  referee: StandIn,
): Promise<boolean> {
  const { child, ended } = start(args, { cwd });
  const over = { yet: false };
  void ended.then(() => {
    over.yet = true;
  });
  const confirmations = (sign: "start" | "end", call: string) =>
    referee.judged().filter(({ at, requestId }) => at === sign && requestId.endsWith(call)).length;
  const signs = {
    start: () => 0,
    touches: () => model.touches() + referee.judged().length,
    confirming: () => confirmations("start", "/confirm1/evaluate"),
    confirmed: () => confirmations("end", "/confirm2/evaluate"),
  }[trigger.on];
  const wanted = trigger.on === "touches" ? signs() + trigger.count : trigger.count;
  while (!over.yet && signs() < wanted) await pause(2);
  await pause(trigger.delayMs);
  const alive = !over.yet;
  child.kill("SIGKILL");
  const { signal } = await ended;
  return alive && signal === "SIGKILL";
}

/** What a reading command says with `--json`. */
async function told(cwd: string, command: string) {
  const ended = await ksearch([command, "--json"], { cwd });
  if (ended.code !== 0) throw new Error(`${command}: ${ended.stdout} ${ended.stderr}`);
  return lastJson(ended);
}

/** One run from its first process to its end, each trigger killing one process on the way. */
async function live(triggers: Trigger[], problems: string): Promise<Life> {
  const cwd = newFolder();
  const model = await fakeModel();
  const referee = standInReferee();
  const first = runCommand(problems, model, referee);
  const again = ["resume", "--json", "--referee-python", referee.python];
  const snapshots: Snapshot[] = [];
  let kills = 0;
  for (const trigger of triggers) {
    const before = await look(cwd);
    if (before?.state.status === "succeeded") break;
    if (!(await killed(before === null ? first : again, cwd, trigger, model, referee))) continue;
    kills += 1;
    const found = await look(cwd);
    if (found) snapshots.push({ trigger, ...found, received: model.received.length, judged: referee.judged().length });
  }
  const before = await look(cwd);
  const last = before?.state.status === "succeeded" ? null : await ksearch(before === null ? first : again, { cwd });
  if (last && last.code !== 0) throw new Error(`the last process: ${last.stdout.slice(-500)} ${last.stderr}`);
  await pause(50);
  const { runId, events, usage, balance } = await told(cwd, "show");
  const state = fold(events);
  if (state === null) throw new Error("no run");
  const root = join(cwd, ".ksearch");
  const blobs = fileBlobs(root);
  const calls = new Map<string, string>();
  for (const call of new Set(
    ofType(events, "call.submitted")
      .filter(({ to }) => to === "llm")
      .map((event) => event.call),
  )) {
    const prompt = await getJson(blobs, keys.prompt(runId, call), Prompt);
    if (prompt) calls.set(`${prompt.system}\n\n${prompt.user}`, call);
  }
  return {
    runId,
    kills,
    snapshots,
    events,
    state,
    usage,
    balance,
    tree: await told(cwd, "tree"),
    answers: answersIn(root, runId),
    callOf: ({ prompt }) => calls.get(prompt) ?? `no stored prompt: ${prompt.slice(-200)}`,
    received: model.received,
    judged: referee.judged().map((line) => ({ ...line, requestId: line.requestId.replace(`${runId}/`, "") })),
    listed: (await told(cwd, "list")).runs[0],
    result: (await blobs.list(`runs/${runId}/`)).filter((file) => file.includes(`/result-${state.epoch}/`)),
    last,
  };
}

/** Kills spread over a whole life: while it starts, at every stage of the search, around the report. */
function plan(run: number, touches: number, startMs: number): Trigger[] {
  const rng = rngFor(7, `kills/${run}`);
  const step = Math.max(4, Math.floor(touches / 4.5));
  const starting: Trigger = { on: "start", count: 0, delayMs: startMs * (0.3 + 0.9 * rng()) };
  const middle = (count: number): Trigger => ({
    on: "touches",
    count: Math.max(1, Math.round(count)),
    delayMs: 12 * rng(),
  });
  const confirming: Trigger = { on: "confirming", count: 1, delayMs: 4 * rng() };
  const confirmed: Trigger = { on: "confirmed", count: 1, delayMs: 10 + 8 * run * rng() };
  const late = run % 2 === 0 ? [confirming, confirmed] : [confirmed];
  const early = run < 6 ? [starting] : [];
  return [...early, middle((run * step) / runs), middle(step), middle(step), middle(step), ...late];
}

/** The calls that a dead process had sent without an answer on the disk. */
const inFlight = ({ state, answers }: Snapshot): string[] =>
  [...state.calls.values()]
    .filter((call) => call.state === "submitted" && !answers.has(call.call))
    .map(({ call }) => call);

const recorded = ({ events, answers }: Snapshot): Set<string> =>
  new Set([...answers.keys(), ...ofType(events, "call.answered").map(({ call }) => call)]);

const starts = (judged: Judged[]): Judged[] => judged.filter(({ at }) => at === "start");

let base: Life;
let lives: Life[] = [];
const figures: Record<string, number> = {};

describe("kill -9 at any moment, then ksearch resume", () => {
  beforeAll(async () => {
    const problems = problemFolder();
    const began = performance.now();
    base = await live([], problems);
    const touches = 2 * base.received.length + base.judged.length;
    const startMs = (base.last?.ms ?? 0) - (base.state.updatedAtMs - base.state.startedAtMs);
    const plans = Array.from({ length: runs }, (_, run) => plan(run, touches, startMs));
    const work = async () => {
      for (let next = plans.shift(); next; next = plans.shift()) lives.push(await live(next, problems));
    };
    const killed = () => lives.reduce((sum, life) => sum + life.kills, 0);
    await Promise.all([work(), work()]);
    // A process that ends before its trigger was not killed: on a busy host further lives make up for it.
    for (let run = runs; killed() < killsWanted && run < 2 * runs; run += 1)
      lives.push(await live(plan(run, touches, startMs), problems));
    lives = [base, ...lives];
    Object.assign(figures, {
      seconds: Math.round((performance.now() - began) / 1_000),
      kills: killed(),
      modelCalls: lives.reduce((sum, life) => sum + life.received.length, 0),
      refereeCalls: lives.reduce((sum, life) => sum + starts(life.judged).length, 0),
      inFlight: lives.flatMap((life) => life.snapshots.flatMap(inFlight)).length,
      takenOver: lives.reduce((sum, life) => sum + ofType(life.events, "cycle.takenOver").length, 0),
      finishedAtKill: lives.flatMap((life) => life.snapshots).filter(({ state }) => state.status === "succeeded")
        .length,
    });
    console.log(JSON.stringify(figures));
  }, 300_000);

  test(`${killsWanted} processes and more were killed, at every stage of a run`, () => {
    expect(figures.kills).toBeGreaterThanOrEqual(killsWanted);
    const open = lives.flatMap(({ snapshots }) =>
      snapshots.flatMap((snapshot) => inFlight(snapshot).map((call) => snapshot.state.calls.get(call)?.purpose)),
    );
    expect([...new Set(open)].sort()).toEqual(
      expect.arrayContaining(["confirm", "draft", "evaluate", "init", "refine"]),
    );
    const asked = lives.flatMap(({ snapshots }) => snapshots.map(({ state }) => state.judged));
    expect(new Set(asked).size, "kills at different numbers of judged attempts").toBeGreaterThan(6);
  });

  test("every run ends as a success with all its attempts, a report and a truthful line in the list", () => {
    for (const life of lives) {
      expect(life.last?.code ?? 0, life.last?.stderr).toBe(0);
      expect(life.state).toMatchObject({ status: "succeeded", judged: budgetAttempts, pause: null });
      expect(life.state.confirmed).not.toBeNull();
      expect(life.state.cycles.size, "no cycle is left open").toBe(0);
      expect(life.listed).toMatchObject({ id: life.runId, status: "succeeded", attempts: budgetAttempts });
      const files = life.result.map((file) => file.replace(/^.*\/result-\d+\//, ""));
      expect(files.sort()).toEqual([
        "kernel/main.py",
        "report.html",
        "report.md",
        "solution.json",
        "verdict.json",
        "world_model.json",
      ]);
    }
  });

  test("what was in the log at a kill is in the log for ever, and no recorded answer changes", () => {
    for (const { snapshots, events, answers } of lives)
      for (const snapshot of snapshots) {
        expect(events.slice(0, snapshot.events.length)).toEqual(snapshot.events);
        for (const [call, content] of snapshot.answers) expect(answers.get(call), call).toBe(content);
      }
  });

  test("a recorded answer is never asked for again, neither from the model nor from the referee", () => {
    for (const life of lives)
      for (const snapshot of life.snapshots) {
        const known = recorded(snapshot);
        const askedLater = [
          ...life.received.slice(snapshot.received).map(life.callOf),
          ...starts(life.judged.slice(snapshot.judged)).map(({ requestId }) => requestId),
        ];
        expect(askedLater.filter((call) => known.has(call))).toEqual([]);
      }
  });

  test("only calls in flight at a kill are asked again, at most one a lane", () => {
    for (const life of lives) {
      for (const snapshot of life.snapshots) {
        const laneOf = (call: string) =>
          `${snapshot.state.cycles.get(call.split("/")[0] ?? "")?.lane ?? snapshot.state.proposal?.lane ?? call}`;
        expect(
          Math.max(0, ...countBy(inFlight(snapshot), laneOf).values()),
          "calls in flight on one lane",
        ).toBeLessThanOrEqual(1);
      }
      const flown = countBy(life.snapshots.flatMap(inFlight), (call) => call);
      const asked = countBy(
        [...life.received.map(life.callOf), ...starts(life.judged).map(({ requestId }) => requestId)],
        (call) => call,
      );
      for (const [call, times] of asked)
        expect(times, `requests of ${call}`).toBeLessThanOrEqual(1 + (flown.get(call) ?? 0));
      for (const { call } of ofType(life.events, "call.answered"))
        expect(asked.get(call), call).toBeGreaterThanOrEqual(1);
    }
  });

  test("each call is answered once, each attempt judged once, with the score of its own kernel", () => {
    for (const life of lives) {
      expect(Math.max(...countBy(ofType(life.events, "call.answered"), ({ call }) => call).values())).toBe(1);
      const judged = ofType(life.events, "attempt.judged");
      expect(judged.map(({ attempt }) => attempt).sort((a, b) => a - b)).toEqual(
        Array.from({ length: budgetAttempts }, (_, index) => index + 1),
      );
      for (const request of life.received) {
        const attempt = /\/attempt(\d+)\/draft$/.exec(life.callOf(request))?.[1];
        if (attempt === undefined) continue;
        const score = Number(/score ([\d.]+)/.exec(request.reply)?.[1]);
        expect(judged.find((event) => event.attempt === Number(attempt))?.score?.value).toBe(score);
      }
      const kernels = countBy(starts(life.judged), ({ requestId, kernel }) => `${requestId} ${kernel}`);
      expect(
        new Set([...kernels.keys()].map((key) => key.split(" ")[0])).size,
        "a repeated request shows the same kernel",
      ).toBe(kernels.size);
    }
  });

  test("every cycle that a dead process held is taken over by a later one", () => {
    for (const { snapshots, events } of lives)
      for (const { state, events: then } of snapshots)
        for (const { cycle, epoch } of state.cycles.values()) {
          const takeover = ofType(events.slice(then.length), "cycle.takenOver").find((event) => event.cycle === cycle);
          expect(takeover?.epoch ?? 0, `${cycle} of execution ${epoch}`).toBeGreaterThan(epoch);
        }
    expect(figures.takenOver).toBeGreaterThan(20);
  });

  test("the money is right: a row a submission, the lost ones at their worst case, nothing reserved at the end", () => {
    for (const { events, usage, balance, state, snapshots } of lives) {
      const lost = ofType(events, "call.lost");
      const answered = ofType(events, "call.answered");
      expect(new Set(usage.map(({ key }) => key)).size).toBe(usage.length);
      const rows = usage
        .map(({ key, outcome, costMicroUsd }) => `${key.split("#")[0]} ${outcome} ${costMicroUsd}`)
        .sort();
      const booked = [
        ...lost.map(({ call, costMicroUsd }) => `${call} lost ${costMicroUsd}`),
        ...answered.map(({ call, costMicroUsd }) => `${call} answered ${costMicroUsd}`),
      ];
      expect(rows).toEqual(booked.sort());
      const sum = usage.reduce((total, row) => total + row.costMicroUsd, 0);
      expect(balance).toMatchObject({ spentMicroUsd: sum, reservedMicroUsd: 0 });
      expect(state.spentMicroUsd).toBe(sum);
      expect(ofType(events, "call.submitted").length).toBe(lost.length + answered.length);
      const llmAnswered = usage.filter(({ to, outcome }) => to === "llm" && outcome === "answered");
      expect(new Set(llmAnswered.map((row) => row.costMicroUsd))).toEqual(new Set([callMicroUsd]));
      for (const snapshot of snapshots)
        for (const call of inFlight(snapshot)) {
          const loss = ofType(events.slice(snapshot.events.length), "call.lost").find((event) => event.call === call);
          expect(loss?.costMicroUsd, `${call} is booked as lost`).toBe(
            snapshot.state.calls.get(call)?.reservedMicroUsd,
          );
        }
      for (const row of usage)
        if (row.outcome === "lost" && row.to === "llm") expect(row.costMicroUsd).toBeGreaterThan(callMicroUsd);
    }
  });

  test("the tree that ksearch shows is the fold of the log, with every attempt on the node that it tried", () => {
    for (const { events, state, tree } of lives) {
      const expected = [...state.tree.nodes.values()].map((node) => ({
        ...node,
        attempts: node.attempts.map((number) => state.attempts[number - 1]),
      }));
      const shown = tree.nodes.map((node) => {
        const { value: _, ...facts } = z.looseObject({ value: z.number().nullable() }).parse(node);
        return facts;
      });
      expect(shown).toEqual(JSON.parse(JSON.stringify(expected)));
      const tried = ofType(events, "attempt.started").map(({ attempt, nodeId }) => `${attempt} ${nodeId}`);
      expect(
        [...state.tree.nodes.values()]
          .flatMap((node) => node.attempts.map((number) => `${number} ${node.nodeId}`))
          .sort(),
      ).toEqual(tried.sort());
      const scores = ofType(events, "attempt.judged").map(({ score }) => score?.value ?? 0);
      expect(state.best?.score).toBe(Math.max(...scores));
    }
  });

  test("what is recorded is what the model said", () => {
    for (const life of lives)
      expect(
        life.received.map(
          ({ prompt, reply }) => replyTo(prompt) === reply && life.callOf({ prompt, reply, key: "", model: "" }),
        ),
      ).not.toContain(false);
  });
});

/** Waits until something is so, and fails with its name if that takes too long. */
async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await pause(10);
  }
}

const small = (problems: string, model: FakeModel, python: string, flags: string[]): string[] => {
  const search = ["run", problemName, "--json", ...anywhere, "--lanes", "2", "--attempts-per-node", "1-2"];
  return [...search, "--problems", problems, "--referee-python", python, ...model.flags, ...flags];
};

describe("submissions that nobody asks again", () => {
  test("a proposal in flight at a kill is booked as lost although the spent budget asks for no more ideas", async () => {
    const cwd = newFolder();
    const say = (prompt: string) =>
      prompt.includes("No open action") ? null : prompt.includes("write the world model") ? world(1) : replyTo(prompt);
    const model = await fakeModel({ say });
    const referee = standInReferee();
    const { child, ended } = start(small(problemFolder(), model, referee.python, ["--budget-attempts", "2"]), { cwd });
    await until(
      "two attempts are judged and refined",
      () => model.received.some(({ prompt }) => prompt.includes("Touch only")) && referee.judged().length === 4,
    );
    await pause(300);
    child.kill("SIGKILL");
    await ended;
    const at = await look(cwd);
    expect([...(at?.state.calls.values() ?? [])].map(({ call, state }) => `${call} ${state}`)).toEqual([
      "propose1 submitted",
    ]);
    const resumed = await ksearch(["resume", "--json", "--referee-python", referee.python], { cwd });
    expect(resumed.code, resumed.stderr).toBe(0);
    const { usage, balance } = await told(cwd, "show");
    const row = usage.find(({ key }: UsageRow) => key === "propose1#1");
    expect(row).toMatchObject({ outcome: "lost", costMicroUsd: at?.state.calls.get("propose1")?.reservedMicroUsd });
    expect(balance).toMatchObject({
      reservedMicroUsd: 0,
      spentMicroUsd: usage.reduce((sum: number, { costMicroUsd }: UsageRow) => sum + costMicroUsd, 0),
    });
    expect((await told(cwd, "list")).runs[0]).toMatchObject({
      status: "succeeded",
      costMicroUsd: balance.spentMicroUsd,
    });
  });

  test("a run that is cancelled after a kill ends at once, with the draft in flight booked as lost", async () => {
    const cwd = newFolder();
    const model = await fakeModel({
      say: (prompt) => (prompt.includes("# Action to carry out") ? null : replyTo(prompt)),
    });
    const { child, ended } = start(small(problemFolder(), model, standInReferee().python, ["--budget-attempts", "2"]), {
      cwd,
    });
    await until("both drafts are asked for", () => model.received.length === 3);
    child.kill("SIGKILL");
    await ended;
    const [run] = (await told(cwd, "list")).runs;
    const canceled = await ksearch(["cancel", run.id, "--json"], { cwd });
    expect({ code: canceled.code, ...lastJson(canceled) }).toMatchObject({ code: 0, status: "canceled" });
    const { usage } = await told(cwd, "show");
    expect(usage.map(({ key, outcome }: UsageRow) => `${key} ${outcome}`).sort()).toEqual([
      "init1#1 answered",
      "lane1-cycle1/attempt1/draft#1 lost",
      "lane2-cycle1/attempt2/draft#1 lost",
    ]);
    expect((await ksearch(["cancel", run.id], { cwd })).code).toBe(2);
  });
});

describe("two processes", () => {
  test("one run has one process: resume beside it is refused, and the first goes on unharmed", async () => {
    const cwd = newFolder();
    const { promise: answerAfter, resolve: answer } = Promise.withResolvers<void>();
    const model = await fakeModel({ answerAfter });
    const referee = standInReferee();
    const first = start(small(problemFolder(), model, referee.python, ["--budget-attempts", "4"]), { cwd });
    await until("the first process waits for the model", () => model.received.length > 0);
    const second = await ksearch(["resume", "--json", "--referee-python", referee.python], { cwd });
    answer();
    expect({ code: second.code, ...lastJson(second) }).toMatchObject({
      code: 2,
      error: { who: "caller", code: "run.busy" },
    });
    const { code, stderr } = await first.ended;
    expect(code, stderr).toBe(0);
    const { events } = await told(cwd, "show");
    expect(ofType(events, "execution.started")).toHaveLength(1);
    expect(Math.max(...countBy(model.received, ({ prompt }) => prompt).values())).toBe(1);
    expect(fold(events)).toMatchObject({ status: "succeeded", judged: 4 });
  });

  test("Ctrl-C lets the calls in flight end and pauses; resume asks for nothing again", async () => {
    const cwd = newFolder();
    const model = await fakeModel({ delayMs: 400 });
    const referee = standInReferee();
    const { child, ended } = start(small(problemFolder(), model, referee.python, ["--budget-attempts", "4"]), { cwd });
    await until("drafts are asked for", () => model.received.length === 3);
    const pressed = performance.now();
    child.kill("SIGINT");
    const paused = await ended;
    expect(performance.now() - pressed).toBeLessThan(3_000);
    expect({ code: paused.code, ...lastJson(paused) }).toMatchObject({ code: 130, type: "summary", status: "paused" });
    expect(model.received).toHaveLength(3);
    expect((await told(cwd, "list")).runs[0]).toMatchObject({ status: "paused", costMicroUsd: 3 * callMicroUsd });
    const resumed = await ksearch(["resume", "--json", "--referee-python", referee.python], { cwd });
    expect({ code: resumed.code, ...lastJson(resumed) }).toMatchObject({ code: 0, status: "succeeded", attempts: 4 });
    expect(Math.max(...countBy(model.received, ({ prompt }) => prompt).values())).toBe(1);
  });

  test("a second Ctrl-C leaves at once; the run is shown as interrupted, and resume ends it", async () => {
    const cwd = newFolder();
    let silent = true;
    const model = await fakeModel({ say: (prompt) => (silent ? null : replyTo(prompt)) });
    const referee = standInReferee();
    const { child, ended } = start(small(problemFolder(), model, referee.python, ["--budget-attempts", "1"]), { cwd });
    await until("the world model is asked for", () => model.received.length === 1);
    child.kill("SIGINT");
    await pause(200);
    const pressed = performance.now();
    child.kill("SIGINT");
    expect((await ended).code).toBe(130);
    silent = false;
    expect(performance.now() - pressed).toBeLessThan(1_000);
    expect((await told(cwd, "list")).runs[0]).toMatchObject({ status: "paused", attempts: 0 });
    const resumed = await ksearch(["resume", "--json", "--referee-python", referee.python], { cwd });
    expect({ code: resumed.code, ...lastJson(resumed) }).toMatchObject({ code: 0, status: "succeeded", attempts: 1 });
  });

  test("on a terminal: the screen is drawn, and Ctrl-C says on it what it does", async () => {
    const cwd = newFolder();
    const model = await fakeModel({ say: () => null });
    const searching = small(problemFolder(), model, standInReferee().python, []).filter((flag) => flag !== "--json");
    const { child, ended, soFar } = start(searching, { cwd, terminal: true });
    await until("the screen shows a lane", () => /elapsed/.test(soFar()) && /lane 1/.test(soFar()));
    await until("the world model is asked for", () => model.received.length === 1);
    child.stdin?.write("\u0003");
    await until("the screen says so", () => /pausing when the calls in flight are answered/.test(soFar()));
    child.stdin?.write("\u0003");
    expect((await ended).code).toBe(130);
  });

  test("a process killed between the end in the log and the line in the list does not leave the list behind", async () => {
    const cwd = newFolder();
    const flags = ["--budget-attempts", "1"];
    const ended = await ksearch(small(problemFolder(), await fakeModel(), standInReferee().python, flags), { cwd });
    const { type: _type, model: _model, ...summary } = lastJson(ended);
    const database = openDatabase(join(cwd, ".ksearch/ksearch.sqlite"));
    await sqliteRuns(database).update({ ...summary, status: "running", attempts: 0, endedAt: null });
    database.close();
    expect((await told(cwd, "list")).runs).toEqual([summary]);
  });

  test("a killed run is shown as interrupted", async () => {
    const cwd = newFolder();
    const model = await fakeModel({ say: () => null });
    const { child, ended } = start(small(problemFolder(), model, standInReferee().python, []), { cwd });
    await until("the world model is asked for", () => model.received.length === 1);
    expect((await told(cwd, "list")).runs[0].status).toBe("running");
    child.kill("SIGKILL");
    await ended;
    expect((await told(cwd, "list")).runs[0].status).toBe("interrupted");
    expect((await ksearch(["list"], { cwd })).stdout).toContain("interrupted: ksearch resume");
  });
});

const realPython = fileURLToPath(new URL("../../evaluator/.venv/bin/python", import.meta.url));

describe.skipIf(!existsSync(realPython))("with the real referee", () => {
  test("killed while it judges, three times: each attempt has one verdict, and no reply is paid twice but those in flight", {
    timeout: 60_000,
  }, async () => {
    const cwd = newFolder();
    const model = await fakeModel();
    const flags = ["--budget-attempts", "2", "--attempts-per-node", "1", "--iterations", "3", "--warmup-runs", "1"];
    const first = small(problemFolder(), model, realPython, flags);
    const again = ["resume", "--json", "--referee-python", realPython];
    let evaluationsInFlight = 0;
    for (const delayMs of [150, 400, 900]) {
      const { child, ended } = start(model.received.length === 0 ? first : again, { cwd });
      const before = (await look(cwd))?.events.length ?? 0;
      await until("an evaluation is submitted", async () =>
        ofType((await look(cwd))?.events.slice(before) ?? [], "call.submitted").some(({ to }) => to === "referee"),
      );
      await pause(delayMs);
      child.kill("SIGKILL");
      await ended;
      const calls = [...((await look(cwd))?.state.calls.values() ?? [])];
      evaluationsInFlight += calls.filter(({ to, state }) => to === "referee" && state === "submitted").length;
    }
    expect(evaluationsInFlight).toBeGreaterThan(0);
    const at = await look(cwd);
    if (at?.state.status !== "succeeded") {
      const resumed = await ksearch(again, { cwd });
      expect(resumed.code, resumed.stdout.slice(-500)).toBe(0);
    }
    const { events, usage } = await told(cwd, "show");
    expect(
      ofType(events, "attempt.judged")
        .map(({ attempt, status }) => `${attempt} ${status}`)
        .sort(),
    ).toEqual(["1 passed", "2 passed"]);
    expect(Math.max(...countBy(ofType(events, "call.answered"), ({ call }) => call).values())).toBe(1);
    expect(usage.filter(({ outcome, to }: UsageRow) => outcome === "lost" && to === "referee").length).toBe(
      evaluationsInFlight,
    );
    expect(fold(events)).toMatchObject({ status: "succeeded", judged: 2 });
  });
});
