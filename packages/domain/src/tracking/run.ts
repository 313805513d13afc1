import { type Problem, problemDigest, problemName, workloadsOf } from "../problem.ts";
import { repliesFrom } from "../search/options.ts";
import type { RunState } from "../search/state.ts";
import type { TrackedRun } from "./records.ts";

/** What a tracker keeps of the run as a whole: K-Search's configuration under its own names, and ours below `ksearch/`. */
export function trackedRun({ runId, options, seedKernelId }: RunState, problem: Problem, folder: string): TrackedRun {
  const name = problemName(problem);
  const policy: string = options.policy;
  return {
    runId,
    config: {
      task: { name, format: problem.format, workloads: workloadsOf(problem).length },
      generator: { model_name: options.modelLabel, language: options.language, target_gpu: options.device },
      max_opt_rounds: options.budgetAttempts,
      continue_from_solution: seedKernelId,
      continue_from_world_model: null,
      enable_world_model: policy !== "plain",
      wm_stagnation_window: options.attemptsPerNode.base,
      wm_max_difficulty: null,
      save_results: true,
      save_solutions: true,
      num_eval_workload: null,
      artifacts_dir: folder,
      "ksearch/run": runId,
      "ksearch/problemDigest": problemDigest(problem),
      "ksearch/policy": policy,
      "ksearch/replies": repliesFrom(options),
      "ksearch/recordedReplies": options.recordedReplies,
      "ksearch/options": options,
    },
    tags: ["ksearch", name, ...(options.recordedReplies ? ["recorded replies"] : [])],
  };
}
