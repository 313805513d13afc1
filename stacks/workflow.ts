import { type StepName, stateMachine, stepPorts } from "@ksearch/workflow";
import type { Gpu } from "./gpu.ts";
import { createRole, type Statement, trusting } from "./role.ts";
import type { Secrets } from "./secrets.ts";
import type { Stage } from "./stage.ts";
import type { Storage } from "./storage.ts";

/** One Lambda function a step, the state machine over them, and what happens when an execution ends badly. */
export type Workflow = ReturnType<typeof createWorkflow>;

type Port = "llm" | "referee";

/** A model that has no background mode answers while the function waits; the others only look. */
const timeoutOf = (ports: readonly Port[]) =>
  ports.includes("llm") ? "15 minutes" : ports.includes("referee") ? "3 minutes" : "1 minute";

/** Just above the longest that a function may run, so that the function's own end is what is told. */
const taskTimeoutSeconds = 15 * 60 + 30;
/** A search that takes longer is resumed by a new execution. */
const machineTimeoutSeconds = 7 * 24 * 60 * 60;
const logDays = 30;

/** AWS knows no narrower resource for these. */
const tracing: Statement = { actions: ["xray:PutTraceSegments", "xray:PutTelemetryRecords"], resources: ["*"] };

const named = (step: string) => `${step[0]?.toUpperCase()}${step.slice(1)}`;

export function createWorkflow(stage: Stage, storage: Storage, secrets: Secrets, gpu: Gpu) {
  const account = aws.getCallerIdentityOutput().accountId;

  /** A function with a log group and a role of its own. */
  const createFunction = (name: string, handler: string, ports: readonly Port[], further: Statement[] = []) => {
    const logs = new aws.cloudwatch.LogGroup(`${name}Logs`, {
      name: `/ksearch/${stage.name}/${name}`,
      retentionInDays: logDays,
    });
    return new sst.aws.Function(name, {
      handler,
      runtime: "nodejs24.x",
      architecture: "arm64",
      nodejs: { format: "esm", minify: true },
      memory: "1024 MB",
      timeout: timeoutOf(ports),
      logging: { format: "json", logGroup: logs.name },
      environment: {
        KSEARCH_STAGE: stage.name,
        KSEARCH_TABLE: storage.table.name,
        KSEARCH_BUCKET: storage.bucket.name,
        POWERTOOLS_SERVICE_NAME: "ksearch",
        POWERTOOLS_METRICS_NAMESPACE: "ksearch",
        ...(ports.includes("llm") ? secrets.llm : {}),
        ...(ports.includes("referee") ? { ...secrets.referee, KSEARCH_MODAL_APP: gpu.modalApp } : {}),
        ...(ports.includes("referee") && gpu.jobs !== null ? { KSEARCH_BATCH_JOBS: gpu.jobs } : {}),
      },
      permissions: [
        ...storage.access,
        { actions: ["logs:CreateLogStream", "logs:PutLogEvents"], resources: [$interpolate`${logs.arn}:*`] },
        tracing,
        ...further,
      ],
      transform: {
        function: { tracingConfig: { mode: "Active" } },
        role: {
          // SST 4.17.1 trusts the whole account here, as if in `sst dev`: only Lambda has business with this role.
          assumeRolePolicy: trusting("lambda.amazonaws.com"),
          // Its managed policy lets a function write to all logs; ours are named above.
          managedPolicyArns: [],
        },
      },
    });
  };

  const steps = Object.keys(stepPorts) as StepName[];
  const functions = Object.fromEntries(
    steps.map((step) => [step, createFunction(named(step), `functions/src/steps/${step}.handler`, stepPorts[step])]),
  ) as Record<StepName, sst.aws.Function>;

  const machineName = `ksearch-${stage.name}`;
  const address = (kind: string) => $interpolate`arn:aws:states:${stage.region}:${account}:${kind}:${machineName}`;
  const arns = $resolve(steps.map((step) => functions[step].arn));
  const machineLogs = new aws.cloudwatch.LogGroup("SearchLogs", {
    // Under this prefix all state machines of an account share one resource policy, which has a limit.
    name: `/aws/vendedlogs/states/${machineName}`,
    retentionInDays: logDays,
  });
  const role = createRole("SearchRole", "states.amazonaws.com", [
    { actions: ["lambda:InvokeFunction"], resources: steps.map((step) => functions[step].arn) },
    // Each lane is an execution of its own, started by the machine itself (DISTRIBUTED Map).
    { actions: ["states:StartExecution"], resources: [address("stateMachine")] },
    {
      actions: ["states:DescribeExecution", "states:StopExecution"],
      resources: [$interpolate`${address("execution")}:*`, $interpolate`${address("execution")}/*`],
    },
    {
      // AWS knows no narrower resource for log delivery.
      actions: [
        "logs:CreateLogDelivery",
        "logs:DeleteLogDelivery",
        "logs:DescribeLogGroups",
        "logs:DescribeResourcePolicies",
        "logs:GetLogDelivery",
        "logs:ListLogDeliveries",
        "logs:PutResourcePolicy",
        "logs:UpdateLogDelivery",
      ],
      resources: ["*"],
    },
    { ...tracing, actions: [...tracing.actions, "xray:GetSamplingRules", "xray:GetSamplingTargets"] },
    ...gpu.submitJobs,
  ]);
  const machine = new aws.sfn.StateMachine("Search", {
    name: machineName,
    type: "STANDARD",
    roleArn: role.arn,
    definition: arns.apply((resources) =>
      JSON.stringify(
        stateMachine({
          resource: (step) => resources[steps.indexOf(step)] as string,
          taskTimeoutSeconds,
          machineTimeoutSeconds,
          batch: gpu.jobs !== null,
        }),
      ),
    ),
    // What a state carries are ids and keys, so it may be logged.
    loggingConfiguration: {
      level: "ERROR",
      includeExecutionData: true,
      logDestination: $interpolate`${machineLogs.arn}:*`,
    },
    tracingConfiguration: { enabled: true },
  });

  const ended = createEnded(machine, createFunction);
  const config = new aws.ssm.Parameter("Config", {
    name: `/ksearch/${stage.name}/config`,
    type: "String",
    value: $jsonStringify({
      table: storage.table.name,
      bucket: storage.bucket.name,
      stateMachineArn: machine.arn,
      region: stage.region,
      modalApp: gpu.modalApp,
    }),
  });
  return {
    functions: { ...functions, ...ended.handlers },
    machine,
    undelivered: ended.undelivered,
    config: config.name,
  };
}

