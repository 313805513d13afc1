import type { KernelId } from "./kernel.ts";
import { type Problem, problemName, workloadsOf } from "./problem.ts";
import { attemptLine } from "./prompts/view.ts";
import type { Verdict } from "./referee/verdict.ts";
import { confirmedScores, duelMargin, standing } from "./search/standing.ts";
import type { Attempt, Duel, RunState } from "./search/state.ts";
import { curve } from "./search/summary.ts";
import { childrenOf, type TreeNode } from "./tree/node.ts";

/** What a run found and why, in Markdown: for people, with the evidence beside every figure. */
export function reportMarkdown(state: RunState, problem: Problem, confirmation: Verdict | null): string {
  const { options } = state;
  const best = standing(state);
  return [
    `# ${problemName(problem)}`,
    options.recordedReplies
      ? `> **Recorded replies.** The model's words were replayed from a transcript (${options.modelLabel}). Everything else is real: the compiler, the referee, every time below was measured on this machine. Figures inside the model's own words (notes, forecasts) are those of the machine of the recording.`
      : `Model: ${options.modelLabel}.`,
    best === null
      ? `No kernel ${state.best === null ? "passed" : "held on fresh seeds"}. The attempts below say why.`
      : `**${best.score.toFixed(2)} times the reference's speed**, the geometric mean over ${workloadsOf(problem).filter(({ timed }) => timed).length} workloads, ${best.confirmed ? confirmedWords(state, best.kernelId) : "as measured in the search, not confirmed"}.`,
    table([
      ["run", state.runId],
      [
        "status",
        state.pause === null
          ? [state.status, state.reason].filter(Boolean).join(": ")
          : `paused: ${state.pause.message}`,
      ],
      ["policy", `${options.policy}, ${state.lanes} lanes, seed ${options.seed}`],
      ["attempts", `${state.judged} of at most ${options.budgetAttempts}`],
      ["model calls / evaluations", `${state.callsMade.llm} / ${state.callsMade.referee}`],
      ["cost", `$${(state.spentMicroUsd / 1e6).toFixed(4)}`],
      ["wall clock", `${((state.updatedAtMs - state.startedAtMs) / 1_000).toFixed(0)} s`],
      ["device", options.device],
    ]),
    evidence(confirmation),
    duels(state),
    `## Best score over attempts\n\n\`\`\`\n${plot(state)}\n\`\`\``,
    `## World model\n\n${state.tree.kernelSummary}\n\n\`\`\`\n${treeLines(state).join("\n")}\n\`\`\``,
    `## Attempts\n\n${state.attempts.map((attempt) => `- \`${attempt.nodeId}\` ${draftedBy(attempt)}${attemptLine(attempt)}`).join("\n")}`,
    `## Reproduce\n\n\`npx ksearch judge ${problemName(problem)} solution.json\` times this kernel on your machine; \`npx ksearch show ${state.runId}\` reads the whole log.`,
  ]
    .filter((part) => part !== "")
    .join("\n\n")
    .concat("\n");
}

/** Which model drafted an attempt, where the run has several. */
const draftedBy = ({ model }: Attempt): string => (model === null ? "" : `${model}, `);

function confirmedWords(state: RunState, kernelId: KernelId): string {
  const scores = confirmedScores(state, kernelId).map((score) => score.toFixed(2));
  const mean = scores.length === 1 ? "" : `, the geometric mean of ${scores.join(" and ")}`;
  return `confirmed on fresh secret seeds, timed interleaved with its rivals${mean}`;
}

const table = (rows: [string, string][]): string =>
  ["| | |", "|---|---|", ...rows.map(([name, value]) => `| ${name} | ${value} |`)].join("\n");

