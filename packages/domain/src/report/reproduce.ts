import { type Problem, problemName } from "../problem.ts";
import type { RunOptions } from "../search/options.ts";
import { standing } from "../search/standing.ts";
import type { RunReport } from "./facts.ts";

type Flag = [name: string, value: string | number | boolean | null];

/**
 * The flags of `ksearch run` that ask for these options on this problem. Not among them: who answers, and where a problem
 * or a baseline of a dataset lies, and what the run began with, which are no part of its options.
 */
export function runFlags(options: RunOptions, problem: Problem): string[] {
  const { evaluation } = options;
  const flags: Flag[] = [
    ...policyFlags(options),
    ["--budget-attempts", options.budgetAttempts],
    ["--budget-usd", options.budgetMicroUsd === null ? null : options.budgetMicroUsd / 1e6],
    ["--target-score", options.targetScore],
    ["--patience", options.patience],
    ["--confirm-top", options.confirmTop],
    ["--language", options.language],
    ["--device", options.device],
    ...formatFlags(options, problem),
    ["--iterations", evaluation.timing.iterations],
    ["--warmup-runs", evaluation.timing.warmup],
    ["--use-isolated-runner", evaluation.isolateWorkloads],
    ["--parallel-workloads", evaluation.parallelWorkloads > 1],
    ["--max-parallel-workloads", evaluation.parallelWorkloads > 1 ? evaluation.parallelWorkloads : null],
    ["--feedback-trace-policy", evaluation.feedbackOrder],
    ["--baseline-solution", options.baseline?.solution ?? null],
    ["--seed", options.seed],
    ["--max-output-tokens", options.maxOutputTokens],
    ["--llm-timeout", options.llmTimeoutMs / 1_000],
  ];
  return flags.flatMap(([name, value]) =>
    value === null || value === false ? [] : value === true ? [name] : [name, `${value}`],
  );
}

function policyFlags({ policy, lanes, stagnationWindow, attemptsPerNode, maxDifficulty }: RunOptions): Flag[] {
  const { base, max } = attemptsPerNode;
  const isWindow = base === Math.min(2, stagnationWindow) && max === Math.min(50, stagnationWindow);
  const perNode: Flag =
    policy === "ksearch" || isWindow
      ? ["--wm-stagnation-window", stagnationWindow]
      : ["--attempts-per-node", `${base}-${max}`];
  const common: Flag[] = [
    ["--policy", policy],
    ["--lanes", lanes],
  ];
  return policy === "plain" ? common : [...common, perNode, ["--wm-max-difficulty", maxDifficulty]];
}

function formatFlags({ evaluation }: RunOptions, problem: Problem): Flag[] {
  const { trials, rtol, atol } = evaluation.correctness;
  switch (problem.format) {
    case "flashinfer":
      return [
        ["--num-trials", trials],
        ["--rtol", rtol],
        ["--atol", atol],
      ];
    case "gpumode":
      return [["--gpumode-mode", problem.tests.length > 0 ? "leaderboard" : "benchmark"]];
    case "kernelbench":
      return [["--kernelbench-num-correct-trials", trials]];
  }
}

/** What the commands leave to whoever calls them. */
export const datasetWords =
  "A problem of a dataset needs its --task-path, too; a transcript replays on the very same problem only.";

/** Commands that do again what a report tells of, each with what it is for. */
export function reproduction({ state, problem }: RunReport): { what: string; command: string }[] {
  const { runId, options } = state;
  const name = problemName(problem);
  const run = ["npx ksearch run", name, ...runFlags(options, problem), "--transcript transcript.jsonl"].join(" ");
  const judge = {
    what: "Time the kernel on your own machine (solution.json lies in the result folder)",
    command: `npx ksearch judge ${name} solution.json --target-gpu ${options.device}`,
  };
  return [
    ...(standing(state) === null ? [] : [judge]),
    {
      what: "Search again with the same words of the model: take them down as a transcript, then replay it",
      command: `npx ksearch transcript ${runId} > transcript.jsonl\n${run}`,
    },
    { what: "Read the whole log, event by event", command: `npx ksearch show ${runId}` },
  ];
}
