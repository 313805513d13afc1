import { existsSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { AppError, messageOf } from "@ksearch/domain";

/**
 * Holds a run for this process. The lock is the operating system's own on an open file, so it ends with the process,
 * however that dies. Null: another process holds it.
 */
export function holdRun(path: string): { release: () => void } | null {
  mkdirSync(dirname(path), { recursive: true });
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    database.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    if (error instanceof Error && /locked|busy/i.test(error.message)) return null;
    throw new AppError(
      "operator",
      "store.corrupt",
      `the lock ${path} cannot be taken (${messageOf(error)}): delete that file`,
      { cause: error },
    );
  }
  return { release: () => database.close() };
}

/** True while a process holds the run. Looks without taking the lock, so that it is never in anyone's way. */
export function isRunHeld(path: string): boolean {
  if (!existsSync(path)) return false;
  const database = new DatabaseSync(path, { timeout: 0, readOnly: true });
  try {
    database.prepare("SELECT count(*) FROM sqlite_master").get();
    return false;
  } catch (error) {
    if (error instanceof Error && /locked|busy/i.test(error.message)) return true;
    throw error;
  } finally {
    database.close();
  }
}