/**
 * An execution that was stopped, timed out or failed outside its own Catch leaves tickets, claims and money open: its end
 * is an event, and two functions close them, one a port. What three deliveries could not bring waits in a queue, with an alarm.
 */
function createEnded(
  machine: aws.sfn.StateMachine,
  createFunction: (name: string, handler: string, ports: readonly Port[], further: Statement[]) => sst.aws.Function,
) {
  const undelivered = new aws.sqs.Queue("EndedUndelivered", {
    messageRetentionSeconds: 14 * 24 * 60 * 60,
    sqsManagedSseEnabled: true,
  });
  const rule = new aws.cloudwatch.EventRule("Ended", {
    // A lane's execution carries its Map's label in this ARN, so only whole runs match.
    eventPattern: $jsonStringify({
      source: ["aws.states"],
      "detail-type": ["Step Functions Execution Status Change"],
      detail: { stateMachineArn: [machine.arn], status: ["ABORTED", "TIMED_OUT", "FAILED"] },
    }),
  });
  const tell = (event: string, port: Port) => {
    const name = named(event);
    const handler = createFunction(
      name,
      `functions/src/events/${event}.handler`,
      [port],
      [{ actions: ["sqs:SendMessage"], resources: [undelivered.arn] }],
    );
    new aws.lambda.FunctionEventInvokeConfig(`${name}Deliveries`, {
      functionName: handler.name,
      maximumRetryAttempts: 2,
      maximumEventAgeInSeconds: 6 * 60 * 60,
      destinationConfig: { onFailure: { destination: undelivered.arn } },
    });
    new aws.cloudwatch.EventTarget(`${name}Target`, {
      rule: rule.name,
      arn: handler.arn,
      deadLetterConfig: { arn: undelivered.arn },
    });
    new aws.lambda.Permission(`${name}Permission`, {
      action: "lambda:InvokeFunction",
      function: handler.name,
      principal: "events.amazonaws.com",
      sourceArn: rule.arn,
    });
    return handler;
  };
  const handlers = {
    executionEnded: tell("executionEnded", "llm"),
    evaluationsEnded: tell("evaluationsEnded", "referee"),
  };
  new aws.sqs.QueuePolicy("EndedUndeliveredPolicy", {
    queueUrl: undelivered.url,
    policy: aws.iam.getPolicyDocumentOutput({
      statements: [
        {
          actions: ["sqs:SendMessage"],
          resources: [undelivered.arn],
          principals: [{ type: "Service", identifiers: ["events.amazonaws.com"] }],
          conditions: [{ test: "ArnEquals", variable: "aws:SourceArn", values: [rule.arn] }],
        },
      ],
    }).json,
  });
  return { handlers, undelivered };
}
