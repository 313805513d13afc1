import { AppError, type LoggedEvent, RunEvent } from "@ksearch/domain";
import type { Events } from "@ksearch/ports";
import type { FormattedItem } from "dynamodb-toolbox/entity";
import { ConditionCheck } from "dynamodb-toolbox/entity/actions/transactCheck";
import { PutTransaction } from "dynamodb-toolbox/entity/actions/transactPut";
import { QueryCommand } from "dynamodb-toolbox/table/actions/query";
import { readText } from "../rows.ts";
import { eventKey, type Store } from "./store.ts";
import { retried, transact } from "./transact.ts";

/** An item holds 400 KB; a part has at most three bytes for each of its UTF-16 units. */
const partUnits = 120_000;
/** A transaction takes 100 items, one of which looks at the event before, and 4 MB with the items' other attributes. */
const mostItems = 99;
const mostBytes = 3_900_000;

/** Reads before a gap is taken for one that stays; a transaction becomes visible in milliseconds. Some two seconds. */
const gapTries = 12;

type Item = FormattedItem<Store["event"]>;

/**
 * One item an event, so that an append at a number that is taken fails by its key, and one at a number too high by the
 * event before, which must be there. Both stand in one transaction.
 */
export function dynamoEvents(store: Store): Events {
  const items = async (runId: string, afterSeq: number): Promise<Item[]> => {
    const query = store.table
      .build(QueryCommand)
      .entities(store.event)
      .query({ partition: store.partition(runId), range: { between: [eventKey(afterSeq + 1), "event/~"] } })
      .options({ consistent: true, maxPages: Number.POSITIVE_INFINITY });
    try {
      return (await query.send()).Items ?? [];
    } catch (error) {
      throw store.failed(error);
    }
  };
  return {
    async append(runId, afterSeq, events, atMs) {
      if (events.length === 0) return "appended";
      const before = store.event.build(ConditionCheck).condition({ attr: "runId", exists: true });
      const checks = afterSeq === 0 ? [] : [before.key({ runId, seq: afterSeq, part: 0 })];
      const puts = itemsOf(runId, afterSeq, events, atMs).map((one) =>
        store.event
          .build(PutTransaction)
          .item(one)
          .options({ condition: { attr: "runId", exists: false } }),
      );
      return (await transact(store, [...checks, ...puts])) === "done" ? "appended" : "conflict";
    },
    async read(runId, afterSeq) {
      const gap = new AppError(
        "operator",
        "store.corrupt",
        `the log of ${runId} has a gap above event ${afterSeq}: restore the table from a copy`,
      );
      const log = await retried(async () => joined(await items(runId, afterSeq), afterSeq), gap, gapTries);
      return log.map(({ seq, atMs, text }): LoggedEvent => {
        return { seq, atMs, event: readText(RunEvent, text, `event ${seq} of ${runId}`) };
      });
    },
  };
}

/** AppError `caller` `events.large`: more than DynamoDB writes at once. */
function itemsOf(runId: string, afterSeq: number, events: readonly RunEvent[], atMs: number): Item[] {
  const texts = events.map((event) => JSON.stringify(event));
  const items = texts.flatMap((text, index) => {
    const parts = partsOf(text);
    return parts.map((piece, part) => ({
      runId,
      seq: afterSeq + 1 + index,
      part,
      parts: parts.length,
      end: afterSeq + events.length,
      atMs,
      text: piece,
    }));
  });
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  if (items.length > mostItems || bytes > mostBytes)
    throw new AppError(
      "caller",
      "events.large",
      `${runId}: ${events.length} events of ${bytes} bytes (${events[0]?.type} …) are more than DynamoDB writes at once, ` +
        `${mostItems} items and ${mostBytes} bytes: begin with a smaller world model`,
    );
  return items;
}

/** A character of two UTF-16 units stays whole. */
function partsOf(text: string): string[] {
  const parts: string[] = [];
  for (let from = 0; from < text.length; ) {
    const to = from + partUnits;
    const isHalf = to < text.length && /[\uD800-\uDBFF]/.test(text.charAt(to - 1));
    parts.push(text.slice(from, isHalf ? to - 1 : to));
    from = isHalf ? to - 1 : to;
  }
  return parts;
}

/**
 * Items in the order of their keys as events with all their parts. Undefined where some are missing: a query is no
 * transaction and may meet an append half written.
 */
function joined(items: readonly Item[], afterSeq: number): Item[] | undefined {
  const events: Item[] = [];
  for (let index = 0; index < items.length; ) {
    const [first, ...rest] = items.slice(index, index + (items[index]?.parts ?? 1));
    const seq = afterSeq + events.length + 1;
    if (!first || rest.length !== first.parts - 1) return undefined;
    if ([first, ...rest].some((one, part) => one.seq !== seq || one.part !== part)) return undefined;
    events.push({ ...first, text: first.text + rest.map(({ text }) => text).join("") });
    index += first.parts;
  }
  const last = events.at(-1);
  return last === undefined || last.seq === last.end ? events : undefined;
}
