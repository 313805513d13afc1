import { AppError } from "../errors.ts";
import type { LoggedEvent, Purpose } from "../search/events.ts";
import type { OpenCall } from "../search/state.ts";

/** What calls of one kind to one model came to. Tokens are null where nobody counts any (the referee). */
export type CostRow = {
  /** Empty for calls that nobody answered. */
  readonly model: string;
  readonly purpose: Purpose;
  calls: number;
  /** Calls that failed or were lost with a process. */
  unanswered: number;
  inputTokens: number | null;
  outputTokens: number | null;
  waitedMs: number;
  costMicroUsd: number;
};

/** All settled calls of a log by model and purpose, dearest first. Their costs add up to what the run has spent. */
export function costs(log: readonly LoggedEvent[]): CostRow[] {
  const asked = new Map<string, Pick<OpenCall, "to" | "purpose">>();
  const rows = new Map<string, CostRow>();
  const rowOf = ({ call, model }: { call: string; model: string }): CostRow => {
    const question = asked.get(call);
    if (!question)
      throw new AppError("operator", "log.unknownCall", `the log settles ${call}, which it never submitted`);
    const { to, purpose } = question;
    const answerer = to === "referee" && model !== "" ? `referee on ${model}` : model;
    const none = { calls: 0, unanswered: 0, inputTokens: null, outputTokens: null, waitedMs: 0, costMicroUsd: 0 };
    const row = rows.get(`${answerer}\n${purpose}`) ?? { model: answerer, purpose, ...none };
    rows.set(`${answerer}\n${purpose}`, row);
    row.calls += 1;
    return row;
  };
  for (const { event } of log) {
    if (event.type === "call.submitted") asked.set(event.call, event);
    if (event.type === "call.failed" || event.type === "call.lost") {
      const row = rowOf({ ...event, model: "" });
      row.unanswered += 1;
      row.costMicroUsd += event.costMicroUsd;
    }
    if (event.type !== "call.answered") continue;
    const row = rowOf(event);
    row.costMicroUsd += event.costMicroUsd;
    row.waitedMs += event.durationMs;
    if (event.usage === null) continue;
    row.inputTokens = (row.inputTokens ?? 0) + event.usage.inputTokens;
    row.outputTokens = (row.outputTokens ?? 0) + event.usage.outputTokens;
  }
  return [...rows.values()].sort((a, b) => b.costMicroUsd - a.costMicroUsd || b.waitedMs - a.waitedMs);
}
