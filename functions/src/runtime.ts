import { randomUUID } from "node:crypto";
import { Logger } from "@aws-lambda-powertools/logger";
import { Metrics, MetricUnit } from "@aws-lambda-powertools/metrics";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { S3Client } from "@aws-sdk/client-s3";
import { agentLlm } from "@ksearch/adapters/agent";
import { BatchJobs, batchReferee, isBatchTicket } from "@ksearch/adapters/batch";
import { dynamoStores } from "@ksearch/adapters/dynamodb";
import { labelledLlm } from "@ksearch/adapters/labelled";
import { modalReferee } from "@ksearch/adapters/modal";
import { createOpenAiLlm, keyFor } from "@ksearch/adapters/openai";
import { routedReferee } from "@ksearch/adapters/routed";
import { presigned, s3Blobs } from "@ksearch/adapters/s3";
import { AppError, asAppError, complaints, Device, parseJson } from "@ksearch/domain";
import type { Llm, Referee } from "@ksearch/ports";
import {
  agentLabel,
  choicesOf,
  createLog,
  type Deps,
  type Json,
  type LlmDeps,
  type ModelChoice,
  type RefereeDeps,
  retryError,
  type Step,
} from "@ksearch/workflow";
import type { Context } from "aws-lambda";
import { z } from "zod";

/** The one file of the functions that picks adapters and reads the environment. A bundle carries what its handler asks for. */

const Environment = z.object({
  KSEARCH_TABLE: z.string().min(1),
  KSEARCH_BUCKET: z.string().min(1),
});
const RefereeEnvironment = z.object({
  MODAL_TOKEN_ID: z.string().min(1),
  MODAL_TOKEN_SECRET: z.string().min(1),
  KSEARCH_MODAL_APP: z.string().min(1),
  /** Queues and job definitions of AWS Batch by device as JSON, where the stage has it. */
  KSEARCH_BATCH_JOBS: z.string().transform(parseJson).pipe(BatchJobs).optional(),
  /** Functions by device as JSON, where they are not those of the deployed app: the rehearsal judges on a CPU. */
  KSEARCH_MODAL_DEVICES: z.string().transform(parseJson).pipe(z.partialRecord(Device, z.string())).optional(),
});

/** The environment, parsed. AppError `operator` `stage.environment`: this function was deployed without what it needs. */
function environmentOf<T>(schema: z.ZodType<T>): T {
  const parsed = schema.safeParse(process.env);
  if (parsed.success) return parsed.data;
  throw new AppError(
    "operator",
    "stage.environment",
    `this function lacks its environment (${complaints(parsed.error)}): deploy the stage again with scripts/deploy.sh`,
  );
}

// What lives as long as the container: clients keep their connections, the log its folded runs. Made in functions, not when
// the module is loaded, so that a bundle is without what its handler does not call.

let madeStores: Deps | undefined;

function stores(): Deps {
  madeStores ??= openStores();
  return madeStores;
}

function openStores(): Deps {
  const { KSEARCH_TABLE, KSEARCH_BUCKET } = environmentOf(Environment);
  const now = (): number => Date.now();
  const facts = dynamoStores({ client: new DynamoDBClient({}), table: KSEARCH_TABLE });
  return {
    ...facts,
    blobs: s3Blobs({ client: new S3Client({}), bucket: KSEARCH_BUCKET }),
    log: createLog(facts.events, now),
    now,
    iso: (ms) => new Date(ms).toISOString(),
  };
}

/** The models that a run's choices name. */
async function modelsOf(deps: Deps, runId: string): Promise<Llm> {
  const choices = await choicesOf(deps, runId);
  return labelledLlm(new Map(choices.flatMap((choice) => makersOf(deps, choice))));
}

function makersOf({ blobs }: Deps, choice: ModelChoice): [label: string, make: () => Llm][] {
  switch (choice.kind) {
    case "replay":
      throw new AppError(
        "caller",
        "llm.replay",
        "a transcript lies on the machine that named it: replay it there, without --engine cloud",
      );
    case "agent":
      return [[agentLabel, () => agentLlm(blobs)]];
    case "openai":
      return choice.models.map((model) => [
        model.modelName,
        () => createOpenAiLlm({ ...model, ...keyFor(process.env, model, choice.models) }),
      ]);
  }
}

