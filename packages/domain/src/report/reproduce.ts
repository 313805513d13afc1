import { problemName } from "../problem.ts";
import type { RunOptions } from "../search/options.ts";
import { standing } from "../search/standing.ts";
import type { RunReport } from "./facts.ts";

/** The flags of `ksearch run` that ask for these options; where the replies come from is not among them. */
export function runFlags(options: RunOptions): string[] {
  const { attemptsPerNode, evaluation } = options;
  const flags: [string, string | number | null][] = [
    ["--lanes", options.lanes],
    ["--budget-attempts", options.budgetAttempts],
    ["--budget-usd", options.budgetMicroUsd === null ? null : options.budgetMicroUsd / 1e6],
    ["--attempts-per-node", `${attemptsPerNode.base}-${attemptsPerNode.max}`],
    ["--target-score", options.targetScore],
    ["--patience", options.patience],
    ["--confirm-top", options.confirmTop],
    ["--iterations", evaluation.timing.iterations],
    ["--warmup", evaluation.timing.warmup],
    ["--language", options.language],
    ["--device", options.device],
    ["--seed", options.seed],
    ["--max-output-tokens", options.maxOutputTokens],
    ["--llm-timeout", options.llmTimeoutMs / 1_000],
  ];
  return flags.flatMap(([flag, value]) => (value === null ? [] : [flag, `${value}`]));
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
      command: `npx ksearch transcript ${runId} > transcript.jsonl\nnpx ksearch run ${[name, ...runFlags(options), "--transcript", "transcript.jsonl"].join(" ")}`,
    },
    { what: "Read the whole log, event by event", command: `npx ksearch show ${runId}` },
  ];
}
