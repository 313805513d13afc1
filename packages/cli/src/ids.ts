import { randomBytes } from "node:crypto";

/** A run id that sorts by time and tells the day: `run_20261123-074512-3f9a`. */
export function newRunId(nowMs: number): string {
  const stamp = new Date(nowMs).toISOString().replace(/[-:]/g, "").replace("T", "-").slice(0, 15);
  return `run_${stamp}-${randomBytes(2).toString("hex")}`;
}
