import { existsSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import type { Resource } from "./synthesise.ts";

/**
 * The synthesis proper, in a process of its own: SST's and Pulumi's state is global. It runs the very program of a
 * deployment, with an engine that answers every resource with its own inputs, and writes down what was asked for.
 *
 * `pulumi`, `run` and `config` are handed in by the entry that synthesise.ts bundles, as they come from `.sst/platform`.
 */
type Value = Record<string, unknown>;
type Request = { getType(): string; getName(): string; getProtect(): boolean; getRetainondelete(): boolean };
type Monitor = { registerResource: (request: Request, callback: unknown) => unknown };
type Pulumi = {
  runtime: {
    setMocks: (mocks: object, project: string, stack: string, preview: boolean) => Promise<void>;
    getMonitor: () => Monitor;
    runInPulumiStack: (program: () => Promise<unknown>) => Promise<unknown>;
    disconnect: () => Promise<void>;
  };
};
type App = { name: string; removal?: string; protect?: boolean; providers: { aws: { region: string } } };
type Config = { app: (input: { stage: string }) => Promise<App>; run: () => Promise<unknown> };
type Given = {
  pulumi: Pulumi;
  run: (program: () => Promise<unknown>) => Promise<unknown>;
  config: Config;
  stage: string;
  root: string;
  /** Where the resources go, as JSON. */
  out: string;
};

export const accountId = "123456789012";

/** Pulumi's mark of a secret value. */
const secretMark = "4dabf18193072939515e22adb298388d";
const unwrap = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(unwrap);
  if (value === null || typeof value !== "object") return value;
  const entries = Object.entries(value);
  return secretMark in value
    ? unwrap((value as Value).value)
    : Object.fromEntries(entries.map(([key, inner]) => [key, unwrap(inner)]));
};

/** The part of an ARN after region and account, where it is not `<kind>/<name>`. */
const arnTails: Record<string, (name: string) => [service: string, tail: string]> = {
  "aws:lambda/function:Function": (name) => ["lambda", `function:${name}`],
  "aws:sfn/stateMachine:StateMachine": (name) => ["states", `stateMachine:${name}`],
  "aws:cloudwatch/logGroup:LogGroup": (name) => ["logs", `log-group:${name}`],
  "aws:cloudwatch/eventRule:EventRule": (name) => ["events", `rule/${name}`],
  "aws:sns/topic:Topic": (name) => ["sns", name],
  "aws:sqs/queue:Queue": (name) => ["sqs", name],
  "aws:batch/jobQueue:JobQueue": (name) => ["batch", `job-queue/${name}`],
  "aws:batch/jobDefinition:JobDefinition": (name) => ["batch", `job-definition/${name}:1`],
  "aws:batch/computeEnvironment:ComputeEnvironment": (name) => ["batch", `compute-environment/${name}`],
  "aws:iam/instanceProfile:InstanceProfile": (name) => ["iam", `instance-profile/${name}`],
};

function arnOf(type: string, name: string, region: string): string {
  if (type.startsWith("aws:s3/bucket:")) return `arn:aws:s3:::${name}`;
  const [, service = "", kind = ""] = /^aws:(\w+)\/(\w+):/.exec(type) ?? [];
  const [owner, tail] = arnTails[type]?.(name) ?? [service, `${kind}/${name}`];
  return `arn:aws:${owner}:${owner === "iam" ? "" : region}:${accountId}:${tail}`;
}

/** What AWS answers of a resource beyond its inputs, as far as the stacks ask. */
function stateOf(type: string, logicalName: string, inputs: Value, region: string): Value {
  const name = String(inputs.name ?? inputs.bucket ?? logicalName);
  const arn = arnOf(type, name, region);
  return {
    ...inputs,
    name,
    arn,
    ...(type === "aws:batch/jobDefinition:JobDefinition" ? { arnPrefix: arn.replace(/:\d+$/, "") } : {}),
    ...(type === "aws:sqs/queue:Queue" ? { url: `https://sqs.${region}.amazonaws.com/${accountId}/${name}` } : {}),
    ...(type === "aws:ec2/vpcEndpoint:VpcEndpoint" ? { prefixListId: "pl-00000000" } : {}),
    ...(type === "random:index/randomBytes:RandomBytes" ? { base64: "c3ludGhlc2lzLCBub3QgYSBrZXk=" } : {}),
  };
}

type Statement = {
  sid?: string;
  effect?: string;
  actions: string[];
  resources?: string[];
  principals?: { type: string; identifiers: string[] }[];
  conditions?: { test: string; variable: string; values: string[] }[];
};

