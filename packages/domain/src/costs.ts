import type { UsageRow } from "./budget.ts";

/** What a run paid one model (or the referee) for one purpose. Tokens of calls without an answer are not known. */
export type CostLine = Pick<UsageRow, "to" | "purpose"> & {
  /** Label of the model that was asked; for the referee the device. */
  readonly model: string;
  readonly calls: number;
  readonly lost: number;
  readonly failed: number;
  readonly inputTokens: number;
  readonly cachedInputTokens: number;
  readonly outputTokens: number;
  readonly reasoningTokens: number;
  /** True where the provider left some count out and we counted. */
  readonly estimated: boolean;
  readonly costMicroUsd: number;
  /** The part of it that brought no answer. */
  readonly lostMicroUsd: number;
};

const nothing = {
  calls: 0,
  lost: 0,
  failed: 0,
  inputTokens: 0,
  cachedInputTokens: 0,
  outputTokens: 0,
  reasoningTokens: 0,
  estimated: false,
  costMicroUsd: 0,
  lostMicroUsd: 0,
};

/** Usage rows by model and purpose, models before the referee, in the order of their first call. */
export function costLines(rows: readonly UsageRow[]): CostLine[] {
  const device = rows.find(({ to, model }) => to === "referee" && model !== "")?.model ?? "referee";
  const lines = new Map<string, CostLine>();
  for (const row of rows) {
    const { to, purpose } = row;
    const model = row.asked ?? device;
    const key = JSON.stringify([to, model, purpose]);
    lines.set(key, added(lines.get(key) ?? { to, model, purpose, ...nothing }, row));
  }
  return [...lines.values()].sort((a, b) => Number(a.to === "referee") - Number(b.to === "referee"));
}

/** All lines as one. */
export const costTotal = (lines: readonly CostLine[]): typeof nothing =>
  lines.reduce(
    (total, line) => ({
      calls: total.calls + line.calls,
      lost: total.lost + line.lost,
      failed: total.failed + line.failed,
      inputTokens: total.inputTokens + line.inputTokens,
      cachedInputTokens: total.cachedInputTokens + line.cachedInputTokens,
      outputTokens: total.outputTokens + line.outputTokens,
      reasoningTokens: total.reasoningTokens + line.reasoningTokens,
      estimated: total.estimated || line.estimated,
      costMicroUsd: total.costMicroUsd + line.costMicroUsd,
      lostMicroUsd: total.lostMicroUsd + line.lostMicroUsd,
    }),
    nothing,
  );

const added = (line: CostLine, { usage, costMicroUsd, outcome }: UsageRow): CostLine => ({
  ...line,
  calls: line.calls + 1,
  lost: line.lost + (outcome === "lost" ? 1 : 0),
  failed: line.failed + (outcome === "failed" ? 1 : 0),
  inputTokens: line.inputTokens + (usage?.inputTokens ?? 0),
  cachedInputTokens: line.cachedInputTokens + (usage?.cachedInputTokens ?? 0),
  outputTokens: line.outputTokens + (usage?.outputTokens ?? 0),
  reasoningTokens: line.reasoningTokens + (usage?.reasoningTokens ?? 0),
  estimated: line.estimated || (usage?.estimated ?? false),
  costMicroUsd: line.costMicroUsd + costMicroUsd,
  lostMicroUsd: line.lostMicroUsd + (outcome === "answered" ? 0 : costMicroUsd),
});
