import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type StepName, stateMachine, stepPorts, taskStates } from "@ksearch/workflow";
import { getLanguageService, TextDocument } from "amazon-states-language-service";
import aslValidator from "asl-validator";
import { beforeAll, describe, expect, test } from "vitest";
import { platformInstalled } from "../scripts/synthesis/platform.ts";
import { type Resource, type Synthesis, secretNames, standIn, synthesise } from "../scripts/synthesis/synthesise.ts";

/**
 * What a deployment would make, from SST's real components. Skipped where they are not installed:
 * `npm run synth -- --install` does it once, given the npm registry.
 */
const root = fileURLToPath(new URL("..", import.meta.url));
const installed = platformInstalled(root);

const batchSettings = {
  KSEARCH_BATCH_GPUS: "L4 H100",
  KSEARCH_BATCH_IMAGE: `123456789012.dkr.ecr.us-east-1.amazonaws.com/ksearch/referee@sha256:${"a".repeat(64)}`,
};
const steps = Object.keys(stepPorts) as StepName[];

let dev: Synthesis;
let production: Synthesis;
let batch: Synthesis;

beforeAll(async () => {
  if (!installed) return;
  [dev, production, batch] = await Promise.all([
    synthesise(root, "dev"),
    synthesise(root, "production", { KSEARCH_ALARM_EMAIL: "night@example.org" }),
    synthesise(root, "dev", batchSettings),
  ]);
}, 120_000);

type Value = Record<string, unknown>;
const ofType = ({ resources }: Synthesis, type: string): Resource[] =>
  resources.filter((resource) => resource.type.endsWith(`:${type}`));
const named = ({ resources }: Synthesis, name: string): Resource => {
  const found = resources.find((resource) => resource.name === name);
  if (found === undefined) throw new Error(`no resource ${name}`);
  return found;
};
const inputsOf = (synthesis: Synthesis, name: string): Value => named(synthesis, name).inputs;
const functionOf = (synthesis: Synthesis, step: string): Value =>
  inputsOf(synthesis, `${step[0]?.toUpperCase()}${step.slice(1)}Function`);
const environmentOf = (lambda: Value): Record<string, string> =>
  (lambda.environment as { variables: Record<string, string> }).variables;

type Statement = {
  Effect: string;
  Action: string[];
  Resource?: string[];
  Principal?: string | Record<string, string[]>;
  Condition?: Value;
};
type Found = { resource: Resource; statement: Statement };

/** Every statement of every policy document anywhere in a stage. */
function statementsOf({ resources }: Synthesis): Found[] {
  const within = (value: unknown): Statement[] => {
    if (typeof value === "string")
      return value.startsWith('{"Version"') ? (JSON.parse(value) as { Statement: Statement[] }).Statement : [];
    return value === null || typeof value !== "object" ? [] : Object.values(value).flatMap(within);
  };
  return resources.flatMap((resource) => within(resource.inputs).map((statement) => ({ resource, statement })));
}

describe.skipIf(!installed)("every resource", () => {
  test("of a stage without Batch", () => {
    const perFunction = /:(Function|Role|LogGroup|BucketObjectv2|MetricAlarm)$/;
    expect(
      dev.resources
        .filter(({ type }) => !perFunction.test(type))
        .map(({ name }) => name)
        .sort(),
    ).toEqual(
      [
        ["FactsTable", "BytesBucket", "BytesEncryption", "BytesLifecycle", "BytesOwnership", "BytesPolicy"],
        ["BytesPublicAccessBlock", "BytesVersioning", "Search", "Config", "Alarms", "AlarmsPolicy"],
        ["Ended", "EndedUndelivered", "EndedUndeliveredPolicy"],
        ...["ExecutionEnded", "EvaluationsEnded"].map((name) => [
          `${name}Deliveries`,
          `${name}Permission`,
          `${name}Target`,
        ]),
        // SST's own: the key of links between resources, of which we have none.
        ["LambdaEncryptionKey"],
      ]
        .flat()
        .sort(),
    );
    const count = (type: string) => ofType(dev, type).length;
    const functions = steps.length + 2;
    expect(count("Function")).toBe(functions);
    expect(count("Role")).toBe(functions + 1);
    expect(count("LogGroup")).toBe(functions + 1);
    expect(count("MetricAlarm")).toBe(2 * functions + 5);
  });
});

