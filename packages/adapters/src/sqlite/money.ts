import type { DatabaseSync } from "node:sqlite";
import { UsageRow } from "@ksearch/domain";
import type { Balance, Money } from "@ksearch/ports";
import { z } from "zod";
import { transaction } from "./database.ts";

const Purse = z.object({ cap_micro_usd: z.int().nullable() });
const Sum = z.object({ total: z.int() });
const Row = z.object({ row: z.string() });

export function sqliteMoney(database: DatabaseSync): Money {
  const open = database.prepare("INSERT INTO purses (run_id, cap_micro_usd) VALUES (?, ?) ON CONFLICT DO NOTHING");
  const purse = database.prepare("SELECT cap_micro_usd FROM purses WHERE run_id = ?");
  const reserved = database.prepare("SELECT coalesce(sum(micro_usd), 0) AS total FROM reservations WHERE run_id = ?");
  const spent = database.prepare("SELECT coalesce(sum(cost_micro_usd), 0) AS total FROM usage WHERE run_id = ?");
  const known = database.prepare(
    "SELECT 1 AS total FROM reservations WHERE run_id = ?1 AND key = ?2 UNION ALL SELECT 1 FROM usage WHERE run_id = ?1 AND key = ?2",
  );
  const reserve = database.prepare("INSERT INTO reservations (run_id, key, micro_usd) VALUES (?, ?, ?)");
  const free = database.prepare("DELETE FROM reservations WHERE run_id = ? AND key = ?");
  const freeAll = database.prepare("DELETE FROM reservations WHERE run_id = ?");
  const settle = database.prepare("INSERT INTO usage (run_id, key, cost_micro_usd, row) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING");
  const rows = database.prepare("SELECT row FROM usage WHERE run_id = ? ORDER BY position");
  const balance = (runId: string): Balance => ({
    capMicroUsd: Purse.optional().parse(purse.get(runId))?.cap_micro_usd ?? null,
    reservedMicroUsd: Sum.parse(reserved.get(runId)).total,
    spentMicroUsd: Sum.parse(spent.get(runId)).total,
  });
  return {
    async open(runId, capMicroUsd) {
      open.run(runId, capMicroUsd);
    },
    async reserve(runId, key, microUsd) {
      return transaction(database, () => {
        if (known.get(runId, key) !== undefined) return "reserved";
        const now = balance(runId);
        if (now.capMicroUsd !== null && now.spentMicroUsd + now.reservedMicroUsd + microUsd > now.capMicroUsd) return "exhausted";
        reserve.run(runId, key, microUsd);
        return "reserved";
      });
    },
    async settle(runId, row) {
      transaction(database, () => {
        settle.run(runId, row.key, row.costMicroUsd, JSON.stringify(row));
        free.run(runId, row.key);
      });
    },
    async release(runId) {
      freeAll.run(runId);
    },
    async balance(runId) {
      return balance(runId);
    },
    async rows(runId) {
      return rows.all(runId).map((raw) => UsageRow.parse(JSON.parse(Row.parse(raw).row)));
    },
  };
}
