import { availableParallelism } from "node:os";
import {
  AppError,
  type AttemptsPerNode,
  type Device,
  type EvaluationSettings,
  madeFor,
  type Problem,
  problemDigest,
  problemName,
  type RunOptions,
  summarise,
  systemText,
  treeModelOf,
  worstCaseUsage,
} from "@ksearch/domain";
import type { Llm, Referee } from "@ksearch/ports";
import { createRun, keepChoice, labelsOf, liveLabel, type ModelChoice, requestPause } from "@ksearch/workflow";
import { type FoundBaseline, findBaseline, kernelBenchBaseline } from "../baseline.ts";
import { chooseProblem } from "../chosen.ts";
import { beginning } from "../continue.ts";
import { examine } from "../examine.ts";
import { newRunId } from "../ids.ts";
import {
  keysOfStage,
  modalApp,
  openLlm,
  openReferee,
  openStage,
  openStores,
  openTracker,
  pathFrom,
  self,
  transcriptFor,
  wandbDefaults,
} from "../local.ts";
import { flagName, modelChoice } from "../model-flags.ts";
import { parseFlags } from "../options.ts";
import { dollars, note, print, printJson } from "../output.ts";
import { benchOf } from "../referee.ts";
import { keepReferee, refereeChoice } from "../referee-choice.ts";
import { deviceOf, evaluationOf, languageOf, RunFlags, runOptions } from "../run-flags.ts";
import { keepTracking, trackingChoice } from "../tracking.ts";
import { keepWishes } from "../wishes.ts";
import { execute } from "./execute.ts";
import { executeInStage } from "./in-stage.ts";

export type RunCommand = { artifactsDir: string; json: boolean; refereePython?: string | undefined };

/** `ksearch run`: checks everything that can be checked, records the run, and works on it until it ends or pauses. */
export async function run(given: string | undefined, rawFlags: unknown, command: RunCommand): Promise<void> {
  const { stage, detach, stores, runId, lanes, llm, judge, tracker } = await record(given, rawFlags, command);
  const { json, refereePython: python } = command;
  if (stage !== null) return executeInStage(stage, { runId, lanes, json, detach, from: null });
  await execute(stores, { runId, lanes, llm, judge, python, json, tracker, from: null });
}

/** `ksearch import`: takes a world model over into a run of its own, paused before its first attempt. */
export async function importRun(
  path: string,
  given: string | undefined,
  rawFlags: unknown,
  command: RunCommand,
): Promise<void> {
  const { stores, runId } = await record(given, { ...(rawFlags as object), continueFromWorldModel: path }, command);
  await requestPause(stores, runId, `imported from ${path}`);
  const state = await stores.log.state(runId);
  await stores.runs.update(summarise(state, stores.iso));
  const { tree } = state;
  const solved = [...tree.nodes.values()].filter(({ solution }) => solution !== null).length;
  if (command.json) return printJson({ runId, nodes: tree.nodes.size, solved });
  print(
    `${runId}: ${tree.nodes.size} nodes, ${solved} solved\nlook at it: ${self} tree ${runId}\ngo on:      ${self} resume ${runId}`,
  );
}

