import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import type { Job } from "@ksearch/ports";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { request as requestOf } from "../../test/referee.ts";
import { areServersThere, credentials, region, type Server, startS3 } from "../../test/servers.ts";
import { presigned, s3Blobs } from "../s3/index.ts";
import { batchReferee, isBatchTicket } from "./index.ts";

/** A real S3 server and the job's own door with the real referee; AWS Batch itself is this test, which starts the job. */
const python = fileURLToPath(new URL("../../../evaluator/.venv/bin/python", import.meta.url));
const jobs = { L4: { queue: "queue-l4", definition: "referee:1" } };

/** Runs a job as its container would: two addresses in its environment, no credentials. */
const run = ({ requestUrl, answerUrl }: Job) =>
  promisify(execFile)(python, ["-I", "-m", "ksearch_referee.batch_main"], {
    env: {
      PATH: process.env.PATH ?? "",
      HOME: tmpdir(),
      KSEARCH_REQUEST_URL: requestUrl,
      KSEARCH_ANSWER_URL: answerUrl,
    },
  });

describe.skipIf(!areServersThere() || !existsSync(python))("the referee at AWS Batch", { timeout: 60_000 }, () => {
  let server: Server;
  let place: { client: S3Client; bucket: string };
  beforeAll(async () => {
    server = await startS3();
    const client = new S3Client({ region, credentials, endpoint: server.endpoint, forcePathStyle: true });
    await client.send(new CreateBucketCommand({ Bucket: "jobs" }));
    place = { client, bucket: "jobs" };
  }, 120_000);
  afterAll(() => server?.stop());

  const referee = (sign = presigned(place)) =>
    batchReferee({ jobs, blobs: s3Blobs(place), sign, newId: () => randomUUID() });
  const request = () => ({ ...requestOf("run_a/attempt1"), device: "L4" as const });
  const submitted = async (on: ReturnType<typeof referee>) => {
    const outcome = await on.submit(request());
    if (!("ticket" in outcome)) throw new Error("a job has no answer yet");
    const job = await on.job?.(outcome.ticket);
    if (!job) throw new Error("no job");
    return { ticket: outcome.ticket, job };
  };

  test("a job reads its request and leaves its verdict by two signed addresses", async () => {
    const on = referee();
    const { ticket, job } = await submitted(on);
    expect(isBatchTicket(ticket)).toBe(true);
    expect(job).toMatchObject({
      queue: "queue-l4",
      definition: "referee:1",
      name: expect.stringMatching(/^run_a-jobs-/),
    });
    expect(ticket).not.toContain("Signature");
    await run(job);
    // This machine has no L4, and the referee says so.
    expect(await on.collect(ticket)).toMatchObject({
      verdict: { requestId: "run_a/attempt1", status: "infra_error", message: expect.stringContaining("L4") },
    });
  });

  test("a job that left nothing, because its address had expired, say, has ended: it may be asked anew", async () => {
    const short = presigned(place);
    const on = referee({ get: (key) => short.get(key, 1), put: (key) => short.put(key, 1) });
    const { ticket, job } = await submitted(on);
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    await expect(run(job)).rejects.toMatchObject({ code: 75, stderr: expect.stringContaining("expired") });
    expect(await on.collect(ticket)).toMatchObject({ ended: { who: "retry", code: "referee.lost" } });
  });

  test("rubbish in place of a verdict is told, and a device that the stage lacks before anything is stored", async () => {
    const on = referee();
    const { ticket, job } = await submitted(on);
    await fetch(job.answerUrl, { method: "PUT", body: "no JSON" });
    expect(await on.collect(ticket)).toMatchObject({ ended: { who: "retry", code: "referee.rubbish" } });
    await expect(on.submit({ ...request(), device: "B200" })).rejects.toMatchObject({
      who: "caller",
      code: "referee.device",
    });
  });

  test("what costs: more with time, and by the instance", () => {
    expect(referee().price(60_000, "L4")).toBeGreaterThan(0);
    expect(referee().price(120_000, "H100")).toBeGreaterThan(referee().price(60_000, "H100"));
  });
});
