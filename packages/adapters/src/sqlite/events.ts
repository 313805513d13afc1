import type { DatabaseSync } from "node:sqlite";
import { RunEvent } from "@ksearch/domain";
import type { Events } from "@ksearch/ports";
import { z } from "zod";
import { readText } from "../rows.ts";
import { transaction } from "./database.ts";

const Row = z.object({ seq: z.int(), at_ms: z.int(), event: z.string() });

export function sqliteEvents(database: DatabaseSync): Events {
  const last = database.prepare("SELECT coalesce(max(seq), 0) AS seq FROM events WHERE run_id = ?");
  const insert = database.prepare("INSERT INTO events (run_id, seq, at_ms, event) VALUES (?, ?, ?, ?)");
  const select = database.prepare("SELECT seq, at_ms, event FROM events WHERE run_id = ? AND seq > ? ORDER BY seq");
  return {
    async append(runId, afterSeq, events, atMs) {
      return transaction(database, () => {
        if (last.get(runId)?.seq !== afterSeq) return "conflict";
        events.forEach((event, index) => {
          insert.run(runId, afterSeq + 1 + index, atMs, JSON.stringify(event));
        });
        return "appended";
      });
    },
    async read(runId, afterSeq) {
      return select.all(runId, afterSeq).map((raw) => {
        const row = Row.parse(raw);
        return { seq: row.seq, atMs: row.at_ms, event: readText(RunEvent, row.event, `event ${row.seq} of ${runId}`) };
      });
    },
  };
}
