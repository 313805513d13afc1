import {
  DescribeExecutionCommand,
  ExecutionAlreadyExists,
  ExecutionDoesNotExist,
  InvalidArn,
  type SFNClient,
  StartExecutionCommand,
  StateMachineDoesNotExist,
  StopExecutionCommand,
  type ExecutionStatus as VendorStatus,
} from "@aws-sdk/client-sfn";
import { AppError, messageOf } from "@ksearch/domain";
import type { Engine, ExecutionStatus } from "@ksearch/ports";

export type StepFunctionsSettings = { client: SFNClient; stateMachineArn: string };

export type StepFunctionsEngine = Engine & {
  /** True while an execution is at work on the run. */
  isBusy(runId: string): Promise<boolean>;
};

/** Executions of one run before something must be wrong with it. */
const mostExecutions = 1_000;

/**
 * The state machine in AWS Step Functions. The n-th execution of a run is named `<run>-<n>`: Step Functions takes a name once,
 * so two starters cannot both begin one. AppError `operator`: no such state machine, no permission; `retry`: throttled.
 */
export function stepFunctionsEngine({ client, stateMachineArn }: StepFunctionsSettings): StepFunctionsEngine {
  const arnOf = (name: string): string => `${stateMachineArn.replace(":stateMachine:", ":execution:")}:${name}`;
  const described = async (executionArn: string) => {
    try {
      return await client.send(new DescribeExecutionCommand({ executionArn }));
    } catch (error) {
      if (error instanceof ExecutionDoesNotExist || error instanceof InvalidArn) return null;
      throw failureOf(error, stateMachineArn);
    }
  };
  /** The name of the next execution of a run; null: one is at work. */
  const nextName = async (runId: string): Promise<string | null> => {
    for (let nth = 1; nth <= mostExecutions; nth += 1) {
      const name = `${runId}-${nth}`;
      const known = await described(arnOf(name));
      if (known === null) return name;
      if (known.status === "RUNNING") return null;
    }
    throw new AppError("operator", "execution.many", `${runId} was executed ${mostExecutions} times: cancel it`);
  };
  return {
    async start(input) {
      const name = await nextName(input.runId);
      if (name === null) throw busy(input.runId);
      try {
        await client.send(new StartExecutionCommand({ stateMachineArn, name, input: JSON.stringify(input) }));
      } catch (error) {
        if (error instanceof ExecutionAlreadyExists) throw busy(input.runId);
        throw failureOf(error, stateMachineArn);
      }
      return arnOf(name);
    },
    isBusy: async (runId) => (await nextName(runId)) === null,
    async stop(executionId) {
      try {
        await client.send(new StopExecutionCommand({ executionArn: executionId, error: "ksearch.Stopped" }));
      } catch (error) {
        if (!(error instanceof ExecutionDoesNotExist || error instanceof InvalidArn))
          throw failureOf(error, stateMachineArn);
      }
    },
    async status(executionId) {
      const execution = await described(executionId);
      if (execution === null)
        throw new AppError("caller", "execution.unknown", `Step Functions has no execution '${executionId}'`);
      const cause = [execution.error, execution.cause].filter(Boolean).join(": ");
      return statusOf(execution.status, cause);
    },
  };
}

const busy = (runId: string): AppError =>
  new AppError("caller", "run.busy", `another execution is at work on ${runId}: wait for it, or cancel the run`);

function statusOf(status: VendorStatus | undefined, cause: string): ExecutionStatus {
  switch (status) {
    case "RUNNING":
    case "PENDING_REDRIVE":
      return { status: "running" };
    case "SUCCEEDED":
      return { status: "succeeded" };
    case "ABORTED":
      return { status: "stopped" };
    default:
      return { status: "failed", cause: cause === "" ? `the execution ended as ${status}` : cause };
  }
}

/** What the SDK threw, after its own retries, as who must act. */
function failureOf(error: unknown, stateMachineArn: string): AppError {
  const said = messageOf(error);
  const name = error instanceof Error ? error.name : "";
  if (error instanceof StateMachineDoesNotExist)
    return new AppError(
      "operator",
      "engine.missing",
      `there is no state machine ${stateMachineArn}: deploy the stage with scripts/deploy.sh, or name the right --stage and region`,
      { cause: error },
    );
  if (/AccessDenied|UnrecognizedClient|ExpiredToken|InvalidSignature|CredentialsProvider/.test(name))
    return new AppError(
      "operator",
      "engine.access",
      `Step Functions refused these AWS credentials (${said}): use those of a role that may start and describe executions of ${stateMachineArn}`,
      { cause: error },
    );
  return new AppError("retry", "engine.unreachable", `Step Functions did not answer: ${said}`, { cause: error });
}
