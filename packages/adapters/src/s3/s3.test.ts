import { randomUUID } from "node:crypto";
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { blobsContract } from "@ksearch/ports/contracts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Fault, startFaults } from "../../test/faults.ts";
import { areServersThere, credentials, freePort, region, type Server, startS3 } from "../../test/servers.ts";
import { presigned, s3Blobs } from "./index.ts";

process.env.AWS_EC2_METADATA_DISABLED = "true";

let server: Server;
const opened: Server[] = [];
const clientOf = (endpoint: string, changes: Partial<ConstructorParameters<typeof S3Client>[0]> = {}) =>
  new S3Client({ endpoint, region, credentials, forcePathStyle: true, ...changes });

/** A new, empty bucket. */
async function newPlace() {
  const client = clientOf(server.endpoint);
  const bucket = `test-${randomUUID()}`;
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  return { client, bucket };
}

/** The same bucket through a proxy at which faults befall the requests. */
async function throughFaults(bucket: string, fault: (method: string, nth: number) => Fault) {
  let nth = 0;
  const proxy = await startFaults(server.endpoint, ({ method = "" }) => {
    nth += 1;
    return fault(method, nth);
  });
  opened.push(proxy);
  return { blobs: s3Blobs({ client: clientOf(proxy.endpoint, { maxAttempts: 3 }), bucket }), seen: () => nth };
}

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (value: Uint8Array | null) => (value === null ? null : new TextDecoder().decode(value));
const xml = (code: string, status: number): Fault => ({
  status,
  headers: { "content-type": "application/xml" },
  body: `<?xml version="1.0"?><Error><Code>${code}</Code><Message>told so</Message></Error>`,
});

