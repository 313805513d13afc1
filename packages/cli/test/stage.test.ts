import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { dynamoStores } from "@ksearch/adapters/dynamodb";
import { labelledLlm } from "@ksearch/adapters/labelled";
import { createOpenAiLlm } from "@ksearch/adapters/openai";
import { s3Blobs } from "@ksearch/adapters/s3";
import { subprocessReferee } from "@ksearch/adapters/subprocess";
import { choicesOf, createLog, createSteps, stateMachine, taskStates, waitStates } from "@ksearch/workflow";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  areServersThere,
  credentials,
  region,
  type Server,
  startDynamodb,
  startS3,
} from "../../adapters/test/servers.ts";
import { type StatesServer, startStates } from "../../adapters/test/states-server.ts";
import { createTable } from "../../adapters/test/table.ts";
import {
  type FakeModel,
  fakeModel,
  ksearch,
  lastJson,
  newFolder,
  type Place,
  problemFolder,
  problemName,
  standInReferee,
} from "./stand-ins.ts";

/**
 * A stage from the command line: a real DynamoDB and S3 server, AWS's SDK, and the state machine's own document with its real
 * steps. EMULATED: Step Functions and the parameter store. STAND-INS: the model and the referee.
 */
const name = "test-stage";
const referee = standInReferee();
const problems = problemFolder();

