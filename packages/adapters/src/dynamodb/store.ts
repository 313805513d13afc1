import type { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb";
import { AppError } from "@ksearch/domain";
import { Entity } from "dynamodb-toolbox/entity";
import { DynamoDBToolboxError } from "dynamodb-toolbox/errors";
import { anyOf } from "dynamodb-toolbox/schema/anyOf";
import { item } from "dynamodb-toolbox/schema/item";
import { nul } from "dynamodb-toolbox/schema/nul";
import { number } from "dynamodb-toolbox/schema/number";
import { record } from "dynamodb-toolbox/schema/record";
import { string } from "dynamodb-toolbox/schema/string";
import { Table } from "dynamodb-toolbox/table";
import { awsError } from "../aws-errors.ts";

/** Where facts are kept: a table, and in it the partitions whose keys begin with the tenant. */
export type Place = { readonly client: DynamoDBClient; readonly table: string; readonly tenant?: string };

export type Store = ReturnType<typeof openStore>;

/**
 * The kinds of items and their keys:
 *
 * | pk | sk | item |
 * |---|---|---|
 * | tenant/runs/run | event/number/part | an event, or a part of a long one |
 * | tenant/runs/run | line | the run's line |
 * | tenant/runs/run | purse | cap, totals and open reservations |
 * | tenant/runs/run | usage/key | a settled call |
 * | tenant/runs | start/run | that there is this run: written once, so the partition sees no other traffic |
 */
export function openStore({ client, table: name, tenant = "default" }: Place) {
  if (!/^[a-z0-9-]+$/.test(tenant))
    throw new AppError("caller", "tenant.name", `'${tenant}' is no tenant: lower-case letters, digits and '-'`);
  const table = new Table({
    documentClient: DynamoDBDocumentClient.from(client),
    name,
    partitionKey: { name: "pk", type: "string" },
    sortKey: { name: "sk", type: "string" },
  });
  const runs = `${tenant}/runs`;
  const partition = (runId: string): string => `${runs}/${runId}`;
  const common = { table, timestamps: false } as const;
  return {
    table,
    runs,
    partition,
    event: new Entity({
      ...common,
      name: "event",
      schema: item({
        runId: string().key(),
        seq: number().key(),
        part: number().key(),
        /** How many parts the event has. */
        parts: number(),
        /** Number of the last event of the same append. */
        end: number(),
        atMs: number(),
        text: string(),
      }),
      computeKey: ({ runId, seq, part }) => ({ pk: partition(runId), sk: `${eventKey(seq)}/${padded(part, 2)}` }),
    }),
    line: new Entity({
      ...common,
      name: "line",
      schema: item({ runId: string().key(), text: string() }),
      computeKey: ({ runId }) => ({ pk: partition(runId), sk: "line" }),
    }),
    listing: new Entity({
      ...common,
      name: "listing",
      schema: item({ runId: string().key(), startedAt: string().key() }),
      computeKey: ({ runId, startedAt }) => ({ pk: runs, sk: `${startedAt}/${runId}` }),
    }),
    purse: new Entity({
      ...common,
      name: "purse",
      schema: item({
        runId: string().key(),
        /** Counts the writes, so that of two who read the same purse one writes. */
        version: number(),
        /** Null: no cap. None: the purse is not open yet. */
        capMicroUsd: anyOf(number(), nul()).optional(),
        /** Open reservations by key. */
        reservedMicroUsd: record(string(), number()),
        spentMicroUsd: number(),
        settled: number(),
      }),
      computeKey: ({ runId }) => ({ pk: partition(runId), sk: "purse" }),
    }),
    usage: new Entity({
      ...common,
      name: "usage",
      schema: item({ runId: string().key(), key: string().key(), position: number(), text: string() }),
      computeKey: ({ runId, key }) => ({ pk: partition(runId), sk: `usage/${key}` }),
    }),
    failed: (error: unknown): AppError =>
      DynamoDBToolboxError.match(error, "formatter.")
        ? new AppError("operator", "store.corrupt", `table ${name}: ${error.message}; restore the table from a copy`, {
            cause: error,
          })
        : awsError(error, `table ${name}`),
  };
}

const padded = (number: number, digits: number): string => `${number}`.padStart(digits, "0");

/** Sorts as the numbers do. */
export const eventKey = (seq: number): string => `event/${padded(seq, 10)}`;
