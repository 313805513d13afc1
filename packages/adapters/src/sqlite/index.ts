export { openDatabase } from "./database.ts";
export { sqliteEvents } from "./events.ts";
export { holdRun, isRunHeld } from "./lock.ts";
export { sqliteMoney } from "./money.ts";
export { sqliteRuns } from "./runs.ts";