/** Checks all that can be checked before anything is paid for, and records the run. */
async function record(
  given: string | undefined,
  rawFlags: unknown,
  { artifactsDir, json, refereePython: python }: RunCommand,
) {
  const flags = parseFlags(RunFlags, rawFlags);
  const { problem, notes, dataset } = chooseProblem(given, flags, flags.seed);
  const tell = (words: string) => (json ? undefined : note(words));
  for (const words of notes) tell(words);
  const choice = modelChoice(flags, pathFrom);
  const stageName = stageOf(flags, choice);
  const stage = stageName === null ? null : await openStage(stageName);
  const judge = refereeChoice(
    stage !== null && flags.referee === undefined ? { ...flags, referee: "modal" } : flags,
    python,
    stage?.modalApp ?? modalApp(),
  );
  const tracking = trackingChoice(flags, wandbDefaults());
  const facts = factsOf(choice, problem);
  const device = deviceOf(flags, problem);
  const language = languageOf(flags, device, problem);
  if (madeFor(problem) === "gpu" && device === "cpu")
    tell(
      `${problemName(problem)} has sizes for a GPU: on this CPU one evaluation may take minutes, or end in a time-out`,
    );
  const model = openLlm(choice, [], stage === null ? undefined : keysOfStage);
  const bench = await benchOf(judge, python, { language, device, problem });
  const referee = openReferee(judge, python);
  const plainSettings = evaluationOf(flags, problem, device, availableParallelism(), null);
  if (flags.baselineSolution !== undefined && dataset === null && problem.format === "flashinfer")
    throw new AppError(
      "caller",
      "flags",
      "--baseline-solution names a solution of a dataset: give its --task-path, too",
    );
  const stores = stage?.stores ?? openStores(artifactsDir, true);
  await examine(stores, referee, { problem, settings: plainSettings, device, version: bench.version }).catch(
    (error: unknown) => {
      if (stage === null || !(error instanceof AppError) || error.code !== "referee.auth") throw error;
      tell(`${problemName(problem)} is not examined before the search: there is no token for Modal here`);
    },
  );
  const found = await baselineOf(referee, flags.baselineSolution, {
    problem,
    dataset,
    device,
    hardware: bench.hardware,
    settings: plainSettings,
  });
  const options = runOptions(flags, {
    device,
    language,
    deviceFacts: bench.facts,
    ...labelsOf(choice),
    modelLabel: facts.label,
    recordedReplies: choice.kind === "replay",
    attemptsPerNode: facts.attemptsPerNode,
    evaluation: evaluationOf(flags, problem, device, availableParallelism(), found?.baselineNs ?? null),
    baseline: found?.baseline ?? null,
  });
  const llm = model(stores);
  checkBudget(llm, problem, options);
  const { seed, world } = await beginning(stores, problem, options, dataset, flags);
  for (const words of world?.continuation.repairs ?? []) tell(`world model: ${words}`);
  const runId = newRunId(stores.now());
  await keepChoice(stores, runId, choice);
  await keepReferee(stores, runId, judge);
  await keepTracking(stores, runId, tracking);
  await keepWishes(stores, runId, {
    dataset,
    numEvalWorkload: flags.numEvalWorkload ?? null,
    saveResults: flags.saveResults,
    saveSolutions: flags.saveSolutions === true,
    keepFolders: flags.gpumodeKeepTmp === true,
  });
  await createRun(stores, { runId, problem, options, seed, world });
  return {
    stage,
    detach: flags.detach === true,
    stores,
    runId,
    lanes: options.lanes,
    llm,
    judge,
    tracker: () => openTracker(stores, runId, tracking),
  };
}

/** What the run's score is against beside the reference; null: nothing. */
async function baselineOf(
  referee: Referee,
  solution: string | undefined,
  {
    problem,
    dataset,
    ...terms
  }: {
    problem: Problem;
    dataset: string | null;
    device: Device;
    hardware: string;
    settings: EvaluationSettings;
  },
): Promise<FoundBaseline | null> {
  if (solution === undefined) return null;
  if (problem.format === "kernelbench") return kernelBenchBaseline(referee, { problem, solution, ...terms });
  if (problem.format !== "flashinfer" || dataset === null) return null;
  return findBaseline(referee, { dataset, problem, solution, ...terms });
}

/** A Lambda function runs for 15 minutes at most; a minute of them is the step's own. */
const mostLlmSeconds = 840;

/** The stage that executes the run; null: this machine. AppError `caller`: flags of the one beside the other. */
function stageOf(flags: RunFlags, choice: ModelChoice): string | null {
  const { engine = flags.stage === undefined ? "local" : "cloud", stage } = flags;
  const refuse = (words: string): never => {
    throw new AppError("caller", "flags", words);
  };
  if (engine === "local") {
    if (stage !== undefined) refuse("--stage names a deployed stage: leave --engine local out");
    if (flags.detach) refuse("--detach leaves a search at work in a stage: it needs --engine cloud");
    return null;
  }
  const strays = (["saveSolutions", "numEvalWorkload", "gpumodeKeepTmp", "wandb"] as const).filter(
    (name) => flags[name] !== undefined && flags[name] !== false,
  );
  if (strays.length > 0)
    refuse(
      `${strays.map(flagName).join(" and ")} cannot stand beside --engine cloud: 'ksearch export' and 'ksearch track' with --stage do that afterwards`,
    );
  if (flags.referee !== undefined && flags.referee !== "modal")
    refuse("a stage has no referee of this machine or a folder of it: --engine cloud goes with --referee modal");
  if (choice.kind === "openai" && flags.llmTimeout > mostLlmSeconds && choice.models.some((model) => !model.background))
    refuse(
      `a stage's function waits ${mostLlmSeconds} s for a reply at most: lower --llm-timeout, or use --llm-background with a model that has it`,
    );
  if (choice.kind === "replay") refuse("a transcript lies on this machine, where a stage cannot read it: name a model");
  return stage ?? refuse("--engine cloud needs --stage: the name that the stage was deployed under");
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

/** The words that screens show for where replies come from, and the attempts a node had where they were recorded. */
function factsOf(choice: ModelChoice, problem: Problem): { label: string; attemptsPerNode: AttemptsPerNode | null } {
  switch (choice.kind) {
    case "replay":
      return transcriptFor(choice.transcript, problemDigest(problem));
    case "agent":
    case "openai":
      return { label: liveLabel(choice), attemptsPerNode: null };
  }
}
