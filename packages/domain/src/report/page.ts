import { utf8ToBytes } from "@noble/hashes/utils.js";
import { sha256Base64 } from "../digest.ts";
import { problemName } from "../problem.ts";
import { repliesFrom } from "../search/options.ts";
import { standing } from "../search/standing.ts";
import { attemptsSection, lessonsSection } from "./attempts.ts";
import { costSection } from "./cost.ts";
import { curveSection } from "./curve.ts";
import { evidenceSection } from "./evidence.ts";
import {
  confirmationWords,
  meanWords,
  type RunReport,
  recordedWords,
  runFacts,
  statusWords,
  yardstick,
} from "./facts.ts";
import { type Html, html } from "./html.ts";
import { descriptionOf } from "./problem.ts";
import { datasetWords, reproduction } from "./reproduce.ts";
import { script } from "./script.ts";
import { commandBox, facts } from "./source.ts";
import { style } from "./style.ts";
import { treeSection } from "./tree.ts";
import { winnerSection } from "./winner.ts";
import { count, cut, times } from "./words.ts";

/** A page grows no larger than this, bytes, as long as shorter texts can prevent it. */
const largest = 1_900_000;

/** Characters of one text of a model or a log, the fullest first. Sources are never cut. */
const limits = [4_000, 1_000, 300];

/**
 * What a run found and why, as one page that needs nothing else and asks nobody for anything: opened from a disk, sent by
 * mail, kept. Its policy lets only its own script and style run, by their digests; every word of models, kernels and logs
 * is escaped (`html`).
 */
export function reportHtml(report: RunReport): string {
  let made = "";
  for (const limit of limits) {
    made = page(report, limit).markup;
    if (utf8ToBytes(made).length <= largest) break;
  }
  return made;
}

/** Markup that this floor itself wrote: a style sheet or a script, neither of which knows escapes. */
const verbatim = (markup: string): Html => ({ markup });

function page(report: RunReport, limit: number): Html {
  const policy = `default-src 'none'; script-src 'sha256-${sha256Base64(script)}'; style-src 'sha256-${sha256Base64(style)}'; base-uri 'none'; form-action 'none'`;
  const sections: [id: string, name: string, content: Html][] = [
    ["curve", "Curve", curveSection(report)],
    ["world-model", "World model", html`<div class="tree-tools"></div>${treeSection(report, limit)}`],
    ["winner", "Winner", winnerSection(report)],
    ["evidence", "Evidence", evidenceSection(report, limit)],
    ["cost", "Cost", costSection(report)],
    ["attempts", "Attempts", attemptsSection(report, limit)],
    ["lessons", "Lessons", lessonsSection(report, limit)],
    ["reproduce", "Reproduce", reproduceSection(report)],
  ];
  return html`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${titleOf(report)}</title>
<style>${verbatim(style)}</style>
</head>
<body>
${head(report, limit)}
<nav aria-label="Sections"><ul>${sections.map(([id, name]) => html`<li><a href="#${id}">${name}</a></li>`)}</ul></nav>
<main>
${sections.map(
  ([id, name, content]) => html`<section id="${id}" aria-labelledby="${id}-head"><h2 id="${id}-head">${name}</h2>
${content}
</section>
`,
)}</main>
<footer><p>Made by ksearch from the log of ${report.state.runId}, as of event ${report.state.seq}. This page holds everything that it shows and loads nothing.</p></footer>
<script>${verbatim(script)}</script>
</body>
</html>
`;
}

function titleOf({ state, problem }: RunReport): string {
  const best = standing(state);
  const label = state.options.recordedReplies ? " (recorded replies)" : "";
  return `${best === null ? "" : `${times(best.score)} `}${problemName(problem)}${label} · ksearch`;
}

function head(report: RunReport, limit: number): Html {
  const { state, problem, winner } = report;
  const best = standing(state);
  const recorded = recordedWords(state);
  const description = descriptionOf(problem);
  const doubts = winner?.verdict?.guards.filter(({ level }) => level !== "info").length ?? 0;
  const mark = best?.confirmed ? html`<span class="good">✓</span>` : html`<span class="bad">○</span>`;
  return html`<header>
<p class="above">${state.runId} · ${repliesFrom(state.options)}</p>
<h1>${problemName(problem)}</h1>
${description === "" ? null : html`<p class="lede">${cut(description, Math.min(limit, 600))}</p>`}
${recorded && html`<p class="label"><strong>Recorded replies.</strong> ${recorded}</p>`}
${state.status === "succeeded" ? null : html`<p class="label">${statusWords(state)}</p>`}
<div class="hero">
<p class="result">${best === null ? html`<span class="of">No kernel to show</span>` : html`<span class="speed">${best.score.toFixed(2)}<small>×</small></span> <span class="of">${yardstick(state)}'s speed</span>`}
<span class="quiet">${best && html`${meanWords(state, problem)}, `}${mark} ${confirmationWords(state)}</span>
${doubts === 0 ? null : html`<a class="doubt" href="#evidence">${count(doubts, "note")} of the referee beside the figures</a>`}</p>
${facts(runFacts(report))}
</div>
</header>`;
}

const reproduceSection = (report: RunReport): Html =>
  html`<p>Problem digest <code>${report.state.problemDigest}</code>. ${datasetWords}</p>
${reproduction(report).map(({ what, command }) => html`<h3>${what}</h3>${commandBox("shell", command)}`)}`;
