import { DatabaseSync } from "node:sqlite";
import { AppError, messageOf } from "@ksearch/domain";

const schema = `
CREATE TABLE IF NOT EXISTS events (run_id TEXT NOT NULL, seq INTEGER NOT NULL, at_ms INTEGER NOT NULL, event TEXT NOT NULL, PRIMARY KEY (run_id, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (id TEXT PRIMARY KEY, started_at TEXT NOT NULL, summary TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS purses (run_id TEXT PRIMARY KEY, cap_micro_usd INTEGER, reserved_micro_usd INTEGER NOT NULL DEFAULT 0, spent_micro_usd INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS reservations (run_id TEXT NOT NULL, key TEXT NOT NULL, micro_usd INTEGER NOT NULL, PRIMARY KEY (run_id, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS usage (position INTEGER PRIMARY KEY, run_id TEXT NOT NULL, key TEXT NOT NULL, row TEXT NOT NULL, UNIQUE (run_id, key));
`;

/**
 * Opens (and makes) the database of facts. WAL: readers never wait for the writer, and a killed process loses nothing
 * that was committed. Throws AppError `operator`: `store.corrupt` when the file is no database of ours, `store.closed` when
 * it cannot be opened (locked, no permission, no folder).
 */
export function openDatabase(path: string): DatabaseSync {
  try {
    const database = new DatabaseSync(path, { timeout: 10_000 });
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;");
    database.exec(schema);
    return database;
  } catch (error) {
    const corrupt = /not a database|malformed/i.test(messageOf(error));
    const mend = corrupt
      ? "move it aside or restore it, or choose another --artifacts-dir"
      : "see who holds it and to whom it belongs";
    throw new AppError(
      "operator",
      corrupt ? "store.corrupt" : "store.closed",
      `${path} cannot be opened as ksearch's database (${messageOf(error)}): ${mend}`,
      { cause: error },
    );
  }
}

/** Runs `work` in one write transaction: all of it or nothing. */
export function transaction<T>(database: DatabaseSync, work: () => T): T {
  database.exec("BEGIN IMMEDIATE");
  try {
    const result = work();
    database.exec("COMMIT");
    return result;
  } catch (error) {
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}
