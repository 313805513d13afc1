import { type Problem, problemDigest, problemName, workloadsOf } from "../problem.ts";
import { type RunOptions, repliesFrom } from "../search/options.ts";
import type { RunState } from "../search/state.ts";
import type { TrackedRun } from "./records.ts";

/** What was asked for beside the search itself, under K-Search's names for it. */
export type RunFacts = {
  readonly artifacts_dir: string;
  /** Where the world model came from that the run began with. */
  readonly continue_from_world_model: string | null;
  readonly save_results: boolean;
  readonly save_solutions: boolean;
  readonly num_eval_workload: number | null;
};

/** What a tracker keeps of the run as a whole: K-Search's configuration under its own names, and ours below `ksearch/`. */
export function trackedRun({ runId, options, seedKernelId }: RunState, problem: Problem, facts: RunFacts): TrackedRun {
  const name = problemName(problem);
  return {
    runId,
    config: {
      task: { name, format: problem.format, workloads: workloadsOf(problem).length },
      generator: { model_name: options.modelLabel, language: options.language, target_gpu: options.device },
      max_opt_rounds: options.budgetAttempts,
      continue_from_solution: seedKernelId,
      enable_world_model: hasWorldModel(options),
      wm_stagnation_window: options.stagnationWindow,
      wm_max_difficulty: options.maxDifficulty,
      ...facts,
      "ksearch/run": runId,
      "ksearch/problemDigest": problemDigest(problem),
      "ksearch/policy": options.policy,
      "ksearch/replies": repliesFrom(options),
      "ksearch/recordedReplies": options.recordedReplies,
      "ksearch/options": options,
    },
    tags: ["ksearch", name, ...(options.recordedReplies ? ["recorded replies"] : [])],
  };
}

/** False for the plain loop: there is no tree to show. */
export const hasWorldModel = ({ policy }: Pick<RunOptions, "policy">): boolean => policy !== "plain";
