import { type Format, problemName } from "../problem.ts";
import type { RunOptions } from "../search/options.ts";
import { standing } from "../search/standing.ts";
import type { RunReport } from "./facts.ts";

/** The flags of `ksearch run` that ask for these options; where the replies and a beginning came from is not among them. */
export function runFlags(options: RunOptions, format: Format): string[] {
  const { policy, attemptsPerNode, evaluation } = options;
  const { correctness, timing } = evaluation;
  const trials = { flashinfer: "--num-trials", kernelbench: "--kernelbench-num-correct-trials", gpumode: null }[format];
  const isFlashInfer = format === "flashinfer";
  const flags: [string | null, string | number | boolean | null][] = [
    ["--policy", policy],
    ["--lanes", options.lanes],
    ["--budget-attempts", options.budgetAttempts],
    ["--budget-usd", options.budgetMicroUsd === null ? null : options.budgetMicroUsd / 1e6],
    ["--attempts-per-node", policy === "lanes" ? `${attemptsPerNode.base}-${attemptsPerNode.max}` : null],
    ["--wm-stagnation-window", policy === "ksearch" ? options.stagnationWindow : null],
    ["--wm-max-difficulty", policy === "plain" ? null : options.maxDifficulty],
    ["--target-score", options.targetScore],
    ["--patience", options.patience],
    ["--confirm-top", options.confirmTop],
    ["--iterations", timing.iterations],
    ["--warmup-runs", timing.warmup],
    [trials, correctness.trials],
    ["--rtol", isFlashInfer ? correctness.rtol : null],
    ["--atol", isFlashInfer ? correctness.atol : null],
    ["--use-isolated-runner", evaluation.isolateWorkloads],
    ["--parallel-workloads", evaluation.parallelWorkloads > 1],
    ["--max-parallel-workloads", evaluation.parallelWorkloads > 1 ? evaluation.parallelWorkloads : null],
    ["--feedback-trace-policy", evaluation.feedbackOrder === "first" ? null : evaluation.feedbackOrder],
    ["--baseline-solution", options.baseline?.solution ?? null],
    ["--language", options.language],
    ["--target-gpu", options.device],
    ["--seed", options.seed],
    ["--max-output-tokens", options.maxOutputTokens],
    ["--llm-timeout", options.llmTimeoutMs / 1_000],
  ];
  return flags.flatMap(([flag, value]) => {
    if (flag === null || value === null || value === false) return [];
    return value === true ? [flag] : [flag, `${value}`];
  });
}

/** Commands that do again what a report tells of, each with what it is for. */
export function reproduction({ state, problem }: RunReport): { what: string; command: string }[] {
  const { runId, options } = state;
  const name = problemName(problem);
  const judge = {
    what: "Time the kernel on your own machine (solution.json lies in the result folder)",
    command: `npx ksearch judge ${name} solution.json`,
  };
  return [
    ...(standing(state) === null ? [] : [judge]),
    {
      what: "Search again with the same words of the model: take them down as a transcript, then replay it",
      command: `npx ksearch transcript ${runId} > transcript.jsonl\nnpx ksearch run ${[name, ...runFlags(options, problem.format), "--transcript", "transcript.jsonl"].join(" ")}`,
    },
    { what: "Read the whole log, event by event", command: `npx ksearch show ${runId}` },
  ];
}
