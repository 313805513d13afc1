import { attemptLine } from "../prompts/view.ts";
import { standing } from "../search/standing.ts";
import { attemptOf, type RunState } from "../search/state.ts";
import { childrenOf, type Impacts, pathTo, type TreeNode } from "../tree/node.ts";
import type { RunReport } from "./facts.ts";
import { type Html, html } from "./html.ts";
import { nodeMark } from "./lines.ts";
import { outcomeMark } from "./outcome.ts";
import { count, cut, dollars, times } from "./words.ts";

/** What all nodes are drawn with: the path to the best kernel, the scale of the bars, the length of texts. */
type Drawing = { state: RunState; onPath: ReadonlySet<string>; bestId: string | null; top: number; limit: number };

/** The world model: a row a node that opens to its notes, action and attempts, with the nodes below it indented. */
export function treeSection({ state }: RunReport, limit: number): Html {
  const { tree } = state;
  const root = tree.nodes.get(tree.rootId);
  if (!root) return html`<p>There is no world model yet.</p>`;
  const best = standing(state);
  const nodes = [...tree.nodes.values()];
  const bestId = nodes.find(({ solution }) => solution && solution.kernelId === best?.kernelId)?.nodeId ?? null;
  const onPath = new Set(bestId === null ? [] : pathTo(tree, bestId).map(({ nodeId }) => nodeId));
  const scores = nodes.flatMap((node) => [node.solution?.score ?? 0, forecastOf(state, node) ?? 0]);
  const drawing: Drawing = { state, onPath, bestId, top: Math.max(...scores, 1), limit };
  return html`${paragraph(null, tree.kernelSummary, limit)}
<p class="quiet">✓ solved &nbsp; ✗ tried in vain &nbsp; … at work &nbsp; ○ open. Bars: measured score, with the model's forecast as a tick. A node opens to its notes, its action and its attempts.</p>
<ul class="tree">${item(drawing, root)}</ul>
${tree.openQuestions.length === 0 ? null : html`<h3>Open questions</h3><ul>${tree.openQuestions.map((question) => html`<li>${cut(question, limit)}</li>`)}</ul>`}`;
}

function item(drawing: Drawing, node: TreeNode): Html {
  const { state, onPath } = drawing;
  const children = childrenOf(state.tree, node.nodeId);
  const solved = children.filter(({ solution }) => solution !== null).length;
  const below = children.length === 0 ? null : html`<ul>${children.map((child) => item(drawing, child))}</ul>`;
  return html`<li class="${onPath.has(node.nodeId) ? "path" : "aside"}">
<details class="node"><summary>${row(drawing, node)}</summary>
<div class="about">${about(drawing, node)}</div></details>
${
  children.length < 2
    ? below
    : html`<details class="below" open><summary>${count(children.length, "idea")} below, ${solved} solved</summary>
${below}</details>`
}</li>`;
}

function row({ state, bestId, top }: Drawing, node: TreeNode): Html {
  const isRoot = node.parentId === null;
  const mark = isRoot && node.solution === null ? "" : nodeMark(node);
  const tone = mark === "✓" ? "good" : mark === "✗" ? "bad" : "quiet";
  const attempts = node.attempts.map((number) => attemptOf(state, number));
  const cost = attempts.reduce((sum, { costMicroUsd }) => sum + costMicroUsd, 0);
  const measured = node.solution?.score ?? null;
  const forecast = forecastOf(state, node);
  const title = isRoot ? "the problem as a whole" : (node.action?.title ?? node.choice);
  const facts = [
    ...(attempts.length === 0 ? [] : [count(attempts.length, "attempt")]),
    ...(cost === 0 ? [] : [dollars(cost)]),
  ];
  return html`<span class="mark ${tone}">${mark}</span>
<span class="title">${title} <span class="id">${node.nodeId}</span>${node.nodeId === bestId ? html` <span class="flag">★ best</span>` : null}</span>
<span class="measure">${measured === null && forecast === null ? null : bar(measured, forecast, top)}
<span class="figure">${node.solution === null ? (isRoot ? "" : "–") : measured === null ? "imported" : times(measured)}</span>
<span class="quiet forecast">${forecast === null ? null : `forecast ${times(forecast)}`}</span></span>
<span class="quiet facts">${facts.join(", ")}</span>`;
}

/** What the model forecast for the attempt that solved the node, else what its action says now. */
const forecastOf = (state: RunState, { solution, action }: TreeNode): number | null =>
  (solution && solution.attempt > 0 ? attemptOf(state, solution.attempt).forecast : null) ??
  action?.expectedVsBaselineFactor ??
  null;

const bar = (measured: number | null, forecast: number | null, top: number): Html => {
  const share = (score: number) => Math.round((score / top) * 1_000) / 10;
  return html`<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect class="track" width="100" height="8"/>${
    measured === null ? null : html`<rect class="fill" width="${share(measured)}" height="8"/>`
  }${forecast === null ? null : html`<rect class="aim" x="${Math.max(0, share(forecast) - 3)}" width="3" height="8"/>`}</svg>`;
};

function about({ state, limit }: Drawing, node: TreeNode): Html {
  const { action } = node;
  return html`${paragraph("Decision", [node.decision, node.choice].filter(Boolean).join(": "), limit)}
${action && paragraph("Action", action.description, limit)}
${action && paragraph("Why", action.rationale, limit)}
${paragraph("Notes", node.notes, limit)}
${paragraph("Risks", risks(node.impacts), limit)}
${action && html`<p class="quiet">Difficulty ${action.difficulty} of 5, the model's own score ${action.score.toFixed(2)} of 1, rating ${node.rating} of 10, confidence ${node.confidence.toFixed(2)} of 1.</p>`}
${node.solution && html`<p class="quiet">Kernel <code>${node.solution.kernelId}</code>.</p>`}
${
  node.attempts.length === 0
    ? null
    : html`<ul class="tries">${node.attempts.map((number) => {
        const attempt = attemptOf(state, number);
        return html`<li>${outcomeMark(attempt.status)} ${cut(attemptLine(attempt), limit)}</li>`;
      })}</ul>`
}`;
}

const risks = (impacts: Impacts): string =>
  Object.values(impacts)
    .map(({ risk, notes }) => [risk, notes].filter(Boolean).join(": "))
    .filter(Boolean)
    .join(" · ");

const paragraph = (name: string | null, text: string, limit: number): Html | null =>
  text.trim() === ""
    ? null
    : html`<p class="words">${name && html`<b>${name}.</b>${text.includes("\n") ? "\n" : " "}`}${cut(text, limit)}</p>`;
