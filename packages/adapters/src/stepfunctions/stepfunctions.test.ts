import { SFNClient } from "@aws-sdk/client-sfn";
import { ended, engineContract } from "@ksearch/ports/contracts";
import { afterAll, expect, test } from "vitest";
import { type StatesServer, type StatesSettings, startStates } from "../../test/states-server.ts";
import { stepFunctionsEngine } from "./index.ts";

/** EMULATED: AWS's SDK speaks to a loopback server. What only AWS can show stands in docs/operations.md. */
const servers: StatesServer[] = [];
afterAll(() => Promise.all(servers.map((server) => server.close())));

const definition = {
  StartAt: "Work",
  States: {
    Work: { Type: "Task", Resource: "arn:aws:lambda:us-east-1:000000000000:function:work", Next: "Done" },
    Done: { Type: "Succeed" },
  },
};

const credentials = { accessKeyId: "test", secretAccessKey: "test" };
const clientOf = (endpoint: string) =>
  new SFNClient({ endpoint, region: "us-east-1", credentials, maxAttempts: 2, retryMode: "standard" });

async function engineOver(task: StatesSettings["task"]) {
  const server = await startStates({ definition, task, taskStates: ["Work"], waitsMs: {} });
  servers.push(server);
  return {
    server,
    engine: stepFunctionsEngine({ client: clientOf(server.url), stateMachineArn: server.stateMachineArn }),
  };
}

engineContract(async () => {
  let open: (fail?: string) => void = () => undefined;
  const gate = new Promise<void>((resolve, reject) => {
    open = (fail) => (fail === undefined ? resolve() : reject(new Error(fail)));
  });
  gate.catch(() => undefined);
  const { engine } = await engineOver(() => gate.then(() => ({})));
  return { engine, release: (fail?: string) => open(fail) };
});

test("a run is executed again under a name of its own once the first execution has ended", async () => {
  const { engine, server } = await engineOver(async () => ({}));
  for (const nth of [1, 2, 3]) {
    const id = await engine.start({ runId: "run_a", lanes: 2 });
    expect(id).toMatch(new RegExp(`:execution:ksearch:run_a-${nth}$`));
    await ended(engine, id);
  }
  expect(server.executions().map(({ input }) => JSON.parse(input))).toEqual(
    Array(3).fill({ runId: "run_a", lanes: 2 }),
  );
});

test("a state machine that is not there, and a network that is dead, tell the mend", async () => {
  const { server } = await engineOver(async () => ({}));
  const elsewhere = stepFunctionsEngine({
    client: clientOf(server.url),
    stateMachineArn: server.stateMachineArn.replace(/ksearch$/, "other"),
  });
  await expect(elsewhere.start({ runId: "run_a", lanes: 1 })).rejects.toMatchObject({
    who: "operator",
    code: "engine.missing",
    message: expect.stringContaining("scripts/deploy.sh"),
  });
  const dead = stepFunctionsEngine({
    client: clientOf("http://127.0.0.1:9"),
    stateMachineArn: server.stateMachineArn,
  });
  await expect(dead.start({ runId: "run_a", lanes: 1 })).rejects.toMatchObject({
    who: "retry",
    code: "engine.unreachable",
  });
});

test("an execution that nobody knows is told as such", async () => {
  const { engine } = await engineOver(async () => ({}));
  await expect(engine.status("arn:aws:states:us-east-1:000000000000:execution:ksearch:none")).rejects.toMatchObject({
    who: "caller",
    code: "execution.unknown",
  });
});
