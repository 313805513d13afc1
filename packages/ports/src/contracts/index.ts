export * from "./blobs.ts";
export * from "./engine.ts";
export * from "./events.ts";
export * from "./llm.ts";
export * from "./money.ts";
export * from "./referee.ts";
export * from "./runs.ts";
export * from "./tracker.ts";
