import { getLanguageService, TextDocument } from "amazon-states-language-service";
import aslValidator from "asl-validator";
import { expect, test } from "vitest";
import { stateMachine } from "../src/index.ts";
import { createRun, goodModel, stage, ticketReferee, verdictFor } from "./fakes.ts";

/** Evaluations that the machine itself runs as jobs (AWS Batch). */
const machine = stateMachine({
  resource: (step) => `arn:aws:lambda:us-east-1:123456789012:function:${step}`,
  taskTimeoutSeconds: 900,
  machineTimeoutSeconds: 3600,
  batch: true,
});

test("the document with jobs passes both validators, and without them names none", async () => {
  expect(aslValidator(structuredClone(machine), { checkArn: true, checkPaths: true }).errors).toEqual([]);
  const service = getLanguageService({});
  const document = TextDocument.create("file://machine.asl", "asl", 1, JSON.stringify(machine, null, 2));
  expect(await service.doValidation(document, service.parseJSONDocument(document))).toEqual([]);
  const { batch: _, ...without } = { batch: true, resource: () => "arn:aws:lambda:us-east-1:1:function:f" };
  expect(JSON.stringify(stateMachine({ ...without, taskTimeoutSeconds: 1, machineTimeoutSeconds: 1 }))).not.toContain(
    "batch:submitJob",
  );
});

test("a job runs between a ticket and its collection, with its addresses in its environment alone", () => {
  const { VerdictJob } = machine.States.Lanes.ItemProcessor.States as Record<
    string,
    { Parameters: object; Next: string }
  >;
  expect(VerdictJob).toMatchObject({
    Resource: "arn:aws:states:::batch:submitJob.sync",
    Next: "CollectVerdict",
    Catch: [{ ErrorEquals: ["States.ALL"], Next: "CollectVerdict" }],
  });
  expect(JSON.stringify(VerdictJob?.Parameters)).toContain('"Name":"KSEARCH_ANSWER_URL","Value.$":"$.job.answerUrl"');
});

const job = {
  name: "j",
  queue: "q",
  definition: "d",
  requestUrl: "http://r",
  answerUrl: "http://a",
  timeoutSeconds: 60,
};

test("a step hands the job to the machine once its ticket is recorded, and takes the verdict up afterwards", async () => {
  const done = new Set<string>();
  const referee = ticketReferee(1, verdictFor);
  const on = stage({
    llm: goodModel(0, 3),
    referee: { ...referee, job: async (ticket) => (done.has(ticket) ? null : job) },
  });
  await createRun(on, "run_a", { lanes: 1, budgetAttempts: 1, attemptsPerNode: { base: 1, max: 1 } });
  const run = { runId: "run_a", lanes: 1 };
  await on.steps.prepare(run);
  await on.steps.init({ ...run, epoch: 1, round: 0 });
  await on.steps.openRound({ ...run, epoch: 1, round: 0 });
  const claimed = await on.steps.claim({ runId: "run_a", epoch: 1, round: 1, lane: 1, left: 5 });
  const vetted = await on.steps.vet(await on.steps.draft(claimed));
  const submitted = await on.steps.evaluate(vetted);
  expect(submitted).toMatchObject({ next: "job", job });
  expect((await on.log.state("run_a")).calls.get("lane1-cycle1/attempt1/evaluate")?.ticket).toBe("ticket-1");
  done.add("ticket-1");
  const collected = await on.steps.evaluate(submitted);
  expect(collected).toMatchObject({ next: "judge" });
  expect(collected).not.toHaveProperty("job");
});