describe.skipIf(!areServersThere())("an S3 server", () => {
  beforeAll(async () => {
    server = await startS3();
  }, 120_000);
  afterAll(() => {
    for (const one of [...opened, server]) one.stop();
  });

  describe("contract", () => blobsContract(async () => s3Blobs(await newPlace())));

  describe("the server is a real one: what the adapter relies on it refuses", () => {
    test("a body that is not what its checksum says", async () => {
      const { client, bucket } = await newPlace();
      const wrong = new PutObjectCommand({ Bucket: bucket, Key: "k", Body: bytes("x"), ChecksumCRC32: "AAAAAA==" });
      await expect(client.send(wrong)).rejects.toMatchObject({ name: expect.stringMatching(/BadDigest|Checksum/) });
    });
    test("two clients that write one key, one of them on purpose", async () => {
      const { client, bucket } = await newPlace();
      const again = new PutObjectCommand({ Bucket: bucket, Key: "k", Body: bytes("x"), IfNoneMatch: "*" });
      await client.send(again);
      await expect(client.send(again)).rejects.toMatchObject({ $metadata: { httpStatusCode: 412 } });
    });
  });

  test("64 writers on eight connections' worth of clients: one wins each key, and all find its bytes", async () => {
    const place = await newPlace();
    const writers = Array.from({ length: 8 }, () => s3Blobs({ ...place, client: clientOf(server.endpoint) }));
    for (const key of ["a", "b", "c"]) {
      const outcomes = await Promise.all(
        Array.from({ length: 64 }, (_, index) => writers[index % 8]?.put(key, bytes(`writer ${index}`))),
      );
      expect(outcomes.filter((outcome) => outcome === "written")).toHaveLength(1);
      const winner = `writer ${outcomes.indexOf("written")}`;
      for (const writer of writers) expect(text(await writer.get(key))).toBe(winner);
    }
  }, 30_000);

  test("large bytes and none come back as they were", async () => {
    const blobs = s3Blobs(await newPlace());
    const large = Uint8Array.from({ length: 6_000_000 }, (_, index) => (index * 7919) % 251);
    for (const [key, value] of [
      ["large", large],
      ["none", new Uint8Array()],
    ] as const) {
      expect(await blobs.put(key, value)).toBe("written");
      expect(Buffer.from((await blobs.get(key)) ?? "").equals(value)).toBe(true);
    }
  }, 30_000);

  test("a folder of more keys than one page holds is listed whole and sorted", async () => {
    const blobs = s3Blobs(await newPlace());
    const keys = Array.from({ length: 1_050 }, (_, index) => `many/${(index * 11) % 1_050}`);
    for (let from = 0; from < keys.length; from += 50)
      await Promise.all(keys.slice(from, from + 50).map((key) => blobs.put(key, bytes("x"))));
    await blobs.put("many-more", bytes("x"));
    expect(await blobs.list("many/")).toEqual(keys.toSorted());
  }, 60_000);

  test("tenants do not see each other's blobs", async () => {
    const place = await newPlace();
    const [one, other] = ["one", "other"].map((tenant) => s3Blobs({ ...place, tenant }));
    await one?.put("runs/a", bytes("mine"));
    expect(await other?.get("runs/a")).toBeNull();
    expect(await other?.list("runs/")).toEqual([]);
    expect(await other?.put("runs/a", bytes("theirs"))).toBe("written");
  });

  test.each([".hidden", "a b", "a/../b", "ä"])("the key %j is refused before anything is asked", async (key) => {
    const refused = { who: "caller", code: "blobs.key" };
    const place = { client: clientOf("http://127.0.0.1:9"), bucket: "none" };
    await expect(s3Blobs(place).get(key)).rejects.toMatchObject(refused);
    await expect(s3Blobs(place).list(`${key}/`)).rejects.toMatchObject(refused);
    await expect(async () => presigned(place).get(key, 60)).rejects.toMatchObject(refused);
  });

  describe("presigned", () => {
    test("whoever has the URLs writes and reads without credentials, and the port sees it", async () => {
      const place = await newPlace();
      const urls = presigned(place);
      const body = bytes("a verdict");
      expect(await urls.put("jobs/1/verdict", 60)).not.toMatch(/checksum/i);
      expect((await fetch(await urls.put("jobs/1/verdict", 60), { method: "PUT", body })).status).toBe(200);
      expect(text(await s3Blobs(place).get("jobs/1/verdict"))).toBe("a verdict");
      expect(await (await fetch(await urls.get("jobs/1/verdict", 60))).text()).toBe("a verdict");
    });
    test("a URL is for one key and one verb", async () => {
      const place = await newPlace();
      await s3Blobs(place).put("jobs/1/request", bytes("x"));
      await s3Blobs(place).put("jobs/2/request", bytes("secret"));
      const url = await presigned(place).get("jobs/1/request", 60);
      expect((await fetch(url.replace("jobs/1", "jobs/2"))).status).toBe(403);
      expect((await fetch(url, { method: "PUT", body: "y" })).status).toBe(403);
      expect(text(await s3Blobs(place).get("jobs/1/request"))).toBe("x");
    });
    test("it ends", async () => {
      const place = await newPlace();
      await s3Blobs(place).put("k", bytes("x"));
      const url = await presigned(place).get("k", 1);
      await expect.poll(async () => (await fetch(url)).status, { timeout: 20_000, interval: 500 }).toBe(403);
    }, 30_000);
  });

  describe("faults", () => {
    test("503 and cut connections are tried again, below the caller", async () => {
      const { bucket } = await newPlace();
      const { blobs } = await throughFaults(bucket, (_, nth) =>
        nth === 1 ? xml("SlowDown", 503) : nth === 2 ? "cutBefore" : "pass",
      );
      expect(await blobs.put("k", bytes("x"))).toBe("written");
      expect(text(await blobs.get("k"))).toBe("x");
    });
    test("a connection cut after the write: the key holds the bytes, whatever the put says", async () => {
      const { bucket } = await newPlace();
      const { blobs } = await throughFaults(bucket, (_, nth) => (nth === 1 ? "cutAfter" : "pass"));
      expect(["written", "existed"]).toContain(await blobs.put("k", bytes("x")));
      expect(text(await blobs.get("k"))).toBe("x");
    });
    test("409 while another writer is at the key is tried again", async () => {
      const { bucket } = await newPlace();
      const { blobs } = await throughFaults(bucket, (_, nth) =>
        nth <= 2 ? xml("ConditionalRequestConflict", 409) : "pass",
      );
      expect(await blobs.put("k", bytes("x"))).toBe("written");
    });
    test("409 without end is for another time", async () => {
      const { bucket } = await newPlace();
      const { blobs } = await throughFaults(bucket, () => xml("ConditionalRequestConflict", 409));
      await expect(blobs.put("k", bytes("x"))).rejects.toMatchObject({ who: "retry", code: "aws.busy" });
    }, 30_000);
    test.each([
      ["SlowDown", 503],
      ["InternalError", 500],
      ["ServiceUnavailable", 503],
      ["TooManyRequests", 429],
    ])(
      "%s that does not end is for another time",
      async (code, status) => {
        const { bucket } = await newPlace();
        const { blobs, seen } = await throughFaults(bucket, () => xml(code, status));
        const busy = { who: "retry", code: "aws.busy", message: expect.stringContaining(bucket) };
        await expect(blobs.put("k", bytes("x"))).rejects.toMatchObject(busy);
        await expect(blobs.get("k")).rejects.toMatchObject(busy);
        await expect(blobs.list("k/")).rejects.toMatchObject(busy);
        expect(seen()).toBe(9);
      },
      30_000,
    );
    test("a connection cut within a blob is for another time, and gives no half of it", async () => {
      const { bucket } = await newPlace();
      const { blobs } = await throughFaults(bucket, (method) => (method === "GET" ? "cutWithin" : "pass"));
      await blobs.put("k", new Uint8Array(200_000));
      await expect(blobs.get("k")).rejects.toMatchObject({ who: "retry", code: "aws.busy" });
    });
    test("bytes that changed on their way are not taken for the blob", async () => {
      const { bucket } = await newPlace();
      const { blobs } = await throughFaults(bucket, (method) => (method === "GET" ? "flip" : "pass"));
      await blobs.put("k", bytes("the blob"));
      await expect(blobs.get("k")).rejects.toMatchObject({ who: "retry", message: expect.stringMatching(/checksum/i) });
    });
    test.each([
      ["PermanentRedirect", 301, "aws.region"],
      ["AuthorizationHeaderMalformed", 400, "aws.region"],
      ["ExpiredToken", 400, "aws.denied"],
      ["InvalidAccessKeyId", 403, "aws.denied"],
      ["AccessDenied", 403, "aws.denied"],
      ["InvalidRequest", 400, "aws.refused"],
    ])("%s is the operator's, with the mend", async (code, status, expected) => {
      const { bucket } = await newPlace();
      const { blobs } = await throughFaults(bucket, () => xml(code, status));
      const told = { who: "operator", code: expected, message: expect.stringContaining(bucket) };
      await expect(blobs.get("k")).rejects.toMatchObject(told);
      await expect(blobs.put("k", bytes("x"))).rejects.toMatchObject(told);
    });
  });

  describe("what the operator must mend", () => {
    test("a bucket that is not there", async () => {
      const blobs = s3Blobs({ client: clientOf(server.endpoint), bucket: "no-such-bucket" });
      const told = { who: "operator", code: "aws.missing", message: expect.stringMatching(/no-such-bucket.*deployed/) };
      await expect(blobs.put("k", bytes("x"))).rejects.toMatchObject(told);
      await expect(blobs.get("k")).rejects.toMatchObject(told);
      await expect(blobs.list("k/")).rejects.toMatchObject(told);
    });
    test("a wrong secret", async () => {
      const { bucket } = await newPlace();
      const wrong = { ...credentials, secretAccessKey: "another" };
      const blobs = s3Blobs({ client: clientOf(server.endpoint, { credentials: wrong }), bucket });
      const told = { who: "operator", code: "aws.denied", message: expect.stringMatching(/credentials/) };
      await expect(blobs.put("k", bytes("x"))).rejects.toMatchObject(told);
      await expect(blobs.get("k")).rejects.toMatchObject(told);
    });
    test("no credentials at all", async () => {
      const provider = async () => {
        throw Object.assign(new Error("Could not load credentials"), { name: "CredentialsProviderError" });
      };
      const blobs = s3Blobs({ client: clientOf(server.endpoint, { credentials: provider }), bucket: "b" });
      await expect(blobs.get("k")).rejects.toMatchObject({ who: "operator", code: "aws.denied" });
    });
    test("a region for which there is no name", async () => {
      const handle = () => Promise.reject(Object.assign(new Error("getaddrinfo ENOTFOUND"), { code: "ENOTFOUND" }));
      const client = new S3Client({ region: "nowhere-1", credentials, maxAttempts: 1, requestHandler: { handle } });
      await expect(s3Blobs({ client, bucket: "b" }).get("k")).rejects.toMatchObject({
        who: "operator",
        code: "aws.region",
        message: expect.stringMatching(/check the region/),
      });
    });
    test("nobody at the other end is for another time", async () => {
      const client = clientOf(`http://127.0.0.1:${await freePort()}`, { maxAttempts: 2 });
      await expect(s3Blobs({ client, bucket: "b" }).get("k")).rejects.toMatchObject({ who: "retry", code: "aws.busy" });
    });
  });

  test("an object keeps the checksum that its writer computed", async () => {
    const place = await newPlace();
    await s3Blobs(place).put("k", bytes("x"));
    const got = await place.client.send(
      new GetObjectCommand({ Bucket: place.bucket, Key: "default/k", ChecksumMode: "ENABLED" }),
    );
    expect(got.ChecksumCRC32).toMatch(/^[A-Za-z0-9+/]{6}==$/);
  });
});
