import { UsageRow } from "@ksearch/domain";
import type { Money } from "@ksearch/ports";
import type { FormattedItem } from "dynamodb-toolbox/entity";
import { GetItemCommand } from "dynamodb-toolbox/entity/actions/get";
import { ConditionCheck } from "dynamodb-toolbox/entity/actions/transactCheck";
import { PutTransaction } from "dynamodb-toolbox/entity/actions/transactPut";
import { QueryCommand } from "dynamodb-toolbox/table/actions/query";
import { readText } from "../rows.ts";
import type { Store } from "./store.ts";
import { contention, retried, transact, type Write } from "./transact.ts";

type Purse = FormattedItem<Store["purse"]>;

/**
 * A purse is one item: whoever changes it writes the whole of it, in one transaction with what else changes, on condition
 * that nobody has written it since it was read. Else it is read and decided anew, so no decision rests on an old purse.
 */
export function dynamoMoney(store: Store): Money {
  const readPurse = async (runId: string): Promise<Purse> => {
    const { Item } = await store.purse.build(GetItemCommand).key({ runId }).options({ consistent: true }).send();
    return Item ?? { runId, version: 0, reservedMicroUsd: {}, spentMicroUsd: 0, settled: 0 };
  };
  const readUsage = async (runId: string, key: string) => {
    const { Item } = await store.usage.build(GetItemCommand).key({ runId, key }).options({ consistent: true }).send();
    return Item;
  };
  const unsettled = (runId: string, key: string) =>
    store.usage.build(ConditionCheck).key({ runId, key }).condition({ attr: "runId", exists: false });
  /** Undefined: somebody else has written the purse, or what else is written does not go. */
  const write = async (purse: Purse, changes: Partial<Purse>, ...others: Write[]): Promise<true | undefined> => {
    const { version } = purse;
    const put = store.purse
      .build(PutTransaction)
      .item({ ...purse, ...changes, version: version + 1 })
      .options({ condition: version === 0 ? { attr: "version", exists: false } : { attr: "version", eq: version } });
    return (await transact(store, [put, ...others])) === "done" || undefined;
  };
  /** Does `work` on the purse as it is, anew until nobody came in between (undefined). */
  const onPurse = async <T>(runId: string, work: (purse: Purse) => Promise<T | undefined>): Promise<T> => {
    try {
      return await retried(async () => work(await readPurse(runId)), contention(`the purse of ${runId}`));
    } catch (error) {
      throw store.failed(error);
    }
  };

  return {
    async open(runId, capMicroUsd) {
      await onPurse(runId, async (purse) => purse.capMicroUsd !== undefined || write(purse, { capMicroUsd }));
    },
    reserve: (runId, key, microUsd) =>
      onPurse(runId, async (purse) => {
        if (purse.reservedMicroUsd[key] !== undefined || (await readUsage(runId, key))) return "reserved";
        const cap = purse.capMicroUsd ?? Number.POSITIVE_INFINITY;
        if (purse.spentMicroUsd + microUsd > cap) return "exhausted";
        if (purse.spentMicroUsd + reservedOf(purse) + microUsd > cap) return "wait";
        const reservedMicroUsd = { ...purse.reservedMicroUsd, [key]: microUsd };
        return (await write(purse, { reservedMicroUsd }, unsettled(runId, key))) && "reserved";
      }),
    async settle(runId, row) {
      await onPurse(runId, async (purse) => {
        if (await readUsage(runId, row.key)) return true;
        const { [row.key]: _, ...reservedMicroUsd } = purse.reservedMicroUsd;
        const spentMicroUsd = purse.spentMicroUsd + row.costMicroUsd;
        const settled = purse.settled + 1;
        const usage = store.usage
          .build(PutTransaction)
          .item({ runId, key: row.key, position: settled, text: JSON.stringify(row) })
          .options({ condition: { attr: "runId", exists: false } });
        return write(purse, { reservedMicroUsd, spentMicroUsd, settled }, usage);
      });
    },
    async release(runId) {
      await onPurse(
        runId,
        async (purse) => Object.keys(purse.reservedMicroUsd).length === 0 || write(purse, { reservedMicroUsd: {} }),
      );
    },
    balance: (runId) =>
      onPurse(runId, async (purse) => ({
        capMicroUsd: purse.capMicroUsd ?? null,
        reservedMicroUsd: reservedOf(purse),
        spentMicroUsd: purse.spentMicroUsd,
      })),
    async rows(runId) {
      const query = store.table
        .build(QueryCommand)
        .entities(store.usage)
        .query({ partition: store.partition(runId), range: { beginsWith: "usage/" } })
        .options({ consistent: true, maxPages: Number.POSITIVE_INFINITY });
      try {
        const { Items = [] } = await query.send();
        return Items.toSorted((a, b) => a.position - b.position).map(({ key, text }) =>
          readText(UsageRow, text, `the usage row ${key} of ${runId}`),
        );
      } catch (error) {
        throw store.failed(error);
      }
    },
  };
}

const reservedOf = ({ reservedMicroUsd }: Purse): number =>
  Object.values(reservedMicroUsd).reduce((sum: number, microUsd) => sum + microUsd, 0);
