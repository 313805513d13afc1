import { type Kernel, toSolution } from "../kernel.ts";
import { repliesFrom } from "../search/options.ts";
import { standing } from "../search/standing.ts";
import type { RunState } from "../search/state.ts";
import { writeDocument } from "../tree/document.ts";
import type { TrackedArtifact } from "./records.ts";
import { hasWorldModel } from "./run.ts";
import type { Judged } from "./values.ts";

/** The code of a passing attempt as K-Search keeps it: names, folders and metadata are its own (spec/ksearch.md 6). */
export function codeArtifact(state: RunState, judged: Judged, kernel: Kernel, reply: string): TrackedArtifact {
  const { attempt, model } = judged;
  const round = attempt.attempt;
  const solution = attempt.kernelId ?? "";
  const task = state.problem;
  const withWorldModel = hasWorldModel(state.options);
  const { language, device } = state.options;
  return {
    seq: state.seq,
    name: plainName(withWorldModel ? `r${round}_code` : `${task.slice(0, 32)}_r${round}_${solution.slice(-32)}_code`),
    type: "generated-code",
    metadata: {
      definition: task,
      round,
      solution,
      language,
      target_gpu: device,
      ...(withWorldModel ? { wm_enabled: true } : {}),
      "ksearch/run": state.runId,
      "ksearch/model": attempt.model ?? model,
      "ksearch/recordedReplies": state.options.recordedReplies,
    },
    files: {
      ...below("clean", kernel),
      "raw/raw_code.txt": reply,
      "eval/round_summary.txt": roundSummary(state, judged),
      ...(withWorldModel ? { "wm/world_model.json": worldModelText(state) } : {}),
    },
  };
}

/** The tree as it is now, in K-Search's own document. */
export const worldModelArtifact = (state: RunState): TrackedArtifact => ({
  seq: state.seq,
  name: plainName(`${state.runId}-world-model`),
  type: "world-model",
  metadata: { definition: state.problem, "ksearch/run": state.runId, "ksearch/attempts": state.judged },
  files: { "world_model.json": worldModelText(state) },
});

/** The kernel that stands at the end. */
export function bestArtifact(state: RunState, kernel: Kernel): TrackedArtifact {
  const best = standing(state);
  const description = repliesFrom(state.options);
  const solution = toSolution(kernel, { name: `${state.runId}_${best?.kernelId}`, author: "ksearch", description });
  return {
    seq: state.seq,
    name: "ksearch-best",
    type: "generated-code",
    metadata: {
      definition: state.problem,
      solution: best?.kernelId ?? null,
      language: state.options.language,
      target_gpu: state.options.device,
      "ksearch/run": state.runId,
      "ksearch/score": best?.score ?? null,
      "ksearch/confirmed": best?.confirmed ?? false,
      "ksearch/recordedReplies": state.options.recordedReplies,
    },
    files: { ...below("clean", kernel), "solution.json": JSON.stringify(solution, null, 2) },
  };
}

const below = (folder: string, { files }: Kernel): Record<string, string> =>
  Object.fromEntries(files.map(({ path, content }) => [`${folder}/${path}`, content]));

const worldModelText = ({ tree }: RunState): string => JSON.stringify(writeDocument(tree), null, 2);

/** What came of a round, a line a fact; figures that the verdict does not have are left out. */
function roundSummary(state: RunState, { attempt, verdict }: Judged): string {
  const aggregate = verdict?.status === "passed" ? verdict.aggregate : null;
  const lines: [string, string | number | null | undefined][] = [
    ["round", attempt.attempt],
    ["node", attempt.nodeId],
    ["action", state.tree.nodes.get(attempt.nodeId)?.action?.title],
    ["status", attempt.status],
    ["latency_ms", aggregate && (aggregate.geomeanCallNs / 1e6).toFixed(6)],
    ["vs_baseline", aggregate?.meanVsBaseline?.toFixed(3)],
    ["speedup_vs_ref", aggregate?.meanSpeedup.toFixed(3)],
    ["score", attempt.score?.value.toFixed(4)],
    ["interval", attempt.score && `${attempt.score.low.toFixed(4)} to ${attempt.score.high.toFixed(4)}`],
    ["replies", repliesFrom(state.options)],
  ];
  return lines.flatMap(([name, value]) => (value == null ? [] : [`${name}: ${value}\n`])).join("");
}

/** A name of letters, digits, `_`, `-` and `.` only, as trackers take them. */
const plainName = (name: string): string => name.replace(/[^A-Za-z0-9_.-]/g, "_");
