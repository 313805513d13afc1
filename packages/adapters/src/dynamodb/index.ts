import type { Events, Money, Runs } from "@ksearch/ports";
import { dynamoEvents } from "./events.ts";
import { dynamoMoney } from "./money.ts";
import { dynamoRuns } from "./runs.ts";
import { openStore, type Place } from "./store.ts";

export { tableSchema } from "./schema.ts";
export type { Place } from "./store.ts";

/** The facts of a tenant's runs in one DynamoDB table (docs/decisions/0014-one-table.md). Errors: `../aws-errors.ts`. */
export function dynamoStores(place: Place): { events: Events; runs: Runs; money: Money } {
  const store = openStore(place);
  return { events: dynamoEvents(store), runs: dynamoRuns(store), money: dynamoMoney(store) };
}