function evidence(verdict: Verdict | null): string {
  if (verdict?.status !== "passed") return "";
  const us = (ns: number | undefined) => (ns === undefined ? "–" : (ns / 1_000).toFixed(1));
  const rows = verdict.workloads.map(
    (workload) =>
      `| ${workload.id.slice(0, 8)} | ${Object.entries(workload.axes)
        .map(([axis, size]) => `${axis} ${size}`)
        .join(
          ", ",
        )} | ${us(workload.call?.medianNs)} | ${us(workload.referenceCall?.medianNs)} | ${workload.speedup?.toFixed(2) ?? "–"} | ${workload.correctness?.checkedTimed ?? 0} |`,
  );
  const { env } = verdict;
  const doubts = verdict.guards
    .filter(({ level }) => level !== "info")
    .map(({ id, evidence }) => `- ${id}: ${evidence}`);
  return [
    "## Confirmation",
    "| workload | sizes | kernel µs | reference µs | speed-up | outputs checked |\n|---|---|---|---|---|---|",
    rows.join("\n"),
    `\nThe last confirmation. 95 % interval of its score, within its one process: ${verdict.score?.low.toFixed(3)} to ${verdict.score?.high.toFixed(3)}. Seed ${verdict.seed}. ${env.gpu ?? env.cpu}, ${env.cpuCount} cores, ${env.compiler ?? "no compiler"} (${env.compilerFlags.join(" ")}), referee ${env.harnessVersion}.`,
    doubts.length === 0 ? "" : `\nWhat the referee noted beside the figures:\n${doubts.join("\n")}`,
  ].join("\n");
}

function duels(state: RunState): string {
  if (state.duels.length === 0) return "";
  return `Finalists:\n${state.duels.map((duel) => `- ${duelLine(duel)}`).join("\n")}`;
}

/** One confirmation in a line: against whom, how it went, who stands and, where the figures alone would not say it, why. */
export function duelLine({ kernelId, rivalId, status, score, ratio, winner }: Omit<Duel, "message">): string {
  const against = rivalId === null ? "alone" : `against ${rivalId}`;
  const at = score === null ? "" : ` at ${score.value.toFixed(2)}×`;
  const compared =
    ratio === null
      ? ""
      : `, ${ratio.value.toFixed(3)} times its speed (${ratio.low.toFixed(3)} to ${ratio.high.toFixed(3)})`;
  const stands = winner === null ? "no kernel stands" : `${winner} stands`;
  const even = winner === kernelId && ratio !== null && ratio.high < 1;
  const why = even ? ` (a rival takes over at ${duelMargin * 100} % beyond the interval)` : "";
  return `${kernelId} ${against}: ${status}${at}${compared}; ${stands}${why}`;
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

/** The tree with one node a line: mark, id, title, measured score. ✓ solved, ✗ tried in vain, ○ open. */
export function treeLines(state: RunState): string[] {
  const { tree } = state;
  const starred = standing(state);
  const mark = (node: TreeNode) =>
    node.solution ? "✓" : node.failures > 0 ? "✗" : node.attempts.length > 0 ? "…" : "○";
  const line = (node: TreeNode): string => {
    const isBest = node.solution !== null && node.solution.kernelId === starred?.kernelId;
    const confirmed = isBest && starred.confirmed ? ` in the search, ${starred.score.toFixed(2)}× confirmed` : "";
    const measured = node.solution?.score?.toFixed(2).concat("×") ?? "imported";
    const score = node.solution ? `  ${measured}${confirmed}` : "";
    const by = node.solution === null ? null : (state.attempts[node.solution.attempt - 1]?.model ?? null);
    const best = isBest ? "  ★ best" : "";
    const last = node.solution ? null : (state.attempts[(node.attempts.at(-1) ?? 0) - 1]?.status ?? null);
    const tried =
      node.attempts.length > 0
        ? `  (${node.attempts.length} attempt${node.attempts.length === 1 ? "" : "s"}${last === null ? "" : `, last ${last}`})`
        : "";
    return node.parentId === null
      ? node.nodeId
      : `${mark(node)} ${node.nodeId}: ${node.action?.title ?? node.choice}${score}${by === null ? "" : ` by ${by}`}${tried}${best}`;
  };
  const walk = (node: TreeNode, indent: string, branch: string): string[] => {
    const children = childrenOf(tree, node.nodeId);
    return [
      `${branch}${line(node)}`,
      ...children.flatMap((child, index) => {
        const last = index === children.length - 1;
        return walk(child, `${indent}${last ? "   " : "│  "}`, `${indent}${last ? "└─ " : "├─ "}`);
      }),
    ];
  };
  const root = tree.nodes.get(tree.rootId);
  return root ? walk(root, "", "") : [];
}
