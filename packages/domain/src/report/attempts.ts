import type { Score } from "../search/state.ts";
import type { RunReport } from "./facts.ts";
import { failureClasses } from "./failures.ts";
import { type Html, html } from "./html.ts";
import { outcomeMark, statusMark } from "./outcome.ts";
import { column, figures, tableBox } from "./source.ts";
import { cut, dollars, duration, micros, times } from "./words.ts";

/** Every attempt in a row; the page's script lets its columns be sorted. */
export function attemptsSection({ state }: RunReport, limit: number): Html {
  const head = [
    ...["#", "node", "outcome"].map((name) => column(name)),
    ...["forecast", "a call", "model", "referee", "cost"].map(figures),
    column("message"),
  ];
  const figure = (value: number | null, words: string) =>
    html`<td class="figures" data-sort="${value ?? ""}">${value === null ? "–" : words}</td>`;
  const rows = state.attempts.map((attempt) => {
    const { score, forecast, callNs, llmMs, refereeMs, costMicroUsd, sameAs } = attempt;
    return html`<tr><th scope="row">${attempt.attempt}</th><td>${attempt.nodeId} <span class="under quiet">${attempt.kind.replace("_", " ")}${attempt.model && ` by ${attempt.model}`}</span></td>
<td data-sort="${score?.value ?? ""}">${score === null ? statusMark(attempt.status) : scored(score)}</td>${figure(forecast, times(forecast))}${figure(callNs, micros(callNs))}
${figure(llmMs, duration(llmMs))}${figure(refereeMs, duration(refereeMs))}${figure(costMicroUsd, dollars(costMicroUsd))}
<td class="message">${sameAs === null ? null : html`<span class="quiet">same kernel as attempt ${sameAs}. </span>`}${cut(attempt.message, limit)}</td></tr>
`;
  });
  return rows.length === 0 ? html`<p>None yet.</p>` : tableBox("Attempts", head, rows, "sortable");
}

const scored = (score: Score): Html =>
  html`<span class="status">${outcomeMark("passed")} ${times(score.value)}</span> <span class="under quiet">${score.low.toFixed(2)} to ${score.high.toFixed(2)}</span>`;

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