/** A policy as IAM writes it. */
const policyJson = (statements: Statement[] = []): string =>
  JSON.stringify({
    Version: "2012-10-17",
    Statement: statements.map(({ effect, actions, resources, principals, conditions }) => ({
      Effect: effect ?? "Allow",
      Action: actions,
      ...(resources === undefined ? {} : { Resource: resources }),
      ...(principals === undefined
        ? {}
        : {
            Principal: principals.some(({ type }) => type === "*")
              ? "*"
              : Object.fromEntries(principals.map(({ type, identifiers }) => [type, identifiers])),
          }),
      ...(conditions === undefined
        ? {}
        : {
            Condition: Object.fromEntries(
              conditions.map(({ test, variable, values }) => [test, { [variable]: values }]),
            ),
          }),
    })),
  });

function answerCall(token: string, inputs: Value, region: string): Value {
  switch (token) {
    case "aws:index/getRegion:getRegion":
      return { id: region, name: region, region };
    case "aws:index/getPartition:getPartition":
      return { id: "aws", partition: "aws", dnsSuffix: "amazonaws.com" };
    case "aws:index/getCallerIdentity:getCallerIdentity":
      return { id: accountId, accountId };
    case "aws:index/getAvailabilityZones:getAvailabilityZones":
      return { id: region, names: ["a", "b", "c"].map((zone) => `${region}${zone}`) };
    case "aws:iam/getPolicyDocument:getPolicyDocument":
      // Without its inputs SST would see no statement, and leave inline policies out.
      return { ...inputs, json: policyJson(inputs.statements as Statement[]) };
    default:
      throw new Error(`scripts/synthesis/program.ts has no answer to ${token}: add one`);
  }
}

/** SST's command line as its components see it: build a handler, name the buckets of the bootstrap. */
async function serve(root: string): Promise<void> {
  const answer = (method: string, [args]: Value[]): Value => {
    if (method === "Provider.Aws.Bootstrap")
      return {
        asset: "sst-asset",
        state: "sst-state",
        assetEcrRegistryId: accountId,
        assetEcrUrl: "",
        appsyncHttp: "",
        appsyncRealtime: "",
      };
    if (method !== "Runtime.Build") throw new Error(`scripts/synthesis/program.ts has no answer to ${method}: add one`);
    const handler = String(args?.handler);
    const source = join(root, handler.replace(/\.handler$/, ".ts"));
    const errors = existsSync(source) ? [] : [`${handler}: there is no file ${source}`];
    return { handler, out: join(root, "stacks"), errors, sourcemaps: [] };
  };
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { method, params } = JSON.parse(Buffer.concat(chunks).toString()) as { method: string; params: Value[] };
    try {
      response.end(JSON.stringify({ result: answer(method, params) }));
    } catch (error) {
      response.end(JSON.stringify({ error: String(error) }));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  process.env.SST_SERVER = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
}

export async function program({ pulumi, run, config, stage, root, out }: Given): Promise<never> {
  try {
    const app = await config.app({ stage });
    const { region } = app.providers.aws;
    Object.assign((globalThis as unknown as { $synthesisApp: object }).$synthesisApp, app, { stage });
    await serve(root);

    const resources: Resource[] = [];
    const options = new Map<string, Resource["options"]>();
    await pulumi.runtime.setMocks(
      {
        newResource: ({
          type,
          name,
          inputs,
          custom,
        }: {
          type: string;
          name: string;
          inputs: Value;
          custom: boolean;
        }) => {
          const plain = unwrap(inputs) as Value;
          if (custom)
            resources.push({
              type,
              name,
              inputs: plain,
              options: options.get(`${type} ${name}`) ?? { protect: false, retain: false },
            });
          return {
            id: type === "aws:s3/bucket:Bucket" ? plain.bucket : `${name}-id`,
            state: stateOf(type, name, inputs, region),
          };
        },
        call: ({ token, inputs }: { token: string; inputs: Value }) => answerCall(token, inputs, region),
      },
      app.name,
      stage,
      false,
    );
    // The engine's own request tells what a mock is not told: whether a resource is protected and retained.
    const monitor = pulumi.runtime.getMonitor();
    const register = monitor.registerResource.bind(monitor);
    monitor.registerResource = (request, callback) => {
      options.set(`${request.getType()} ${request.getName()}`, {
        protect: request.getProtect(),
        retain: request.getRetainondelete(),
      });
      return register(request, callback);
    };

    await pulumi.runtime.runInPulumiStack(() => run(config.run));
    await pulumi.runtime.disconnect();
    writeFileSync(out, JSON.stringify({ app: { ...app, stage }, resources }));
    process.exit(0);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  }
}
