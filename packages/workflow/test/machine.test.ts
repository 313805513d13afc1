import { getLanguageService, TextDocument } from "amazon-states-language-service";
import aslValidator from "asl-validator";
import { describe, expect, test } from "vitest";
import { createSteps, stateMachine, taskStates, waitStates } from "../src/index.ts";
import { createRun, execute, fakeReferee, goodModel, stage } from "./fakes.ts";

type State = {
  Type: string;
  Resource?: string;
  Next?: string;
  Default?: string;
  End?: boolean;
  Choices?: { StringEquals: string; Next: string }[];
  Catch?: { ErrorEquals: string[]; Next: string }[];
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
      if (state.Type === "Task" && !["Report", "RunFailed"].includes(name))
        expect(choiceAfter(run, name)?.Choices, name).toContainEqual(
          expect.objectContaining({ StringEquals: "report", Next: "Report" }),
        );
  });

  test("a failed run is seen as failed by the platform, a reported one as succeeded", () => {
    expect(run.RunFailed?.Next).toBe("Stopped");
    expect(run.Stopped?.Type).toBe("Fail");
    expect(run.Report?.Next).toBe("Done");
    expect(run.Done?.Type).toBe("Succeed");
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
