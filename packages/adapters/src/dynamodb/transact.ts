import { setTimeout as sleep } from "node:timers/promises";
import { TransactionCanceledException } from "@aws-sdk/client-dynamodb";
import { AppError } from "@ksearch/domain";
import type { ConditionCheck } from "dynamodb-toolbox/entity/actions/transactCheck";
import type { PutTransaction } from "dynamodb-toolbox/entity/actions/transactPut";
import { execute } from "dynamodb-toolbox/entity/actions/transactWrite";
import type { Store } from "./store.ts";

/** Some twelve seconds. */
const mostTries = 50;

/** What a transaction writes or checks. */
export type Write = Pick<PutTransaction, "entity" | "params"> | Pick<ConditionCheck, "entity" | "params">;

/** Does `work` until it gives more than undefined; waits longer from try to try. Throws `exhausted` in the end. */
export async function retried<T>(
  work: () => Promise<T | undefined>,
  exhausted: AppError,
  most = mostTries,
): Promise<T> {
  for (let tries = 0; tries < most; tries += 1) {
    const result = await work();
    if (result !== undefined) return result;
    await sleep(Math.random() * Math.min(500, 10 * 2 ** tries));
  }
  throw exhausted;
}

export const contention = (what: string): AppError =>
  new AppError("retry", "aws.busy", `others wrote ${what} ${mostTries} times in a row: try again`);

/**
 * All writes or none. `refused`: a condition did not hold. The client gives each request a token, so that one whose answer
 * was lost is repeated without being done twice.
 */
export function transact(store: Store, writes: Write[]): Promise<"done" | "refused"> {
  return retried(async () => {
    try {
      await execute(...writes);
      return "done";
    } catch (error) {
      const codes = error instanceof TransactionCanceledException ? reasons(error) : [];
      if (codes.includes("ConditionalCheckFailed")) return "refused";
      // Another transaction is at one of the items: what it does decides our conditions.
      if (codes.length > 0 && codes.every((code) => transient.has(code))) return undefined;
      throw store.failed(error);
    }
  }, contention("the same items"));
}

const reasons = (error: TransactionCanceledException): string[] =>
  (error.CancellationReasons ?? []).flatMap(({ Code }) => (Code === undefined || Code === "None" ? [] : [Code]));

const transient = new Set(["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"]);
