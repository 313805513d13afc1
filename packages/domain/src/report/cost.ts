import { type CostLine, costLines, costTotal } from "../costs.ts";
import type { RunReport } from "./facts.ts";
import { type Html, html } from "./html.ts";
import { column, figures, tableBox } from "./source.ts";
import { dollars } from "./words.ts";

/** What was paid, by who was asked and what for. */
export function costSection({ usage }: RunReport): Html {
  const lines = costLines(usage);
  const total = costTotal(lines);
  const rows = lines.map(
    (
      line,
    ) => html`<tr><th scope="row">${line.to === "referee" ? `referee (${line.model})` : line.model}</th><td>${line.purpose}</td>${cells(line)}</tr>
`,
  );
  const all = html`<tr class="total"><th scope="row">all</th><td></td>${cells({ ...total, to: "llm" })}</tr>
`;
  const head = [
    ...["asked", "for"].map((name) => column(name)),
    ...["calls", "tokens in", "cached", "tokens out", "thinking", "cost", "without an answer"].map(figures),
  ];
  return html`${tableBox("Cost", head, [...rows, all])}
${total.estimated ? html`<p class="quiet">~ some providers reported no tokens; they were estimated from the texts.</p>` : null}`;
}

function cells(line: Omit<CostLine, "model" | "purpose">): readonly Html[] {
  const tokens = (count: number): string =>
    line.to === "referee" ? "–" : `${line.estimated ? "~" : ""}${count.toLocaleString("en")}`;
  const missed = line.lost + line.failed;
  const words = [
    `${line.calls}`,
    ...[line.inputTokens, line.cachedInputTokens, line.outputTokens, line.reasoningTokens].map(tokens),
    dollars(line.costMicroUsd),
    missed === 0 ? "–" : `${missed} for ${dollars(line.lostMicroUsd)}`,
  ];
  return words.map((word) => html`<td class="figures">${word}</td>`);
}
