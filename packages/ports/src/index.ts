export type * from "./blobs.ts";
export type * from "./engine.ts";
export type * from "./events.ts";
export type * from "./llm.ts";
export type * from "./money.ts";
export type * from "./referee.ts";
export type * from "./runs.ts";
export type * from "./tracker.ts";
