import { z } from "zod";
import type { Exchange } from "../../packages/adapters/test/faults.ts";

/** What a store was asked, by operation. Bytes are those of bodies: `sent` to the store, `received` from it. */
export const Metered = z.record(
  z.string(),
  z.object({
    requests: z.int(),
    sentBytes: z.int(),
    receivedBytes: z.int(),
    /** Request units of DynamoDB, on demand; 0 for S3. */
    writeUnits: z.number(),
    readUnits: z.number(),
  }),
);
export type Metered = z.infer<typeof Metered>;

type Units = { writeUnits: number; readUnits: number };

export function createMeter(measure: (exchange: Exchange) => Units & { operation: string }) {
  const metered: Metered = {};
  return {
    metered,
    observe(exchange: Exchange): void {
      const { operation, writeUnits, readUnits } = measure(exchange);
      const none = { requests: 0, sentBytes: 0, receivedBytes: 0, writeUnits: 0, readUnits: 0 };
      metered[operation] ??= none;
      const sum = metered[operation];
      sum.requests += 1;
      sum.sentBytes += exchange.body.length;
      sum.receivedBytes += exchange.answer.body.length;
      sum.writeUnits += writeUnits;
      sum.readUnits += readUnits;
    },
  };
}

const Item = z.record(z.string(), z.record(z.string(), z.unknown()));
type Item = z.infer<typeof Item>;
const Asked = z.looseObject({
  ConsistentRead: z.boolean().optional(),
  Item: Item.optional(),
  TransactItems: z.array(z.looseObject({ Put: z.looseObject({ Item }).optional() })).optional(),
});
const Answered = z.looseObject({
  Item: Item.optional(),
  Items: z.array(Item).optional(),
  Responses: z.record(z.string(), z.array(Item)).optional(),
});

/** Bytes of an item: its names and values. Numbers and nested values, of which ours have few, are taken as their text. */
const sizeOf = (item: Item): number =>
  Object.entries(item).reduce((sum, [name, typed]) => {
    const [value] = Object.values(typed);
    return sum + Buffer.byteLength(name) + Buffer.byteLength(typeof value === "string" ? value : JSON.stringify(value));
  }, 0);

const unitsOf = (bytes: number, unitBytes: number): number => Math.max(1, Math.ceil(bytes / unitBytes));
const written = (item: Item | undefined): number => unitsOf(item === undefined ? 0 : sizeOf(item), 1_024);
const read = (items: readonly Item[]): number =>
  unitsOf(
    items.reduce((sum, item) => sum + sizeOf(item), 0),
    4_096,
  );

/**
 * Units as AWS describes them: 1 KB written is a unit, 4 KB read consistently another, what is read eventually half of it; a
 * transaction counts double. A condition check counts as a write of 1 KB; a refused write counts as one that was done.
 */
export const dynamodbMeter = () =>
  createMeter(({ request, body, answer }) => {
    const operation = `${request.headers["x-amz-target"]}`.replace(/^.*\./, "");
    const asked = Asked.parse(JSON.parse(body.toString("utf8")));
    const told = answer.status === 200 ? Answered.parse(JSON.parse(answer.body.toString("utf8"))) : {};
    const share = asked.ConsistentRead === true ? 1 : 0.5;
    switch (operation) {
      case "TransactWriteItems": {
        const units = (asked.TransactItems ?? []).map(({ Put }) => 2 * written(Put?.Item));
        return { operation, writeUnits: units.reduce((sum, one) => sum + one, 0), readUnits: 0 };
      }
      case "PutItem":
        return { operation, writeUnits: written(asked.Item), readUnits: 0 };
      case "GetItem":
        return { operation, writeUnits: 0, readUnits: share * read(told.Item === undefined ? [] : [told.Item]) };
      case "Query":
        return { operation, writeUnits: 0, readUnits: share * read(told.Items ?? []) };
      case "BatchGetItem": {
        const items = Object.values(told.Responses ?? {}).flat();
        return { operation, writeUnits: 0, readUnits: items.reduce((sum, item) => sum + read([item]), 0) };
      }
      default:
        throw new Error(`the rehearsal does not know what ${operation} of DynamoDB costs`);
    }
  });

export const s3Meter = () =>
  createMeter(({ request: { method = "", url = "" } }) => {
    const operation = url.includes("list-type=2") ? "LIST" : method;
    return { operation, writeUnits: 0, readUnits: 0 };
  });
