import type { Score } from "../search/state.ts";
import { costs } from "./costs.ts";
import type { RunReport } from "./facts.ts";
import { failureClasses } from "./failures.ts";
import { type Html, html } from "./html.ts";
import { statusMark } from "./outcome.ts";
import { column, figures, tableBox } from "./source.ts";
import { cut, dollars, duration, micros, times } from "./words.ts";

/** Every attempt in a row; the page's script lets its columns be sorted. */
export function attemptsSection({ state }: RunReport, limit: number): Html {
  const head = [
    ...["#", "node", "outcome"].map((name) => column(name)),
    ...["score", "forecast", "a call", "model", "referee", "cost"].map(figures),
    column("message"),
  ];
  const figure = (value: number | null, words: Html | string) =>
    html`<td class="figures" data-sort="${value ?? ""}">${value === null ? "–" : words}</td>`;
  const rows = state.attempts.map((attempt) => {
    const { score, forecast, callNs, llmMs, refereeMs, costMicroUsd, sameAs } = attempt;
    return html`<tr><th scope="row">${attempt.attempt}</th><td>${attempt.nodeId} <span class="under quiet">${attempt.kind.replace("_", " ")}${attempt.model === null ? null : html` by ${attempt.model}`}</span></td>
<td>${statusMark(attempt.status)}</td>${figure(score?.value ?? null, scoreCell(score))}${figure(forecast, times(forecast))}${figure(callNs, micros(callNs))}
${figure(llmMs, duration(llmMs))}${figure(refereeMs, duration(refereeMs))}${figure(costMicroUsd, dollars(costMicroUsd))}
<td class="message">${sameAs === null ? null : html`<span class="quiet">same kernel as attempt ${sameAs}. </span>`}${cut(attempt.message, limit)}</td></tr>
`;
  });
  return rows.length === 0 ? html`<p>None yet.</p>` : tableBox("Attempts", head, rows, "sortable");
}

const scoreCell = (score: Score | null): Html =>
  score === null
    ? html``
    : html`${times(score.value)} <span class="under quiet">${score.low.toFixed(2)} to ${score.high.toFixed(2)}</span>`;

/** How attempts failed, and what edits of the world model were refused: what not to do again. */
export function lessonsSection({ state }: RunReport, limit: number): Html {
  const classes = failureClasses(state).map(({ status, attempts }) => {
    const latest = attempts.at(-1);
    return html`<tr><th scope="row">${statusMark(status)}</th><td class="figures">${attempts.length}</td><td>${latest ? `attempt ${latest.attempt} (${latest.nodeId}): ${cut(latest.message, limit)}` : ""}</td></tr>
`;
  });
  const refusals = state.refusals.slice(-20);
  return html`${
    classes.length === 0
      ? html`<p>Every judged attempt passed.</p>`
      : tableBox("Failures by kind", [column("how"), figures("attempts"), column("the latest")], classes)
  }
${refusals.length === 0 ? null : html`<h3>Edits of the world model that were refused</h3><ul>${refusals.map(({ op, reason }) => html`<li>${op}: ${cut(reason, limit)}</li>`)}</ul>`}`;
}

/** What was paid, by who answered and what for. */
export function costSection({ log }: RunReport): Html {
  const all = costs(log);
  const rows = all.map(
    (
      row,
    ) => html`<tr><th scope="row">${row.model || "no answer"}</th><td>${row.purpose}</td><td class="figures">${row.calls}</td>
<td class="figures">${row.inputTokens ?? "–"}</td><td class="figures">${row.outputTokens ?? "–"}</td><td class="figures">${duration(row.waitedMs)}</td><td class="figures">${dollars(row.costMicroUsd)}</td></tr>
`,
  );
  const total = html`<tr class="total"><th scope="row">all</th><td></td><td class="figures">${all.reduce((sum, { calls }) => sum + calls, 0)}</td>
<td></td><td></td><td></td><td class="figures">${dollars(all.reduce((sum, { costMicroUsd }) => sum + costMicroUsd, 0))}</td></tr>
`;
  return html`<p class="quiet">Waiting times of lanes that work at once add up. A call that nobody answered is booked at its worst case where the provider may have billed it.</p>
${tableBox(
  "Cost",
  [
    ...["who", "for"].map((name) => column(name)),
    ...["calls", "tokens in", "tokens out", "waited", "cost"].map(figures),
  ],
  [...rows, total],
)}`;
}
