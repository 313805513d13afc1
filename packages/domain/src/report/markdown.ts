import { costLines } from "../costs.ts";
import { problemName } from "../problem.ts";
import { attemptLine } from "../prompts/view.ts";
import { standing } from "../search/standing.ts";
import type { Attempt, RunState } from "../search/state.ts";
import { curve } from "../search/summary.ts";
import {
  confirmationWords,
  meanWords,
  type RunReport,
  recordedWords,
  runFacts,
  type Winner,
  yardstick,
} from "./facts.ts";
import { failureClasses } from "./failures.ts";
import { duelLine, treeLines } from "./lines.ts";
import { shortId, sizesOf } from "./problem.ts";
import { datasetWords, reproduction } from "./reproduce.ts";
import { visible } from "./visible.ts";
import { cut, dollars } from "./words.ts";

/** What a run found and why, in Markdown: for people, with the evidence beside every figure. */
export function reportMarkdown(report: RunReport): string {
  const { state, problem, winner } = report;
  const best = standing(state);
  const recorded = recordedWords(state);
  const parts = [
    `# ${problemName(problem)}`,
    recorded === null ? `Model: ${plain(state.options.modelLabel)}.` : `> **Recorded replies.** ${plain(recorded)}`,
    best === null
      ? `${confirmationWords(state)} The attempts below say why.`
      : `**${best.score.toFixed(2)} times ${yardstick(state)}'s speed**, the ${meanWords(state, problem)}, ${confirmationWords(state)}.`,
    table(["", ""], runFacts(report)),
    winner === null ? "" : evidence(winner),
    duels(state),
    `## Best score over attempts\n\n\`\`\`\n${plot(state)}\n\`\`\``,
    `## World model\n\n${plain(state.tree.kernelSummary)}\n\n\`\`\`\n${treeLines(state).join("\n")}\n\`\`\``,
    `## Attempts\n\n${state.attempts.map((attempt) => `- \`${attempt.nodeId}\` ${plain(`${draftedBy(attempt)}${attemptLine(attempt)}`)}`).join("\n")}`,
    failures(state),
    `## Cost\n\n${costTable(report)}`,
    `## Reproduce\n\nProblem digest ${state.problemDigest}. ${datasetWords}\n\n${reproduction(report)
      .map(({ what, command }) => `${what}:\n\n\`\`\`sh\n${command}\n\`\`\``)
      .join("\n\n")}`,
  ];
  return visible(`${parts.filter((part) => part !== "").join("\n\n")}\n`);
}

/** Which model drafted an attempt, where the run has several. */
const draftedBy = ({ model }: Attempt): string => (model === null ? "" : `${model}, `);

/** Words of models, kernels and logs as one line of text that is neither HTML nor a link, a table cell or code. */
const plain = (text: string): string =>
  visible(text)
    .replace(/\s+/g, " ")
    .trim()
    .replace(/[\\`<>[\]|]/g, "\\$&");

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => "---"), ...rows.map((row) => row.map(plain))].map((row) => `| ${row.join(" | ")} |`).join("\n");

function evidence({ verdict, confirmed }: Winner): string {
  if (verdict?.status !== "passed") return "";
  const us = (ns: number | undefined) => (ns === undefined ? "–" : (ns / 1_000).toFixed(1));
  const rows = verdict.workloads.map((workload) => [
    shortId(workload.id),
    sizesOf(workload),
    us(workload.call?.medianNs),
    us(workload.referenceCall?.medianNs),
    workload.speedup?.toFixed(2) ?? "–",
    `${workload.correctness?.checkedTimed ?? 0}`,
  ]);
  const { env, score } = verdict;
  const interval =
    score === null
      ? ""
      : ` 95 % interval of its score, within its one process: ${score.low.toFixed(3)} to ${score.high.toFixed(3)}.`;
  const doubts = verdict.guards.filter(({ level }) => level !== "info");
  return [
    confirmed ? "## Confirmation" : "## Verdict in the search",
    table(["workload", "sizes", "kernel µs", "reference µs", "speed-up", "outputs checked"], rows),
    `The last one.${interval} Seed ${verdict.seed}. ${plain(`${env.gpu ?? env.cpu}, ${env.cpuCount} cores, ${env.compiler ?? "no compiler"} (${env.compilerFlags.join(" ")}), referee ${env.harnessVersion}`)}.`,
    doubts.length === 0
      ? ""
      : `What the referee noted beside the figures:\n\n${doubts.map((guard) => `- ${plain(`${guard.id}: ${guard.evidence}`)}`).join("\n")}`,
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}

function duels(state: RunState): string {
  if (state.duels.length === 0) return "";
  return `Finalists:\n\n${state.duels.map((duel) => `- ${duelLine(duel)}`).join("\n")}`;
}

function failures(state: RunState): string {
  const classes = failureClasses(state);
  if (classes.length === 0) return "";
  const rows = classes.map(({ status, attempts }) => [
    status,
    `${attempts.length}`,
    cut(attempts.at(-1)?.message ?? "", 200),
  ]);
  return `## What failed\n\n${table(["how", "attempts", "the latest"], rows)}`;
}

function costTable({ usage }: RunReport): string {
  const rows = costLines(usage).map((line) => [
    line.to === "referee" ? `referee (${line.model})` : line.model,
    line.purpose,
    `${line.calls}`,
    line.to === "referee" ? "–" : `${line.inputTokens}`,
    line.to === "referee" ? "–" : `${line.outputTokens}`,
    dollars(line.costMicroUsd),
  ]);
  return table(["asked", "for", "calls", "tokens in", "tokens out", "cost"], rows);
}

/** The curve of the best score as text, at most 60 columns and 10 rows. */
function plot(state: RunState): string {
  const points = curve(state).map((point) => point.best ?? 0);
  const top = Math.max(...points, 1);
  const columns = Math.min(60, points.length);
  const sampled = Array.from(
    { length: columns },
    (_, column) => points[Math.floor(((column + 1) * points.length) / columns) - 1] ?? 0,
  );
  const rows = Array.from({ length: 10 }, (_, row) => {
    const level = ((10 - row) / 10) * top;
    const label = row % 3 === 0 ? level.toFixed(2).padStart(7) : " ".repeat(7);
    return `${label} │${sampled.map((value) => (value >= level - top / 20 ? "█" : " ")).join("")}`;
  });
  return points.length === 0
    ? "no attempt was judged"
    : [...rows, `        └${"─".repeat(columns)} ${points.length} attempts`].join("\n");
}
