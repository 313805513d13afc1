import type { DatabaseSync } from "node:sqlite";
import { RunSummary } from "@ksearch/domain";
import type { Runs } from "@ksearch/ports";
import { z } from "zod";
import { readText } from "../rows.ts";

const Row = z.object({ summary: z.string() });

const read = (raw: unknown): RunSummary => readText(RunSummary, Row.parse(raw).summary, "a run's line");

export function sqliteRuns(database: DatabaseSync): Runs {
  const insert = database.prepare("INSERT INTO runs (id, started_at, summary) VALUES (?, ?, ?) ON CONFLICT DO NOTHING");
  const select = database.prepare("SELECT summary FROM runs WHERE id = ?");
  const newest = database.prepare("SELECT summary FROM runs ORDER BY started_at DESC, id DESC LIMIT ?");
  const replace = database.prepare("UPDATE runs SET summary = ? WHERE id = ?");
  return {
    async create(summary) {
      return insert.run(summary.id, summary.startedAt, JSON.stringify(summary)).changes === 1 ? "created" : "existed";
    },
    async get(id) {
      const row = select.get(id);
      return row === undefined ? null : read(row);
    },
    async list(limit) {
      return newest.all(limit).map(read);
    },
    async update(summary) {
      replace.run(JSON.stringify(summary), summary.id);
    },
  };
}