describe.skipIf(!installed)("storage", () => {
  test("the table: on demand, TTL, point-in-time recovery, encryption, its keys", () => {
    expect(inputsOf(dev, "FactsTable")).toMatchObject({
      billingMode: "PAY_PER_REQUEST",
      ttl: { attributeName: "expiresAt", enabled: true },
      pointInTimeRecovery: { enabled: true },
      serverSideEncryption: { enabled: true },
      hashKey: "pk",
      rangeKey: "sk",
      attributes: [
        { name: "pk", type: "S" },
        { name: "sk", type: "S" },
      ],
      globalSecondaryIndexes: [],
    });
  });
  test("the bucket: versioned, encrypted, private, by TLS only", () => {
    expect(inputsOf(dev, "BytesVersioning")).toMatchObject({ versioningConfiguration: { status: "Enabled" } });
    expect(inputsOf(dev, "BytesEncryption")).toMatchObject({
      rules: [{ applyServerSideEncryptionByDefault: { sseAlgorithm: "AES256" } }],
    });
    expect(inputsOf(dev, "BytesPublicAccessBlock")).toMatchObject({
      blockPublicAcls: true,
      blockPublicPolicy: true,
      ignorePublicAcls: true,
      restrictPublicBuckets: true,
    });
    expect(inputsOf(dev, "BytesOwnership")).toMatchObject({ rule: { objectOwnership: "BucketOwnerEnforced" } });
    const { bucket } = inputsOf(dev, "BytesBucket");
    expect(JSON.parse(String(inputsOf(dev, "BytesPolicy").policy)).Statement).toEqual([
      {
        Effect: "Deny",
        Principal: "*",
        Action: ["s3:*"],
        Resource: [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`],
        Condition: { Bool: { "aws:SecureTransport": ["false"] } },
      },
    ]);
  });
  test("old versions and incomplete uploads go, current versions never", () => {
    const rules = inputsOf(dev, "BytesLifecycle").rules as Value[];
    expect(rules).toMatchObject([
      { status: "Enabled", noncurrentVersionExpiration: { noncurrentDays: 7 } },
      { status: "Enabled", abortIncompleteMultipartUpload: { daysAfterInitiation: 2 } },
    ]);
    for (const { expiration } of rules) expect(expiration ?? {}).not.toHaveProperty("days");
    expect(inputsOf(production, "BytesLifecycle").rules).toMatchObject([
      { noncurrentVersionExpiration: { noncurrentDays: 90 } },
      {},
    ]);
  });
});

describe.skipIf(!installed)("the state machine", () => {
  const definition = () => JSON.parse(String(inputsOf(dev, "Search").definition));

  test("passes asl-validator, with its paths and ARNs checked", () => {
    expect(aslValidator(definition(), { checkArn: true, checkPaths: true }).errors).toEqual([]);
  });
  test("passes AWS's own language service", async () => {
    const service = getLanguageService({});
    const document = TextDocument.create("file://machine.asl", "asl", 1, JSON.stringify(definition(), null, 2));
    expect(await service.doValidation(document, service.parseJSONDocument(document))).toEqual([]);
  });
  test("is the workflow's own document, over this stage's functions", () => {
    const resource = (step: StepName) => `arn:aws:lambda:us-east-1:123456789012:function:${functionOf(dev, step).name}`;
    expect(definition()).toEqual(
      stateMachine({ resource, taskTimeoutSeconds: 930, machineTimeoutSeconds: 7 * 24 * 3600 }),
    );
    expect(new Set(Object.values(taskStates))).toEqual(new Set(steps));
  });
  test("logs its errors, is traced, and is no EXPRESS machine, which could not last", () => {
    const machine = inputsOf(dev, "Search");
    expect(machine).toMatchObject({
      type: "STANDARD",
      loggingConfiguration: { level: "ERROR" },
      tracingConfiguration: { enabled: true },
    });
    expect((machine.loggingConfiguration as Value).logDestination).toBe(
      "arn:aws:logs:us-east-1:123456789012:log-group:/aws/vendedlogs/states/ksearch-dev:*",
    );
  });
  test("publishes the stage's addresses", () => {
    const config = inputsOf(dev, "Config");
    expect(config).toMatchObject({ name: "/ksearch/dev/config", type: "String" });
    expect(JSON.parse(String(config.value))).toEqual({
      table: inputsOf(dev, "FactsTable").name,
      bucket: inputsOf(dev, "BytesBucket").bucket,
      stateMachineArn: "arn:aws:states:us-east-1:123456789012:stateMachine:ksearch-dev",
      region: "us-east-1",
      modalApp: "ksearch-referee-dev",
    });
  });
  test("an execution that ended badly reaches both of its functions, or a queue", () => {
    expect(JSON.parse(String(inputsOf(dev, "Ended").eventPattern))).toEqual({
      source: ["aws.states"],
      "detail-type": ["Step Functions Execution Status Change"],
      detail: {
        stateMachineArn: ["arn:aws:states:us-east-1:123456789012:stateMachine:ksearch-dev"],
        status: ["ABORTED", "TIMED_OUT", "FAILED"],
      },
    });
    const queue = "arn:aws:sqs:us-east-1:123456789012:EndedUndelivered";
    for (const ending of ["ExecutionEnded", "EvaluationsEnded"]) {
      const { name } = inputsOf(dev, `${ending}Function`);
      expect(inputsOf(dev, `${ending}Target`)).toMatchObject({
        rule: "Ended",
        arn: `arn:aws:lambda:us-east-1:123456789012:function:${name}`,
        deadLetterConfig: { arn: queue },
      });
      expect(inputsOf(dev, `${ending}Permission`)).toMatchObject({
        function: name,
        principal: "events.amazonaws.com",
        sourceArn: "arn:aws:events:us-east-1:123456789012:rule/Ended",
      });
      expect(inputsOf(dev, `${ending}Deliveries`)).toMatchObject({
        functionName: name,
        destinationConfig: { onFailure: { destination: queue } },
      });
    }
  });
});

const handlers: [name: string, handler: string, ports: readonly string[]][] = [
  ...steps.map((step): [string, string, readonly string[]] => [step, `functions/src/steps/${step}`, stepPorts[step]]),
  ["executionEnded", "functions/src/events/executionEnded", ["llm"]],
  ["evaluationsEnded", "functions/src/events/evaluationsEnded", ["referee"]],
];

describe.skipIf(!installed).each(handlers)("the function of %s", (name, source, ports) => {
  test("is Node 24 on arm64 with stated limits, traced, logging for 30 days", () => {
    const lambda = functionOf(dev, name);
    expect(lambda).toMatchObject({
      handler: `${source}.handler`,
      runtime: "nodejs24.x",
      architectures: ["arm64"],
      memorySize: 1024,
      timeout: ports.includes("llm") ? 900 : ports.includes("referee") ? 180 : 60,
      tracingConfig: { mode: "Active" },
    });
    expect(existsSync(join(root, `${source}.ts`))).toBe(true);
    const { logGroup } = lambda.loggingConfig as { logGroup: string };
    expect(ofType(dev, "LogGroup").find(({ inputs }) => inputs.name === logGroup)?.inputs.retentionInDays).toBe(30);
  });
  test("has the environment of its ports and nothing more", () => {
    expect(Object.keys(environmentOf(functionOf(dev, name))).sort()).toEqual(
      [
        ...["KSEARCH_BUCKET", "KSEARCH_STAGE", "KSEARCH_TABLE"],
        ...["POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_SERVICE_NAME"],
        ...(ports.includes("llm") ? ["GEMINI_API_KEY", "LLM_API_KEY", "OPENAI_API_KEY"] : []),
        ...(ports.includes("referee") ? ["KSEARCH_MODAL_APP", "MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET"] : []),
        // SST's own; nothing is linked, so there is nothing to open with the key.
        ...["SST_KEY", "SST_KEY_FILE", "SST_RESOURCE_App"],
      ].sort(),
    );
  });
  test("may read and write the stage's table and the bucket's runs, delete nothing, and write its own log and traces", () => {
    const role = `${name[0]?.toUpperCase()}${name.slice(1)}Role`;
    const [trust, ...own] = statementsOf(dev).filter(({ resource }) => resource.name === role);
    expect(trust?.statement).toMatchObject({
      Action: ["sts:AssumeRole"],
      Principal: { Service: ["lambda.amazonaws.com"] },
    });
    const table = `arn:aws:dynamodb:us-east-1:123456789012:table/${inputsOf(dev, "FactsTable").name}`;
    const bucket = `arn:aws:s3:::${inputsOf(dev, "BytesBucket").bucket}`;
    const log = (functionOf(dev, name).loggingConfig as Value).logGroup;
    const allow = (Action: string[], Resource: string[], more = {}) => ({ Effect: "Allow", Action, Resource, ...more });
    expect(own.map(({ statement }) => statement)).toEqual([
      allow(["dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:ConditionCheckItem"], [table]),
      allow(["s3:GetObject", "s3:PutObject"], [`${bucket}/*/runs/*`]),
      allow(["s3:ListBucket"], [bucket], { Condition: { StringLikeIfExists: { "s3:prefix": ["*/runs/*"] } } }),
      allow(["logs:CreateLogStream", "logs:PutLogEvents"], [`arn:aws:logs:us-east-1:123456789012:log-group:${log}:*`]),
      allow(["xray:PutTraceSegments", "xray:PutTelemetryRecords"], ["*"]),
      ...(name.endsWith("Ended")
        ? [allow(["sqs:SendMessage"], ["arn:aws:sqs:us-east-1:123456789012:EndedUndelivered"])]
        : []),
    ]);
  });
});

/** The only actions that may stand with the resource `*`: AWS knows no narrower one for them. */
const withoutResource = new Set([
  // X-Ray: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html
  ...["xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets"],
  // Delivery of a state machine's log: https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
  ...["logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery"],
  ...["logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups"],
  // With Batch: the state of a job, the address of the cluster's agent, the token of a registry.
  ...["batch:DescribeJobs", "ecs:DiscoverPollEndpoint", "ecr:GetAuthorizationToken"],
]);

describe.skipIf(!installed)("IAM", () => {
  const stages = () => [dev, production, batch];
  const allowed = () =>
    stages()
      .flatMap(statementsOf)
      .filter(({ statement }) => statement.Effect === "Allow");

  test("all policies are found by this test", () => {
    expect(statementsOf(dev).length).toBeGreaterThan(18 * 6);
    for (const { inputs } of stages().flatMap((stage) => ofType(stage, "Role"))) {
      expect(
        Object.keys(inputs)
          .filter((key) => key.toLowerCase().includes("polic"))
          .sort(),
      ).toEqual(expect.arrayContaining(["assumeRolePolicy", "inlinePolicies"]));
      expect(inputs.inlinePolicies).toHaveLength(1);
    }
  });
  test("no statement allows an action by a wildcard", () => {
    for (const { resource, statement } of allowed())
      for (const action of statement.Action) expect(`${resource.name} ${action}`).toMatch(/^\w+ [a-z0-9]+:[A-Za-z]+$/);
  });
  test("only what AWS knows no resource for stands with all resources", () => {
    const used = allowed().flatMap(({ statement }) => (statement.Resource?.includes("*") ? statement.Action : []));
    expect(new Set(used)).toEqual(withoutResource);
  });
  test("every other resource is an address of this account and region, or of S3", () => {
    for (const { statement } of allowed())
      for (const resource of statement.Resource ?? [])
        if (resource !== "*") expect(resource).toMatch(/^arn:aws:(\w+:us-east-1:123456789012:\S+[^*:/]|s3:::\S+)/);
  });
  test("roles trust one service each and carry no policy of AWS's own", () => {
    for (const { name, inputs } of stages().flatMap((stage) => ofType(stage, "Role"))) {
      expect(inputs.managedPolicyArns ?? []).toEqual([]);
      const { Statement: trust } = JSON.parse(String(inputs.assumeRolePolicy));
      expect(trust, name).toHaveLength(1);
      expect(Object.keys(trust[0].Principal)).toEqual(["Service"]);
      expect(trust[0].Principal.Service).toHaveLength(1);
    }
    expect(stages().flatMap((stage) => ofType(stage, "RolePolicyAttachment"))).toEqual([]);
  });
  test("who is named in a resource's own policy is bound by a condition, or by what the policy lies on", () => {
    const open = allowed().filter(
      ({ resource, statement }) =>
        statement.Principal !== undefined && statement.Condition === undefined && !resource.type.endsWith(":Role"),
    );
    // The way to S3 out of the GPU's subnets: whoever is in there, and has a signature.
    expect(new Set(open.map(({ resource }) => resource.name))).toEqual(new Set(["GpuEndpointS3"]));
  });
  test("the state machine calls its functions and itself", () => {
    const own = statementsOf(dev).filter(({ resource }) => resource.name === "SearchRole");
    const by = (action: string) => own.find(({ statement }) => statement.Action.includes(action))?.statement.Resource;
    expect(by("lambda:InvokeFunction")).toEqual(
      steps.map((step) => `arn:aws:lambda:us-east-1:123456789012:function:${functionOf(dev, step).name}`),
    );
    expect(by("states:StartExecution")).toEqual(["arn:aws:states:us-east-1:123456789012:stateMachine:ksearch-dev"]);
    expect(by("states:StopExecution")).toEqual([
      "arn:aws:states:us-east-1:123456789012:execution:ksearch-dev:*",
      "arn:aws:states:us-east-1:123456789012:execution:ksearch-dev/*",
    ]);
    expect(by("batch:SubmitJob")).toBeUndefined();
  });
});

describe.skipIf(!installed)("secrets", () => {
  const variables: Record<(typeof secretNames)[number], [variable: string, port: string]> = {
    OpenaiApiKey: ["OPENAI_API_KEY", "llm"],
    GeminiApiKey: ["GEMINI_API_KEY", "llm"],
    LlmApiKey: ["LLM_API_KEY", "llm"],
    ModalTokenId: ["MODAL_TOKEN_ID", "referee"],
    ModalTokenSecret: ["MODAL_TOKEN_SECRET", "referee"],
  };
  test.each(secretNames)(
    "%s is in the environment of the functions that ask its service, and nowhere else",
    (secret) => {
      const [variable, port] = variables[secret];
      for (const stage of [dev, production, batch]) {
        const places = stage.resources.filter(({ inputs }) => JSON.stringify(inputs).includes(standIn(secret)));
        expect(places.map(({ inputs }) => inputs.handler).sort()).toEqual(
          handlers
            .filter(([, , ports]) => ports.includes(port))
            .map(([, source]) => `${source}.handler`)
            .sort(),
        );
        for (const { inputs } of places) {
          const environment = environmentOf(inputs);
          expect(environment[variable]).toBe(standIn(secret));
          const { environment: _, ...rest } = inputs;
          expect(JSON.stringify(rest)).not.toContain(standIn(secret));
        }
      }
    },
  );
});

describe.skipIf(!installed)("production", () => {
  const data = ["FactsTable", "BytesBucket"];

  test("is protected as a whole, and so are its table and bucket, which are retained", () => {
    expect(production.app).toMatchObject({ stage: "production", removal: "retain", protect: true });
    for (const name of data) expect(named(production, name).options).toEqual({ protect: true, retain: true });
    expect(inputsOf(production, "FactsTable").deletionProtectionEnabled).toBe(true);
    expect(inputsOf(production, "BytesBucket").forceDestroy).toBe(false);
  });
  test("another stage goes without a trace", () => {
    expect(dev.app).toMatchObject({ removal: "remove", protect: false });
    expect(dev.resources.filter(({ options }) => options.protect || options.retain)).toEqual([]);
    expect(inputsOf(dev, "BytesBucket").forceDestroy).toBe(true);
    expect(inputsOf(dev, "FactsTable").deletionProtectionEnabled).toBe(false);
  });
});

describe.skipIf(!installed)("alarms", () => {
  test("ring for executions, every function, the table and the queue, all at one topic", () => {
    const alarms = ofType(dev, "MetricAlarm");
    const metrics = (namespace: string) =>
      alarms.filter(({ inputs }) => inputs.namespace === namespace).map(({ inputs }) => inputs.metricName);
    expect(new Set(metrics("AWS/States"))).toEqual(new Set(["ExecutionsFailed", "ExecutionsTimedOut"]));
    expect(metrics("AWS/DynamoDB").sort()).toEqual(["ReadThrottleEvents", "WriteThrottleEvents"]);
    expect(metrics("AWS/SQS")).toEqual(["ApproximateNumberOfMessagesVisible"]);
    for (const [name] of handlers) {
      const own = alarms.filter(
        ({ inputs }) => (inputs.dimensions as Value).FunctionName === functionOf(dev, name).name,
      );
      expect(own.map(({ inputs }) => inputs.metricName).sort()).toEqual(["Errors", "Throttles"]);
    }
    for (const { inputs } of alarms) expect(inputs.alarmActions).toEqual(["arn:aws:sns:us-east-1:123456789012:Alarms"]);
  });
  test("have a row each in docs/operations.md, which says what to do", () => {
    const page = readFileSync(join(root, "docs/operations.md"), "utf8");
    const rows = new Set(
      ofType(dev, "MetricAlarm").map(({ name, inputs }) =>
        inputs.namespace === "AWS/Lambda" ? `<Step>${inputs.metricName}` : name,
      ),
    );
    expect(rows.size).toBe(7);
    for (const row of rows) expect(page).toContain(`\`${row}\``);
  });
  test("are mailed where an address is set", () => {
    expect(ofType(dev, "TopicSubscription")).toEqual([]);
    expect(inputsOf(production, "AlarmsEmail")).toMatchObject({ protocol: "email", endpoint: "night@example.org" });
  });
});

describe.skipIf(!installed)("AWS Batch", () => {
  test("is absent unless asked for", () => {
    expect(dev.resources.filter(({ type }) => /^aws:(batch|ec2)/.test(type))).toEqual([]);
  });
  test("has a queue and an environment a GPU class, empty while no job waits", () => {
    for (const [gpu, instance, vcpus] of [["L4", "g6.xlarge", 8] as const, ["H100", "p5.4xlarge", 32] as const]) {
      const { computeResources, type } = inputsOf(batch, `Gpu${gpu}Hosts`);
      expect(type).toBe("MANAGED");
      expect(computeResources).toMatchObject({
        type: "EC2",
        minVcpus: 0,
        maxVcpus: vcpus,
        instanceTypes: [instance],
        ec2Configurations: [{ imageType: "ECS_AL2023_NVIDIA" }],
        securityGroupIds: ["GpuHosts-id"],
        subnets: ["GpuSubnet0-id", "GpuSubnet1-id", "GpuSubnet2-id"],
      });
      expect(inputsOf(batch, `Gpu${gpu}Queue`)).toMatchObject({ name: `ksearch-dev-${gpu}`, state: "ENABLED" });
    }
    expect(ofType(batch, "ComputeEnvironment")).toHaveLength(2);
  });
  test("its jobs are started by the machine, by the addresses that the steps know", () => {
    expect(JSON.stringify(inputsOf(batch, "Search").definition)).toContain("batch:submitJob.sync");
    expect(JSON.stringify(inputsOf(dev, "Search").definition)).not.toContain("batch:");
    const { KSEARCH_BATCH_JOBS: jobs } = environmentOf(functionOf(batch, "evaluate"));
    const { L4, H100 } = JSON.parse(String(jobs));
    expect(L4.queue).toBe("arn:aws:batch:us-east-1:123456789012:job-queue/ksearch-dev-L4");
    expect(H100.definition).toBe(L4.definition);
    expect(environmentOf(functionOf(batch, "draft"))).not.toHaveProperty("KSEARCH_BATCH_JOBS");
    expect(environmentOf(functionOf(dev, "evaluate"))).not.toHaveProperty("KSEARCH_BATCH_JOBS");
  });
  test("its job: one GPU, no role, not privileged, the image by digest, once and for half an hour", () => {
    const job = inputsOf(batch, "GpuJob");
    expect(job).toMatchObject({ retryStrategy: { attempts: 1 }, timeout: { attemptDurationSeconds: 1800 } });
    const container = JSON.parse(String(job.containerProperties));
    expect(container).toMatchObject({ image: batchSettings.KSEARCH_BATCH_IMAGE, privileged: false });
    expect(container.resourceRequirements).toContainEqual({ type: "GPU", value: "1" });
    expect(container).not.toHaveProperty("jobRoleArn");
    expect(container).not.toHaveProperty("environment");
  });
  test("its network has no way out: no gateway, no address, to AWS alone", () => {
    expect(batch.resources.filter(({ type }) => /Gateway|Eip|:Route$/.test(type.replace("VpcEndpoint", "")))).toEqual(
      [],
    );
    for (const { inputs } of ofType(batch, "Subnet")) expect(inputs.mapPublicIpOnLaunch).toBe(false);
    expect(inputsOf(batch, "GpuHosts")).toMatchObject({
      ingress: [],
      egress: [
        { fromPort: 443, toPort: 443, securityGroups: ["GpuEndpoints-id"] },
        { fromPort: 443, toPort: 443, prefixListIds: ["pl-00000000"] },
      ],
    });
    for (const { inputs } of ofType(batch, "SecurityGroup")) expect(JSON.stringify(inputs)).not.toContain("0.0.0.0/0");
  });
  test("its hosts' metadata service is out of a kernel's reach", () => {
    const { metadataOptions, userData } = inputsOf(batch, "GpuHost");
    expect(metadataOptions).toMatchObject({ httpTokens: "required", httpPutResponseHopLimit: 1 });
    const script = Buffer.from(String(userData), "base64").toString();
    expect(script).toContain("iptables -I OUTPUT -d 169.254.169.254 -m owner ! --uid-owner 0 -j DROP");
    expect(script).toContain("ECS_AWSVPC_BLOCK_IMDS=true");
    expect(script).toContain("iptables -I FORWARD -d 169.254.169.254 -j DROP");
  });
  test("the state machine may submit that job to those queues", () => {
    const own = statementsOf(batch).filter(({ resource }) => resource.name === "SearchRole");
    const by = (action: string) => own.find(({ statement }) => statement.Action.includes(action))?.statement.Resource;
    expect(by("batch:SubmitJob")).toEqual([
      "arn:aws:batch:us-east-1:123456789012:job-definition/ksearch-dev-referee",
      "arn:aws:batch:us-east-1:123456789012:job-definition/ksearch-dev-referee:*",
      "arn:aws:batch:us-east-1:123456789012:job-queue/ksearch-dev-L4",
      "arn:aws:batch:us-east-1:123456789012:job-queue/ksearch-dev-H100",
    ]);
    expect(by("events:PutRule")).toEqual([
      "arn:aws:events:us-east-1:123456789012:rule/StepFunctionsGetEventsForBatchJobsRule",
    ]);
  });
});

test.skipIf(!installed).each([
  ["a stage's name", "prod", {}, /called production/],
  ["a region", "dev", { KSEARCH_REGION: "us-east-9" }, /"us-east-9" is none of/],
  ["a GPU", "dev", { KSEARCH_BATCH_GPUS: "H100!" }, /"H100!" is none of/],
])("%s that is unknown ends the program before anything is made", async (_, stage, env, says) => {
  await expect(synthesise(root, stage, env)).rejects.toThrow(says);
});
