import {
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  type ReturnConsumedCapacity,
  TransactWriteItemsCommand,
} from "@aws-sdk/client-dynamodb";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startFaults } from "../../packages/adapters/test/faults.ts";
import {
  areServersThere,
  credentials,
  region,
  type Server,
  startDynamodb,
} from "../../packages/adapters/test/servers.ts";
import { createTable } from "../../packages/adapters/test/table.ts";
import { dynamodbMeter } from "./meter.ts";

process.env.AWS_EC2_METADATA_DISABLED = "true";

const TableName = "ksearch-meter";
const told = { TableName, ReturnConsumedCapacity: "TOTAL" as ReturnConsumedCapacity };
const itemOf = (sk: string, length: number) => ({ pk: { S: "p" }, sk: { S: sk }, text: { S: "x".repeat(length) } });

let server: Server;
const opened: Server[] = [];

/** A client whose requests are metered. */
async function meteredClient() {
  const meter = dynamodbMeter();
  const proxy = await startFaults(server.endpoint, () => "pass", meter.observe);
  opened.push(proxy);
  return { metered: meter.metered, client: new DynamoDBClient({ endpoint: proxy.endpoint, region, credentials }) };
}

describe.skipIf(!areServersThere())("units as DynamoDB Local itself counts them", () => {
  beforeAll(async () => {
    server = await startDynamodb();
    await createTable(new DynamoDBClient({ endpoint: server.endpoint, region, credentials }), TableName);
  }, 120_000);
  afterAll(() => {
    for (const one of [...opened, server]) one.stop();
  });

  test.each([10, 900, 1_100, 5_000, 40_000])("of an item of about %i bytes", async (length) => {
    const { client, metered } = await meteredClient();
    const sk = `alone/${length}`;
    const put = await client.send(new PutItemCommand({ ...told, Item: itemOf(sk, length) }));
    expect(metered.PutItem?.writeUnits).toBe(put.ConsumedCapacity?.CapacityUnits);
    const Key = { pk: { S: "p" }, sk: { S: sk } };
    const got = await client.send(new GetItemCommand({ ...told, Key, ConsistentRead: true }));
    expect(metered.GetItem?.readUnits).toBe(got.ConsumedCapacity?.CapacityUnits);
  });

  test("of a transaction of two puts, and of queries of both", async () => {
    const { client, metered } = await meteredClient();
    const puts = [700, 3_000].map((length) => ({ Put: { TableName, Item: itemOf(`both/${length}`, length) } }));
    await client.send(new TransactWriteItemsCommand({ TransactItems: puts }));
    // Twice 1 KB and twice 3 KB, as AWS describes it; DynamoDB Local says twice as much.
    expect(metered.TransactWriteItems?.writeUnits).toBe(2 * (1 + 3));
    const query = {
      ...told,
      KeyConditionExpression: "pk = :pk AND begins_with(sk, :sk)",
      ExpressionAttributeValues: { ":pk": { S: "p" }, ":sk": { S: "both/" } },
    };
    let units = 0;
    for (const ConsistentRead of [true, false]) {
      const { ConsumedCapacity } = await client.send(new QueryCommand({ ...query, ConsistentRead }));
      units += ConsumedCapacity?.CapacityUnits ?? 0;
      expect(metered.Query?.readUnits).toBe(units);
    }
  });
});
