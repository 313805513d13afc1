import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { StateMachine } from "aws-local-stepfunctions";

/**
 * Step Functions on loopback: the four calls that the adapter makes, spoken by AWS's own SDK, over the engine of
 * `aws-local-stepfunctions`. An emulation: names, statuses and exceptions follow AWS's API reference, nothing was compared with AWS.
 */
export type StatesServer = {
  url: string;
  stateMachineArn: string;
  executions: () => Execution[];
  close: () => Promise<void>;
};

export type Execution = {
  executionArn: string;
  name: string;
  status: "RUNNING" | "SUCCEEDED" | "FAILED" | "ABORTED";
  input: string;
  startDate: number;
  stopDate: number | null;
  error?: string;
  cause?: string;
};

/** One thing that happened in an execution, as the engine tells it. */
export type Happening = { type: string; stateName?: string; stateType?: string; atMs: number; executionArn: string };

type Json = Record<string, unknown>;

export type StatesSettings = {
  definition: object;
  /** What a Task does, by state name. It throws errors with AWS's names. */
  task: (state: string, input: unknown) => Promise<unknown>;
  taskStates: readonly string[];
  waitsMs: Record<string, number>;
  retriesMs?: Record<string, number>;
  /** Parameters of SSM by name: a stage's addresses. */
  parameters?: Record<string, string>;
  happened?: (event: Happening) => void;
  /** As EventBridge tells it, after the end. */
  ended?: (execution: Execution) => void;
};

export async function startStates(settings: StatesSettings): Promise<StatesServer> {
  const stateMachineArn = "arn:aws:states:us-east-1:000000000000:stateMachine:ksearch";
  const executions = new Map<string, { execution: Execution; abort: () => void }>();
  const machine = new StateMachine(settings.definition as ConstructorParameters<typeof StateMachine>[0], {
    validationOptions: { checkArn: false },
  });

  const start = ({ name, input }: { name: string; input: string }) => {
    const executionArn = `${stateMachineArn.replace(":stateMachine:", ":execution:")}:${name}`;
    const known = executions.get(executionArn)?.execution;
    if (known !== undefined && !(known.status === "RUNNING" && known.input === input))
      throw refusal("ExecutionAlreadyExists", `Execution Already Exists: '${executionArn}'`);
    if (known !== undefined) return { executionArn, startDate: known.startDate / 1000 };
    const handlers = Object.fromEntries(
      settings.taskStates.map((state) => [state, (given: unknown) => settings.task(state, given)]),
    );
    const overrides = {
      taskResourceLocalHandlers: handlers as Record<string, (given: unknown) => Promise<string>>,
      waitTimeOverrides: settings.waitsMs,
      retryIntervalOverrides: settings.retriesMs ?? {},
    };
    const run = machine.run(JSON.parse(input), { noThrowOnAbort: true, overrides });
    const execution: Execution = {
      executionArn,
      name,
      status: "RUNNING",
      input,
      startDate: Date.now(),
      stopDate: null,
    };
    executions.set(executionArn, { execution, abort: run.abort });
    void tell(run.eventLogs, executionArn, settings.happened);
    const end = (change: Partial<Execution>) => {
      if (execution.status === "RUNNING") Object.assign(execution, change);
      execution.stopDate ??= Date.now();
      settings.ended?.(execution);
    };
    run.result.then(
      () => end({ status: "SUCCEEDED" }),
      (thrown: Error) => end({ status: "FAILED", error: thrown.name, cause: thrown.message }),
    );
    return { executionArn, startDate: execution.startDate / 1000 };
  };

  const find = (executionArn: string) => {
    const found = executions.get(executionArn);
    if (found !== undefined) return found;
    if (!executionArn.startsWith("arn:")) throw refusal("InvalidArn", `Invalid Arn: '${executionArn}'`);
    throw refusal("ExecutionDoesNotExist", `Execution Does Not Exist: '${executionArn}'`);
  };

  const answers: Record<string, (asked: Json) => unknown> = {
    "AWSStepFunctions.StartExecution": (asked) => {
      if (asked.stateMachineArn !== stateMachineArn)
        throw refusal("StateMachineDoesNotExist", `State Machine Does Not Exist: '${asked.stateMachineArn}'`);
      return start({ name: String(asked.name), input: String(asked.input) });
    },
    "AWSStepFunctions.DescribeExecution": (asked) => {
      const { execution } = find(String(asked.executionArn));
      return { ...execution, stateMachineArn, startDate: execution.startDate / 1000, stopDate: undefined };
    },
    "AWSStepFunctions.StopExecution": (asked) => {
      const { execution, abort } = find(String(asked.executionArn));
      if (execution.status === "RUNNING") {
        execution.status = "ABORTED";
        execution.stopDate = Date.now();
        abort();
      }
      return { stopDate: Date.now() / 1000 };
    },
    "AmazonSSM.GetParameter": (asked) => {
      const value = settings.parameters?.[String(asked.Name)];
      if (value === undefined) throw refusal("ParameterNotFound", "");
      return { Parameter: { Name: asked.Name, Type: "String", Value: value } };
    },
  };

  const server = createServer(async (request, response) => {
    const target = String(request.headers["x-amz-target"]);
    const reply = (code: number, body: unknown) => {
      response.writeHead(code, { "content-type": "application/x-amz-json-1.0" });
      response.end(JSON.stringify(body));
    };
    try {
      const answer = answers[target];
      if (answer === undefined) throw refusal("UnknownOperationException", target);
      reply(200, answer(JSON.parse(await text(request)) as Json));
    } catch (error) {
      const { name, message } = error as Error;
      reply(400, { __type: name, message });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stateMachineArn,
    executions: () => [...executions.values()].map(({ execution }) => execution),
    close: async () => {
      for (const { abort } of executions.values()) abort();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const refusal = (name: string, message: string): Error => Object.assign(new Error(message), { name });

async function tell(
  events: AsyncIterable<unknown>,
  executionArn: string,
  happened: StatesSettings["happened"],
): Promise<void> {
  for await (const event of events) {
    const { type, timestamp, state } = event as { type: string; timestamp: number; state?: Json };
    happened?.({
      type,
      atMs: timestamp,
      executionArn,
      ...(typeof state?.name === "string" ? { stateName: state.name } : {}),
      ...(typeof state?.type === "string" ? { stateType: state.type } : {}),
    });
  }
}
