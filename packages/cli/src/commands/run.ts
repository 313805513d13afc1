import {
  AppError,
  type AttemptsPerNode,
  type Problem,
  problemDigest,
  type RunOptions,
  systemText,
  treeModelOf,
  worstCaseUsage,
} from "@ksearch/domain";
import type { Llm } from "@ksearch/ports";
import { createRun } from "@ksearch/workflow";
import { newRunId } from "../ids.ts";
import { openLlm, openStores, pathFrom, refereePython, transcriptFor } from "../local.ts";
import { keepChoice, labelsOf, liveLabel, type ModelChoice } from "../model.ts";
import { modelChoice } from "../model-flags.ts";
import { parseFlags, RunFlags, runOptions } from "../options.ts";
import { dollars, note } from "../output.ts";
import { loadProblem, madeFor } from "../problems.ts";
import { askDoctor, machineFacts } from "../referee.ts";
import { execute } from "./execute.ts";

export type RunCommand = { artifactsDir: string; problems: string; json: boolean; refereePython?: string | undefined };

/** `ksearch run`: checks everything that can be checked, records the run, and works on it until it ends or pauses. */
export async function run(name: string, rawFlags: unknown, command: RunCommand): Promise<void> {
  const flags = parseFlags(RunFlags, rawFlags);
  const problem = loadProblem(command.problems, name);
  const choice = modelChoice(flags, pathFrom);
  const facts = factsOf(choice, problem);
  if (madeFor(problem.definition) === "GPU" && !command.json)
    note(`${name} has sizes for a GPU: on this CPU one evaluation may take minutes, or end in a time-out`);
  const model = openLlm(choice);
  const python = refereePython(command.refereePython);
  const doctor = await askDoctor(python, flags.language);
  const options = runOptions(flags, {
    deviceFacts: machineFacts(doctor, flags.language),
    ...labelsOf(choice),
    modelLabel: facts.label,
    recordedReplies: choice.kind === "replay",
    attemptsPerNode: flags.attemptsPerNode ?? facts.attemptsPerNode,
  });
  const stores = openStores(command.artifactsDir, true);
  const llm = model(stores);
  checkBudget(llm, problem, options);
  const runId = newRunId(stores.now());
  await keepChoice(stores, runId, choice);
  await createRun(stores, { runId, problem, options, seed: null });
  await execute(stores, { runId, lanes: options.lanes, llm, python, json: command.json, from: null });
}

/** A budget that the first call may exceed would end the run before it began: better said now, with both numbers. */
function checkBudget(llm: Llm, problem: Problem, options: RunOptions): void {
  const usage = worstCaseUsage(systemText(problem, options), options.maxOutputTokens);
  const worst = Math.max(...[...options.models, treeModelOf(options)].map((model) => llm.price(usage, model)));
  if (options.budgetMicroUsd !== null && worst > options.budgetMicroUsd)
    throw new AppError(
      "caller",
      "budget.small",
      `one call may cost up to ${dollars(worst)} (${options.maxOutputTokens} output tokens), more than the budget of ${dollars(options.budgetMicroUsd)}: raise --budget-usd or lower --max-output-tokens`,
    );
}

/** The words that screens show for where replies come from, and the attempts a node gets unless a flag says otherwise. */
function factsOf(choice: ModelChoice, problem: Problem): { label: string; attemptsPerNode: AttemptsPerNode } {
  const attemptsPerNode = { base: 2, max: 5 };
  switch (choice.kind) {
    case "replay":
      return transcriptFor(choice.transcript, problemDigest(problem));
    case "agent":
    case "openai":
      return { label: liveLabel(choice), attemptsPerNode };
  }
}
