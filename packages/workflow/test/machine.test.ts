import { getLanguageService, TextDocument } from "amazon-states-language-service";
import aslValidator from "asl-validator";
import { describe, expect, test } from "vitest";
import { createSteps, stateMachine, taskStates, waitStates } from "../src/index.ts";
import { mostTurns, nextWaitSeconds } from "../src/payload.ts";
import { createRun, execute, fakeReferee, goodModel, stage, ticketReferee } from "./fakes.ts";

type State = {
  Type: string;
  Resource?: string;
  Next?: string;
  Default?: string;
  End?: boolean;
  Choices?: { StringEquals: string; Next: string }[];
  Catch?: { ErrorEquals: string[]; Next: string }[];
  Retry?: { ErrorEquals: string[]; MaxAttempts: number }[];
};

const machine = stateMachine({
  resource: (step) => `arn:aws:lambda:us-east-1:123456789012:function:ksearch-${step}`,
  taskTimeoutSeconds: 900,
  machineTimeoutSeconds: 7 * 24 * 3600,
});
const run = machine.States as unknown as Record<string, State>;
const lane = machine.States.Lanes.ItemProcessor.States as unknown as Record<string, State>;
const all = Object.entries({ ...run, ...lane });
const ofType = (type: string) => all.filter(([, state]) => state.Type === type);

describe("the document passes", () => {
  test("asl-validator, with its paths and ARNs checked", () => {
    const { errors } = aslValidator(structuredClone(machine), { checkArn: true, checkPaths: true });
    expect(errors).toEqual([]);
  });

  test("AWS's own language service", async () => {
    const service = getLanguageService({});
    const document = TextDocument.create("file://machine.asl", "asl", 1, JSON.stringify(machine, null, 2));
    expect(await service.doValidation(document, service.parseJSONDocument(document))).toEqual([]);
  });

  test("and both would see a state that leads nowhere", async () => {
    const broken = JSON.parse(JSON.stringify(machine).replace('"Next":"Vetted"', '"Next":"Nowhere"'));
    expect(aslValidator(structuredClone(broken)).errors).not.toEqual([]);
    const service = getLanguageService({});
    const document = TextDocument.create("file://machine.asl", "asl", 1, JSON.stringify(broken, null, 2));
    expect(await service.doValidation(document, service.parseJSONDocument(document))).not.toEqual([]);
  });
});

describe("states and steps", () => {
  test("every Task has its step, and every step of the table its Task", () => {
    expect(
      ofType("Task")
        .map(([name]) => name)
        .sort(),
    ).toEqual(Object.keys(taskStates).sort());
    for (const [name, { Resource }] of ofType("Task"))
      expect(Resource).toMatch(new RegExp(`ksearch-${taskStates[name]}$`));
    const { llm, referee } = { llm: goodModel(0, 1), referee: fakeReferee(0) };
    expect(new Set(Object.values(taskStates))).toEqual(new Set(Object.keys(createSteps(stage({ llm, referee })))));
  });

  test("every Wait is in the table of waits, so that one machine can shorten it", () => {
    expect(
      ofType("Wait")
        .map(([name]) => name)
        .sort(),
    ).toEqual([...waitStates].sort());
  });

  test("names are unique over run and lanes, as the tables need it", () => {
    expect(Object.keys(run).filter((name) => name in lane)).toEqual([]);
  });

  test("every state can be reached", () => {
    const from = (states: Record<string, State>, start: string): Set<string> => {
      const seen = new Set<string>();
      const visit = (name: string) => {
        const state = states[name];
        if (!state || seen.has(name)) return;
        seen.add(name);
        for (const next of [
          state.Next,
          state.Default,
          ...(state.Choices ?? []).map((one) => one.Next),
          ...(state.Catch ?? []).map((one) => one.Next),
        ])
          if (next !== undefined) visit(next);
      };
      visit(start);
      return seen;
    };
    expect([...from(run, "Prepare")].sort()).toEqual(Object.keys(run).sort());
    expect([...from(lane, "Claim")].sort()).toEqual(Object.keys(lane).sort());
  });
});

describe("ways out", () => {
  test.each([
    ["run", run, "RunFailed"],
    ["lane", lane, "LaneFailed"],
  ] as const)("of a %s: whatever breaks is caught and recorded", (_, states, failed) => {
    for (const [name, state] of Object.entries(states)) {
      if (name === failed) continue;
      if (state.Type === "Task" || state.Type === "Map")
        expect(state.Catch, name).toMatchObject([{ ErrorEquals: ["States.ALL"], Next: failed }]);
      if (state.Type === "Choice") expect(state.Default, name).toBe(failed);
    }
  });

  /** The Choice that reads what a Task says comes next. */
  const choiceAfter = (states: Record<string, State>, task: string): State | undefined =>
    states[states[task]?.Next ?? ""];

  test("a lane's step that stops the lane says 'end', and every Choice knows it", () => {
    for (const [name, state] of Object.entries(lane))
      if (state.Type === "Task" && name !== "LaneFailed")
        expect(choiceAfter(lane, name)?.Choices, name).toContainEqual(
          expect.objectContaining({ StringEquals: "end", Next: "LaneEnd" }),
        );
  });

  test("a step of the run that pauses it says 'report', and every Choice knows it", () => {
    for (const [name, state] of Object.entries(run))
      if (state.Type === "Task" && !["StopEvaluations", "Report", "RunFailed"].includes(name))
        expect(choiceAfter(run, name)?.Choices, name).toContainEqual(
          expect.objectContaining({ StringEquals: "report", Next: "StopEvaluations" }),
        );
  });

  test("a failed run is seen as failed by the platform, a reported one as succeeded", () => {
    expect(run.RunFailed?.Next).toBe("Stopped");
    expect(run.Stopped?.Type).toBe("Fail");
    expect(run.Report?.Next).toBe("Done");
    expect(run.Done?.Type).toBe("Succeed");
  });
});

