import type { DatabaseSync } from "node:sqlite";
import { UsageRow } from "@ksearch/domain";
import type { Money } from "@ksearch/ports";
import { z } from "zod";
import { readText } from "../rows.ts";
import { transaction } from "./database.ts";

const Purse = z.object({ cap: z.int().nullable(), reserved: z.int(), spent: z.int() });
const Amount = z.object({ micro_usd: z.int() });
const Row = z.object({ row: z.string() });

/** Purses with their running totals, so that a reservation costs the same after a thousand calls as after one. */
export function sqliteMoney(database: DatabaseSync): Money {
  const open = database.prepare("INSERT INTO purses (run_id, cap_micro_usd) VALUES (?, ?) ON CONFLICT DO NOTHING");
  const purse = database.prepare(
    "SELECT cap_micro_usd AS cap, reserved_micro_usd AS reserved, spent_micro_usd AS spent FROM purses WHERE run_id = ?",
  );
  const book = database.prepare(
    "UPDATE purses SET reserved_micro_usd = reserved_micro_usd + ?, spent_micro_usd = spent_micro_usd + ? WHERE run_id = ?",
  );
  const held = database.prepare("SELECT micro_usd FROM reservations WHERE run_id = ? AND key = ?");
  const settled = database.prepare("SELECT 1 FROM usage WHERE run_id = ? AND key = ?");
  const reserve = database.prepare("INSERT INTO reservations (run_id, key, micro_usd) VALUES (?, ?, ?)");
  const free = database.prepare("DELETE FROM reservations WHERE run_id = ? AND key = ?");
  const freeAll = database.prepare("DELETE FROM reservations WHERE run_id = ?");
  const reset = database.prepare("UPDATE purses SET reserved_micro_usd = 0 WHERE run_id = ?");
  const settle = database.prepare("INSERT INTO usage (run_id, key, row) VALUES (?, ?, ?)");
  const rows = database.prepare("SELECT row FROM usage WHERE run_id = ? ORDER BY position");
  const balance = (runId: string) => Purse.optional().parse(purse.get(runId)) ?? { cap: null, reserved: 0, spent: 0 };
  const heldFor = (runId: string, key: string): number | undefined =>
    Amount.optional().parse(held.get(runId, key))?.micro_usd;
  return {
    async open(runId, capMicroUsd) {
      open.run(runId, capMicroUsd);
    },
    async reserve(runId, key, microUsd) {
      return transaction(database, () => {
        if (heldFor(runId, key) !== undefined || settled.get(runId, key) !== undefined) return "reserved";
        const { cap, reserved, spent } = balance(runId);
        if (cap !== null && spent + microUsd > cap) return "exhausted";
        if (cap !== null && spent + reserved + microUsd > cap) return "wait";
        reserve.run(runId, key, microUsd);
        book.run(microUsd, 0, runId);
        return "reserved";
      });
    },
    async settle(runId, row) {
      transaction(database, () => {
        if (settled.get(runId, row.key) !== undefined) return;
        book.run(-(heldFor(runId, row.key) ?? 0), row.costMicroUsd, runId);
        free.run(runId, row.key);
        settle.run(runId, row.key, JSON.stringify(row));
      });
    },
    async release(runId) {
      transaction(database, () => {
        freeAll.run(runId);
        reset.run(runId);
      });
    },
    async balance(runId) {
      const { cap, reserved, spent } = balance(runId);
      return { capMicroUsd: cap, reservedMicroUsd: reserved, spentMicroUsd: spent };
    },
    async rows(runId) {
      return rows.all(runId).map((raw) => readText(UsageRow, Row.parse(raw).row, `a usage row of ${runId}`));
    },
  };
}
