import { type CostLine, costLines, costTotal } from "@ksearch/domain";
import { choicesOf } from "@ksearch/workflow";
import { openRuns } from "../local.ts";
import { columns, dollars, paint, print, printJson } from "../output.ts";
import { pickRun } from "./pick.ts";
import type { ReadCommand } from "./read.ts";

/** `ksearch cost`: what a run paid, by model and purpose, and the prices that it was counted with. */
export async function cost(given: string | undefined, command: ReadCommand): Promise<void> {
  const stores = await openRuns(command);
  const runId = await pickRun(stores, given);
  const lines = costLines(await stores.money.rows(runId));
  const total = costTotal(lines);
  const choices = await choicesOf(stores, runId);
  // A later choice of a model replaces its price from then on: the last one is told.
  const prices = Object.fromEntries(
    choices.flatMap((choice) =>
      choice.kind === "openai" ? choice.models.map(({ modelName, price }) => [modelName, price]) : [],
    ),
  );
  if (command.json) return printJson({ runId, lines, total, prices });
  if (lines.length === 0) return print(`${runId} has paid for nothing yet`);
  const head = ["asked", "for", "calls", "in", "cached", "out", "thinking", "cost", "without an answer"];
  print(columns([head, ...lines.map(row), ["all", "", ...figures({ ...total, to: "llm" })]]));
  const told = Object.entries(prices).map(
    ([name, { inputMicroUsd, cachedInputMicroUsd, outputMicroUsd }]) =>
      `${name} ${[inputMicroUsd, cachedInputMicroUsd, outputMicroUsd].map((micro) => micro / 1e6).join("/")}`,
  );
  if (told.length > 0) print(paint.quiet(`prices, $ per million tokens (in/cached/out): ${told.join(", ")}`));
  if (total.estimated) print(paint.quiet("~ some providers reported no tokens; they were estimated from the texts"));
}

const row = (line: CostLine): string[] => [
  line.to === "referee" ? `referee (${line.model})` : line.model,
  line.purpose,
  ...figures(line),
];

function figures(line: Omit<CostLine, "model" | "purpose">): string[] {
  const mark = line.estimated ? "~" : "";
  const tokens = (count: number): string => (line.to === "referee" ? "–" : `${mark}${count.toLocaleString("en")}`);
  const { lost, failed, calls, costMicroUsd, lostMicroUsd } = line;
  const missed = [lost > 0 ? `${lost} lost` : "", failed > 0 ? `${failed} failed` : ""].filter((part) => part !== "");
  const share = costMicroUsd === 0 ? 0 : Math.round((100 * lostMicroUsd) / costMicroUsd);
  return [
    String(calls),
    tokens(line.inputTokens),
    tokens(line.cachedInputTokens),
    tokens(line.outputTokens),
    tokens(line.reasoningTokens),
    dollars(costMicroUsd),
    missed.length === 0 ? "–" : `${missed.join(", ")} (${share} % of the cost)`,
  ];
}
