import { RunSummary } from "@ksearch/domain";
import type { Runs } from "@ksearch/ports";
import { BatchGetRequest } from "dynamodb-toolbox/entity/actions/batchGet";
import { GetItemCommand } from "dynamodb-toolbox/entity/actions/get";
import { PutTransaction } from "dynamodb-toolbox/entity/actions/transactPut";
import { BatchGetCommand, execute } from "dynamodb-toolbox/table/actions/batchGet";
import { QueryCommand } from "dynamodb-toolbox/table/actions/query";
import { readText } from "../rows.ts";
import type { Store } from "./store.ts";
import { contention, retried, transact } from "./transact.ts";

/** Listings that a page of a query holds for certain, and items that one batch gets at most. */
const pageItems = 1_000;
const batchItems = 100;

/**
 * A run's line lies with its run; the tenant's partition of listings only says which runs there are. It is written when a
 * run is created and never again, so that a thousand runs at work do not meet there.
 */
export function dynamoRuns(store: Store): Runs {
  const read = ({ runId, text }: { runId: string; text: string }) => readText(RunSummary, text, `the line of ${runId}`);
  const put = (summary: RunSummary, exists: boolean) =>
    store.line
      .build(PutTransaction)
      .item({ runId: summary.id, text: JSON.stringify(summary) })
      .options({ condition: { attr: "runId", exists } });

  const newest = async (limit: number): Promise<string[]> => {
    const query = store.table
      .build(QueryCommand)
      .entities(store.listing)
      .query({ partition: store.runs })
      .options({
        consistent: true,
        reverse: true,
        limit: Math.min(limit, pageItems),
        maxPages: Math.ceil(limit / pageItems),
      });
    const { Items = [] } = await query.send();
    return Items.slice(0, limit).map(({ runId }) => runId);
  };

  /** In the order of the ids; a run that is only just being created may be missing. */
  const lines = (runIds: readonly string[]): Promise<RunSummary[]> =>
    retried(async () => {
      const requests = runIds.map((runId) => store.line.build(BatchGetRequest).key({ runId }));
      const batch = store.table
        .build(BatchGetCommand)
        .requests(...requests)
        .options({ consistent: true });
      const { Responses: [found = []] = [], UnprocessedKeys = {} } = await execute(batch);
      if (Object.keys(UnprocessedKeys).length > 0) return undefined;
      return found.flatMap((line) => (line === undefined ? [] : [read(line)]));
    }, contention("the runs' lines"));

  return {
    async create(summary) {
      const listing = store.listing.build(PutTransaction).item({ runId: summary.id, startedAt: summary.startedAt });
      return (await transact(store, [put(summary, false), listing])) === "done" ? "created" : "existed";
    },
    async get(runId) {
      try {
        const { Item } = await store.line.build(GetItemCommand).key({ runId }).options({ consistent: true }).send();
        return Item === undefined ? null : read(Item);
      } catch (error) {
        throw store.failed(error);
      }
    },
    async list(limit) {
      try {
        const runIds = await newest(limit);
        const batches = Array.from({ length: Math.ceil(runIds.length / batchItems) }, (_, index) =>
          lines(runIds.slice(index * batchItems, (index + 1) * batchItems)),
        );
        return (await Promise.all(batches)).flat();
      } catch (error) {
        throw store.failed(error);
      }
    },
    async update(summary) {
      await transact(store, [put(summary, true)]);
    },
  };
}