/** Models by execution: a resumed run may ask others. */
const modelsInUse = /* @__PURE__ */ new Map<string, Promise<Llm>>();

function models(deps: Deps, { runId, epoch = 0 }: Ids): Promise<Llm> {
  const key = `${runId}/${epoch}`;
  const known = modelsInUse.get(key) ?? modelsOf(deps, runId);
  modelsInUse.set(key, known);
  known.catch(() => modelsInUse.delete(key));
  return known;
}

let madeReferee: Referee | undefined;

function referee(): Referee {
  madeReferee ??= openReferee();
  return madeReferee;
}

function openReferee(): Referee {
  const { MODAL_TOKEN_ID, MODAL_TOKEN_SECRET, KSEARCH_MODAL_APP, KSEARCH_MODAL_DEVICES, KSEARCH_BATCH_JOBS } =
    environmentOf(RefereeEnvironment);
  const atModal = modalReferee({
    app: KSEARCH_MODAL_APP,
    token: { tokenId: MODAL_TOKEN_ID, tokenSecret: MODAL_TOKEN_SECRET },
    ...(KSEARCH_MODAL_DEVICES === undefined ? {} : { devices: KSEARCH_MODAL_DEVICES }),
  });
  if (KSEARCH_BATCH_JOBS === undefined) return atModal;
  const bucket = { client: new S3Client({}), bucket: environmentOf(Environment).KSEARCH_BUCKET };
  const inBatch = batchReferee({
    jobs: KSEARCH_BATCH_JOBS,
    blobs: stores().blobs,
    sign: presigned(bucket),
    newId: randomUUID,
  });
  const takes = (device: Device) => device !== "cpu" && KSEARCH_BATCH_JOBS[device] !== undefined;
  return routedReferee([{ referee: inBatch, takes, owns: isBatchTicket }], atModal);
}

/** What log lines and metrics are found by. */
const Ids = z.object({
  runId: z.string(),
  epoch: z.int().optional(),
  lane: z.int().optional(),
  attempt: z.int().optional(),
});
type Ids = z.infer<typeof Ids>;

type Handler = (input: unknown, context: Context) => Promise<Json>;

const logger = new Logger();
const metrics = new Metrics();

/** A handler with its log line and metrics. Errors go to the engine, under a name that its Retry knows. */
function watched(work: (ids: Ids, input: unknown) => Promise<Json>): Handler {
  return async (input, context) => {
    const ids = Ids.parse(input);
    logger.addContext(context);
    logger.appendKeys({ tenant: "default", ...ids });
    const began = performance.now();
    try {
      const output = await work(ids, input);
      const next = z.object({ next: z.string() }).safeParse(output).data?.next;
      logger.info("step", { next, durationMs: Math.round(performance.now() - began) });
      metrics.addMetric(next === "wait" ? "stepWaits" : "stepDone", MetricUnit.Count, 1);
      return output;
    } catch (thrown) {
      const { who, code, message } = asAppError(thrown);
      const name = thrown instanceof Error && thrown.name === retryError ? retryError : `ksearch.${code}`;
      logger.error("step failed", { who, code, error: message });
      metrics.addMetric("stepFailed", MetricUnit.Count, 1);
      throw Object.assign(new Error(message, { cause: thrown }), { name });
    } finally {
      logger.resetKeys();
      metrics.publishStoredMetrics();
    }
  };
}

/** A step that asks nobody. */
export const step = (make: (deps: Deps) => Step): Handler => watched((_, input) => make(stores())(input));

/** A step that asks a model. */
export const llmStep = (make: (deps: LlmDeps) => Step): Handler =>
  watched(async (ids, input) => make({ ...stores(), llm: await models(stores(), ids) })(input));

/** A step that asks the referee. */
export const refereeStep = (make: (deps: RefereeDeps) => Step): Handler =>
  watched((_, input) => make({ ...stores(), referee: referee() })(input));
