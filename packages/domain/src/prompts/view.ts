import { type Attempt, attemptOf, type RunState } from "../search/state.ts";
import { writeAction } from "../tree/document.ts";
import { frontier, pathTo, type TreeNode } from "../tree/node.ts";

/**
 * The world model as prompts show it: one JSON object, always valid, never cut in the middle. Parts enter by relevance
 * until the budget is used (spec/ksearch.md 3.5 lists what the original dropped: notes, descriptions, scores of the
 * frontier; they come first here). What did not fit is counted in `left_out`.
 */
export function treeView(state: RunState, focusId: string | null, maxChars: number): string {
  const { tree } = state;
  const path = focusId === null ? [] : pathTo(tree, focusId);
  const onPath = new Set(path.map((node) => node.nodeId));
  const open = frontier(tree)
    .filter((node) => !onPath.has(node.nodeId))
    .sort((a, b) => (b.action?.score ?? 0) - (a.action?.score ?? 0));
  const solved = [...tree.nodes.values()]
    .filter((node) => node.solution !== null && !onPath.has(node.nodeId))
    .sort((a, b) => (b.solution?.score ?? 0) - (a.solution?.score ?? 0));
  const waiting = [...tree.nodes.values()].filter(
    (node) => !onPath.has(node.nodeId) && node.solution === null && node.parentId !== null && !open.includes(node),
  );
  const view = {
    kernel_summary: tree.kernelSummary,
    open_questions: [] as string[],
    root_id: tree.rootId,
    best: state.best && { solution: state.best.kernelId, score: state.best.score, attempt: state.best.attempt },
    path: [] as object[],
    open_actions: [] as object[],
    solved: [] as object[],
    not_yet_reachable: [] as object[],
    lessons: [] as string[],
    left_out: 0,
  };
  // 4: more digits of `left_out`
  let used = JSON.stringify(view).length + 4;
  /** Each item comes in one or more forms, the fullest first; the first that fits is taken. */
  const add = <T extends object | string>(list: T[], items: readonly (readonly T[])[]) => {
    for (const forms of items) {
      const form = forms.find((one) => used + JSON.stringify(one).length + 1 <= maxChars);
      if (form === undefined) view.left_out += 1;
      else {
        list.push(form);
        used += JSON.stringify(form).length + 1;
      }
    }
  };
  const both = (node: TreeNode) => [detail(state, node), brief(node)];
  add(view.path, path.map(both));
  add(view.open_actions, open.slice(0, 4).map(both));
  add(view.solved, solved.slice(0, 4).map(both));
  add(
    view.lessons,
    lessons(state).map((line) => [line]),
  );
  add(
    view.open_questions,
    tree.openQuestions.map((question) => [question]),
  );
  add(
    view.open_actions,
    open.slice(4).map((node) => [brief(node)]),
  );
  add(
    view.solved,
    solved.slice(4).map((node) => [brief(node)]),
  );
  add(
    view.not_yet_reachable,
    waiting.map((node) => [brief(node)]),
  );
  return JSON.stringify(view);
}

const brief = (node: TreeNode) => ({
  node_id: node.nodeId,
  parent_id: node.parentId,
  title: node.action?.title ?? null,
  score_0_to_1: node.action?.score ?? null,
  measured_score: node.solution?.score ?? null,
  failures: node.failures,
});

const detail = (state: RunState, node: TreeNode) => ({
  node_id: node.nodeId,
  parent_id: node.parentId,
  decision: node.decision,
  choice: node.choice,
  overall_rating_0_to_10: node.rating,
  confidence_0_to_1: node.confidence,
  notes: node.notes,
  action: node.action && writeAction(node.action),
  measured_score: node.solution?.score ?? null,
  failures: node.failures,
  attempts: node.attempts.slice(-4).map((number) => attemptLine(attemptOf(state, number))),
});

/** One attempt in a line: what was tried, what came out, forecast against measured. */
export const attemptLine = (attempt: Attempt): string => {
  const outcome =
    attempt.status === null
      ? "still running"
      : attempt.score === null
        ? attempt.status
        : `passed, score ${attempt.score.value.toFixed(3)}`;
  const forecast =
    attempt.forecast !== null && attempt.score !== null ? `, forecast ${attempt.forecast.toFixed(2)}` : "";
  return `attempt ${attempt.attempt} (${attempt.kind}): ${outcome}${forecast}${attempt.message === "" ? "" : `: ${attempt.message.slice(0, 160)}`}`;
};

/** The latest distinct failures of the run, newest first: what not to do again. */
function lessons(state: RunState): string[] {
  const seen = new Set<string>();
  const lines: string[] = [];
  for (const attempt of state.attempts.toReversed()) {
    if (attempt.status === null || attempt.status === "passed" || attempt.message === "" || lines.length === 8)
      continue;
    const line = `${attempt.nodeId}: ${attempt.status}: ${attempt.message.slice(0, 200)}`;
    if (!seen.has(line)) lines.push(line);
    seen.add(line);
  }
  return lines;
}
