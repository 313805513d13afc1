import type { Stage } from "./stage.ts";
import type { Storage } from "./storage.ts";
import type { Workflow } from "./workflow.ts";

/** What somebody should look at; docs/operations.md says what to do at each. A failing kernel is none of it. */
export function createAlarms(stage: Stage, { table }: Storage, { functions, machine, undelivered }: Workflow) {
  const topic = new aws.sns.Topic("Alarms");
  new aws.sns.TopicPolicy("AlarmsPolicy", {
    arn: topic.arn,
    policy: aws.iam.getPolicyDocumentOutput({
      statements: [
        {
          actions: ["sns:Publish"],
          resources: [topic.arn],
          principals: [{ type: "Service", identifiers: ["cloudwatch.amazonaws.com"] }],
          conditions: [
            {
              test: "StringEquals",
              variable: "aws:SourceAccount",
              values: [aws.getCallerIdentityOutput().accountId],
            },
          ],
        },
      ],
    }).json,
  });
  if (stage.alarmEmail !== undefined)
    new aws.sns.TopicSubscription("AlarmsEmail", { topic: topic.arn, protocol: "email", endpoint: stage.alarmEmail });

  /** Rings when the metric's sum (of a queue: its most) over five minutes is above zero. */
  const createAlarm = (
    name: string,
    told: string,
    namespace: string,
    metricName: string,
    dimensions: Record<string, $util.Input<string>>,
    statistic = "Sum",
  ) =>
    new aws.cloudwatch.MetricAlarm(name, {
      alarmDescription: `ksearch ${stage.name}: ${told}`,
      namespace,
      metricName,
      dimensions,
      statistic,
      period: 300,
      evaluationPeriods: 1,
      comparisonOperator: "GreaterThanThreshold",
      threshold: 0,
      treatMissingData: "notBreaching",
      alarmActions: [topic.arn],
    });

  const executions = { StateMachineArn: machine.arn };
  createAlarm("RunsFailed", "an execution failed", "AWS/States", "ExecutionsFailed", executions);
  createAlarm("RunsTimedOut", "an execution timed out", "AWS/States", "ExecutionsTimedOut", executions);
  for (const [step, { name }] of Object.entries(functions)) {
    const title = `${step[0]?.toUpperCase()}${step.slice(1)}`;
    createAlarm(`${title}Errors`, `step ${step} threw`, "AWS/Lambda", "Errors", { FunctionName: name });
    createAlarm(`${title}Throttles`, `step ${step} was throttled`, "AWS/Lambda", "Throttles", { FunctionName: name });
  }
  const facts = { TableName: table.name };
  createAlarm("FactsReadThrottles", "reads of the table were throttled", "AWS/DynamoDB", "ReadThrottleEvents", facts);
  createAlarm(
    "FactsWriteThrottles",
    "writes to the table were throttled",
    "AWS/DynamoDB",
    "WriteThrottleEvents",
    facts,
  );
  createAlarm(
    "EndedUndeliveredAlarm",
    "the end of an execution could not be handled",
    "AWS/SQS",
    "ApproximateNumberOfMessagesVisible",
    { QueueName: undelivered.name },
    "Maximum",
  );
}