describe.skipIf(!areServersThere())("a stage", { timeout: 120_000 }, () => {
  let servers: Server[];
  let states: StatesServer;
  let model: FakeModel;
  let env: Place["env"];

  beforeAll(async () => {
    model = await fakeModel();
    const [dynamodb, s3] = await Promise.all([startDynamodb(), startS3()]);
    servers = [dynamodb, s3];
    const client = new DynamoDBClient({ region, credentials, endpoint: dynamodb.endpoint });
    const objects = new S3Client({ region, credentials, endpoint: s3.endpoint, forcePathStyle: true });
    await createTable(client, name);
    await objects.send(new CreateBucketCommand({ Bucket: name }));
    const facts = dynamoStores({ client, table: name });
    const now = () => Date.now();
    const deps = {
      ...facts,
      blobs: s3Blobs({ client: objects, bucket: name }),
      log: createLog(facts.events, now),
      now,
      iso: (ms: number) => new Date(ms).toISOString(),
      referee: subprocessReferee({
        command: [referee.python, "-I", "-m", "ksearch_referee"],
        env: {},
        graceMs: 0,
        atOnce: 4,
      }),
    };
    const llmOf = async (runId: string) => {
      const models = (await choicesOf(deps, runId)).flatMap((choice) =>
        choice.kind === "openai" ? choice.models : [],
      );
      return labelledLlm(
        new Map(
          models.map((one) => [one.modelName, () => createOpenAiLlm({ ...one, apiKey: "of-the-stage", keyName: "K" })]),
        ),
      );
    };
    const parameters: Record<string, string> = {};
    states = await startStates({
      definition: stateMachine({
        resource: (step) => `arn:aws:lambda:us-east-1:000000000000:function:${step}`,
        taskTimeoutSeconds: 60,
        machineTimeoutSeconds: 600,
      }),
      taskStates: Object.keys(taskStates),
      waitsMs: Object.fromEntries(waitStates.map((state) => [state, 20])),
      task: async (state, input) => {
        const llm = await llmOf((input as { runId: string }).runId);
        const step = taskStates[state];
        return step === undefined ? input : createSteps({ ...deps, llm })[step](input);
      },
      parameters,
    });
    parameters[`/ksearch/${name}/config`] = JSON.stringify({
      table: name,
      bucket: name,
      stateMachineArn: states.stateMachineArn,
      region,
      modalApp: "ksearch-referee-test",
    });
    parameters["/ksearch/broken/config"] = "{}";
    env = {
      AWS_REGION: region,
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      AWS_EC2_METADATA_DISABLED: "true",
      AWS_ENDPOINT_URL_DYNAMODB: dynamodb.endpoint,
      AWS_ENDPOINT_URL_S3: s3.endpoint,
      AWS_ENDPOINT_URL_SFN: states.url,
      AWS_ENDPOINT_URL_SSM: states.url,
      OPENAI_API_KEY: undefined,
      LLM_API_KEY: undefined,
    };
  }, 120_000);
  afterAll(async () => {
    await states?.close();
    for (const server of servers ?? []) server.stop();
  });

  const place = (): Place => {
    const cwd = newFolder();
    return { cwd, env: { ...env, HOME: cwd } };
  };
  const search = () => ["run", problemName, "--problems", problems, "--language", "python", ...model.flags];
  const cloud = ["--engine", "cloud", "--stage", name];
  const errorOf = async (args: readonly string[], at = place()) =>
    JSON.parse((await ksearch([...args, "--json"], at)).stdout.trim().split("\n").at(-1) ?? "").error;

  test("executes a search, and every command reads it from there", async () => {
    const at = place();
    const ended = await ksearch([...search(), ...cloud, "--max-opt-rounds", "2", "--json"], at);
    expect({ code: ended.code, last: lastJson(ended) }).toMatchObject({
      code: 0,
      last: { status: "succeeded", attempts: 2 },
    });
    const runId = lastJson(ended).id;
    expect(states.executions().at(-1)).toMatchObject({ name: `${runId}-1`, status: "SUCCEEDED" });
    const inStage = async (...args: string[]) => (await ksearch([...args, "--stage", name], at)).stdout;
    expect(JSON.parse(await inStage("list", "--json")).runs).toMatchObject([{ id: runId, status: "succeeded" }]);
    expect(await inStage("show")).toMatch(/attempt 2.*✓|✓ attempt 2/s);
    expect(await inStage("kernel")).toContain("def run");
    expect(await inStage("report")).toContain(problemName);
    expect(JSON.parse(await inStage("cost", "--json")).total.calls).toBeGreaterThan(2);
    expect(JSON.parse(await inStage("tree", "--json")).runId).toBe(runId);
    expect((await ksearch(["list"], at)).stdout).not.toContain(runId);
  });

  test("--detach leaves it at work; cancel ends it there", async () => {
    const at = place();
    const begun = await ksearch([...search(), ...cloud, "--max-opt-rounds", "500", "--detach", "--json"], at);
    expect(lastJson(begun)).toMatchObject({ type: "started", stage: name });
    const { runId } = lastJson(begun);
    expect(await errorOf(["resume", runId, "--stage", name], at)).toMatchObject({ code: "run.busy" });
    await ksearch(["cancel", runId, "--stage", name], at);
    for (let poll = 0; states.executions().at(-1)?.status === "RUNNING"; poll += 1) {
      if (poll > 400) throw new Error("still at work");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const { runs } = JSON.parse((await ksearch(["list", "--stage", name, "--json"], at)).stdout);
    expect(runs.find(({ id }: { id: string }) => id === runId)).toMatchObject({ status: "canceled" });
  });

  test.each<[string, string[], object]>([
    ["no stage", ["--engine", "cloud"], { code: "flags", message: expect.stringContaining("needs --stage") }],
    ["a stage beside this machine's engine", ["--engine", "local", "--stage", name], { code: "flags" }],
    [
      "to leave a search of this machine",
      ["--detach"],
      { code: "flags", message: expect.stringContaining("--engine cloud") },
    ],
    ["this machine's referee", [...cloud, "--referee", "local"], { code: "flags" }],
    ["files on this machine", [...cloud, "--save-solutions"], { code: "flags" }],
    [
      "a reply that a function cannot wait for",
      [...cloud, "--llm-timeout", "3600"],
      { code: "flags", message: expect.stringContaining("--llm-background") },
    ],
    [
      "a stage that is not there",
      ["--engine", "cloud", "--stage", "none"],
      { code: "stage.unknown", message: expect.stringContaining("scripts/deploy.sh") },
    ],
    ["a stage with no name", ["--engine", "cloud", "--stage", "Not a stage"], { code: "stage.unknown" }],
    ["a stage of another version", ["--engine", "cloud", "--stage", "broken"], { code: "stage.config" }],
  ])("%s is refused, and nothing begins", async (_, flags, wanted) => {
    const before = states.executions().length;
    expect(await errorOf([...search(), ...flags])).toMatchObject(wanted);
    expect(states.executions()).toHaveLength(before);
  });

  test("a network that is dead is told", async () => {
    const at = place();
    expect(
      await errorOf(["list", "--stage", name], {
        ...at,
        env: { ...at.env, AWS_ENDPOINT_URL_SSM: "http://127.0.0.1:9" },
      }),
    ).toMatchObject({ who: "operator", code: "stage.access" });
  });
});
