import type { Duel } from "../search/state.ts";
import { between, type LineDiff, type RunReport, type Winner } from "./facts.ts";
import { type Html, html } from "./html.ts";
import { statusMark } from "./outcome.ts";
import { referenceOf, shortId, sizesOf } from "./problem.ts";
import { column, figures, sourceBox, tableBox } from "./source.ts";
import { times } from "./words.ts";

/** The standing kernel: its times by workload, how it came to stand, its source, and what it changed. */
export function winnerSection({ state, problem, winner, diffs }: RunReport): Html {
  const duels = state.duels.length === 0 ? null : html`<h3>Finalists</h3>${duelTable(state.duels)}`;
  if (winner === null) return html`<p>No kernel stands, so there is none to show.</p>${duels}`;
  const reference = referenceOf(problem);
  const isPython = winner.kernel.language === "python" || winner.kernel.language === "triton";
  const entry = winner.kernel.files.find(({ path }) => winner.kernel.entryPoint.startsWith(`${path}::`));
  return html`<p>Kernel <code>${winner.kernelId}</code>, ${winner.kernel.language}, entry <code>${winner.kernel.entryPoint}</code>.</p>
${workloads(winner, state.options.evaluation.baselineNs)}
${duels}
<h3>Source</h3>
${winner.kernel.files.map(({ path, content }) => sourceBox(path, content))}
${diffs.map(lineDiff)}
${
  isPython || entry === undefined
    ? null
    : html`<details class="fold"><summary><h3>Beside the reference</h3></summary>
<p class="quiet">${reference.path.endsWith(".py") ? "The reference is Python and the kernel is not, so the two stand side by side." : "Both are C++, and share little but their types."}</p>
<div class="beside">${sourceBox(reference.path, reference.content)}${sourceBox(`${entry.path} again`, entry.content)}</div></details>`
}`;
}

const us = (ns: number | undefined): string => (ns === undefined ? "–" : (ns / 1_000).toFixed(1));

function workloads({ verdict, confirmed }: Winner, baselineNs: Record<string, number> | null): Html | null {
  if (verdict === null || verdict.workloads.length === 0) return null;
  const { score, aggregate } = verdict.status === "passed" ? verdict : { score: null, aggregate: null };
  const cell = (words: string) => html`<td class="figures">${words}</td>`;
  const strong = (words: string) => html`<td class="figures"><b>${words}</b></td>`;
  const ofBaseline = (cells: () => Html) => (baselineNs === null ? null : cells());
  const rows = verdict.workloads.map((workload) => {
    const { id, call, referenceCall, incumbentCall, speedup, correctness } = workload;
    const baseline = baselineNs?.[id];
    const gain = baseline === undefined || call === null ? null : baseline / call.medianNs;
    return html`<tr><th scope="row"><span title="${id}">${shortId(id)}</span></th><td class="sizes">${sizesOf(workload)}</td>
<td class="figures">${us(call?.medianNs)} <span class="under quiet">${us(call?.minNs)} to ${us(call?.p90Ns)}</span></td>${cell(us(referenceCall?.medianNs))}${cell(us(incumbentCall?.medianNs))}
${strong(times(speedup))}${ofBaseline(() => html`${cell(us(baseline))}${strong(times(gain))}`)}${cell(`${correctness?.checkedTimed ?? 0}`)}${cell(correctness ? shortNumber(correctness.maxAbs) : "–")}</tr>
`;
  });
  const isVsBaseline = score?.name.endsWith("vs_baseline") ?? false;
  const sum = score === null ? "–" : between(score);
  const total = html`<tr class="total"><th scope="row">all</th><td></td>
${cell(us(aggregate?.geomeanCallNs))}${cell(us(aggregate?.geomeanReferenceNs))}<td></td>
${strong(isVsBaseline ? times(aggregate?.geomeanSpeedup ?? null) : sum)}${ofBaseline(() => html`<td></td>${strong(isVsBaseline ? sum : "–")}`)}<td></td><td></td></tr>
`;
  const columns = [
    ...["kernel µs", "reference µs", "rival µs", "speed-up"],
    ...(baselineNs === null ? [] : ["baseline µs", "of the baseline"]),
    ...["outputs checked", "largest error"],
  ];
  const head = [column("workload"), column("sizes"), ...columns.map(figures)];
  return html`<p class="quiet">${confirmed ? "The last confirmation" : "The verdict in the search"}: medians of the timed calls, below them the fastest call and the 90th percentile. The last row holds geometric means, and the score with its 95 % interval within this one process. The rival is the kernel that was timed in between.</p>
${tableBox("Times by workload", head, [...rows, total])}`;
}

const shortNumber = (value: number | string): string => (typeof value === "number" ? value.toExponential(1) : value);

const duelTable = (duels: readonly Duel[]): Html =>
  tableBox(
    "Confirmations",
    [
      ...["confirmation", "kernel", "against", "outcome"].map((name) => column(name)),
      ...["score (95 %)", "times the rival's speed (95 %)"].map(figures),
      column("stands"),
    ],
    duels.map(
      ({ kernelId, rivalId, status, score, ratio, winner, message }, index) =>
        html`<tr><th scope="row">${index + 1}</th><td><code>${kernelId}</code></td><td>${rivalId === null ? "alone" : html`<code>${rivalId}</code>`}</td>
<td>${statusMark(status)}${message === "" ? null : `: ${message}`}</td><td class="figures">${score === null ? "–" : between(score)}</td>
<td class="figures">${ratio === null ? "–" : between(ratio)}</td><td>${winner === null ? "none" : html`<code>${winner}</code>`}</td></tr>
`,
    ),
  );

/** Lines of a diff that a page shows; more help nobody. */
const mostLines = 3_000;

function lineDiff({ title, hunks }: LineDiff): Html {
  const lines = hunks?.flatMap(({ head, lines }) => [head, ...lines]) ?? [];
  const words =
    hunks === null
      ? "The two differ too much for a line diff to say anything."
      : lines.length === 0
        ? "The two are the same, line by line."
        : lines.length > mostLines
          ? `Cut: ${lines.length - mostLines} more lines.`
          : null;
  return html`<h3>${title}</h3>
${lines.length === 0 ? null : html`<pre class="diff" tabindex="0" role="group" aria-label="${title}">${lines.slice(0, mostLines).map(diffLine)}</pre>`}
${words && html`<p class="quiet">${words}</p>`}`;
}

const diffLine = (line: string): Html =>
  line.startsWith("+")
    ? html`<ins>${line}</ins>`
    : line.startsWith("-")
      ? html`<del>${line}</del>`
      : line.startsWith("@@")
        ? html`<span class="hunk">${line}</span>`
        : html`<span>${line}</span>`;