describe("histories, at 25,000 events each (AWS quota; events a state: AWS's list of history event types)", () => {
  const quota = 25_000;
  /** Entered and exited; a Task is also scheduled, started and succeeded by its function. A Map run adds four. */
  const eventsOf = ({ Type }: State): number => ({ Task: 5, Map: 8, Succeed: 2, Fail: 1 })[Type] ?? 2;
  /** Scheduled, started, failed: what every further try of a Task adds. */
  const tries = (state: State): number =>
    3 * (state.Retry ?? []).reduce((sum, { MaxAttempts }) => sum + MaxAttempts, 0);

  /** Events of one Task at most: its own, and those of what stands between it and the next Task. */
  function worstTurn(states: Record<string, State>, name: string, perTask: (state: State) => number): number {
    const after = (next: string | undefined): number => {
      const state = states[next ?? ""];
      if (state === undefined || state.Type === "Task") return 0;
      const ways = [state.Next, state.Default, ...(state.Choices ?? []).map((choice) => choice.Next)];
      return eventsOf(state) + Math.max(0, ...ways.map(after));
    };
    const task = states[name];
    return task === undefined ? 0 : perTask(task) + after(task.Next);
  }
  const tasks = (states: Record<string, State>) => Object.keys(states).filter((name) => states[name]?.Type === "Task");
  const start = 2;

  test("of a lane: all its steps, each failed by the platform in every try but the last", () => {
    const worst = Math.max(...tasks(lane).map((name) => worstTurn(lane, name, (task) => eventsOf(task) + tries(task))));
    expect(start + mostTurns * worst).toBeLessThan(quota);
  });

  test("of a run of 300 attempts on 8 lanes: every call polled to its limit", () => {
    const polls = (limitSeconds: number): number => {
      let waited = 0;
      let seconds: number | undefined;
      let count = 0;
      for (; waited < limitSeconds; count += 1) {
        seconds = nextWaitSeconds(seconds);
        waited += seconds;
      }
      return count;
    };
    const turn = (name: string) => worstTurn(run, name, eventsOf);
    // A reply of a model may take its 600 s; an evaluation at Modal 300 s of its own, 120 s to start, and 1,200 s in a queue.
    const [reply, verdict] = [3 * (1 + polls(600)), 3 * (1 + polls(1_620))];
    const duels = 3 + 9; // confirmTop finalists, and three times as many that are refuted
    // A round brings each lane its share of attempts or all its steps; at the least one attempt for all of them.
    const rounds = 300;
    const events = [
      start + turn("Prepare") + turn("Report"),
      verdict * turn("CollectSeed"),
      3 * reply * turn("CollectInit"),
      rounds * (turn("OpenRound") + turn("CloseRound")),
      duels * verdict * turn("CollectConfirm"),
    ];
    expect(events.reduce((sum, some) => sum + some)).toBeLessThan(quota);
  });

  test("a lane that has made its steps ends as such, and the next round goes on with its open attempt", async () => {
    const llm = goodModel(0, 3);
    const on = stage({ llm, referee: ticketReferee(40), waitMs: 1 });
    await createRun(on, "run_a", { lanes: 1, budgetAttempts: 1, attemptsPerNode: { base: 1, max: 1 } });
    await on.steps.prepare({ runId: "run_a", lanes: 1 });
    const short = { runId: "run_a", epoch: 1, round: 1, lane: 1, left: 5, turns: mostTurns - 1 };
    await on.steps.init({ runId: "run_a", lanes: 1, epoch: 1, round: 0 });
    await on.steps.openRound({ runId: "run_a", lanes: 1, epoch: 1, round: 0 });
    expect(await on.steps.claim(short)).toMatchObject({ next: "end", turns: mostTurns });
    expect((await on.log.state("run_a")).stops).toMatchObject([{ reason: "turns" }]);
    expect(await on.steps.closeRound({ runId: "run_a", lanes: 1, epoch: 1, round: 1 })).toMatchObject({
      next: "again",
    });
    expect(await execute(on, "run_a", 1)).toMatchObject({ status: "succeeded", judged: 1 });
  });
});

test("payloads carry names, not content: 64 lanes and long replies stay far below the platform's 256 KB", async () => {
  const words = "a long thought about memory bandwidth. ".repeat(400);
  const model = goodModel(0, 20);
  const llm = {
    ...model,
    submit: async (request: Parameters<typeof model.submit>[0]) => {
      const submitted = await model.submit(request);
      return "answer" in submitted && request.purpose === "draft"
        ? { answer: { ...submitted.answer, text: `${words}${submitted.answer.text}` } }
        : submitted;
    },
  };
  const on = stage({ llm, referee: fakeReferee(0) });
  const runId = `run_${"x".repeat(60)}`;
  await createRun(on, runId, { lanes: 64, budgetAttempts: 20 });
  expect((await execute(on, runId, 64)).status).toBe("succeeded");
  expect(on.largestPayload()).toBeGreaterThan(64 * 60);
  expect(on.largestPayload()).toBeLessThan(16 * 1024);
});

test("the document itself is small enough to deploy (1 MB) and to read", () => {
  expect(JSON.stringify(machine).length).toBeLessThan(64 * 1024);
});
