import type { UsageRow } from "@ksearch/domain";

export type Balance = {
  readonly capMicroUsd: number | null;
  readonly reservedMicroUsd: number;
  readonly spentMicroUsd: number;
};

/** The purse of a run, in whole micro-dollars (design.md 8): worst case reserved before a call, the real cost settled after. */
export interface Money {
  /** Gives a run its cap (null: none). Opening twice keeps the first cap. */
  open(runId: string, capMicroUsd: number | null): Promise<void>;
  /**
   * Idempotent by key. `exhausted`: what is spent and this would exceed the cap. `wait`: it would with what is reserved for
   * calls in flight, most of which comes back. In both cases nothing is reserved.
   */
  reserve(runId: string, key: string, microUsd: number): Promise<"reserved" | "wait" | "exhausted">;
  /** Turns the reservation of `row.key` into a usage row. The first row of a key wins. */
  settle(runId: string, row: UsageRow): Promise<void>;
  /** Gives all unsettled reservations back. */
  release(runId: string): Promise<void>;
  balance(runId: string): Promise<Balance>;
  /** Rows in the order in which they were settled. */
  rows(runId: string): Promise<UsageRow[]>;
}
