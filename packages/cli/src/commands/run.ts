import { AppError, type Problem, problemDigest, type RunEvent, summarise } from "@ksearch/domain";
import { keys, putJson } from "@ksearch/workflow";
import { newRunId } from "../ids.ts";
import { openLlm, openStores, openTranscript, pathFrom, refereePython, type Stores } from "../local.ts";
import { type ModelChoice, modelKey } from "../model.ts";
import { modelChoice, parseFlags, RunFlags, runOptions } from "../options.ts";
import { loadProblem } from "../problems.ts";
import { askDoctor, machineFacts } from "../referee.ts";
import { execute } from "./execute.ts";

export type RunCommand = { artifactsDir: string; problems: string; json: boolean; refereePython?: string | undefined };

/** `ksearch run`: checks everything that can be checked, records the run, and works on it until it ends or pauses. */
export async function run(name: string, rawFlags: unknown, command: RunCommand): Promise<void> {
  const flags = parseFlags(RunFlags, rawFlags);
  const choice = modelChoice(flags, pathFrom);
  const problem = loadProblem(command.problems, name);
  const label = labelOf(choice, problem);
  const model = openLlm(choice);
  const python = refereePython(command.refereePython);
  const doctor = await askDoctor(python, flags.language);
  const stores = openStores(command.artifactsDir, true);
  const options = runOptions(flags, {
    deviceFacts: machineFacts(doctor),
    modelLabel: label,
    recordedReplies: choice.kind === "replay",
  });
  const runId = await create(stores, problem, choice, options);
  await execute(stores, { runId, lanes: options.lanes, llm: model(stores), python, json: command.json });
}

/** The words that screens show for where replies come from. */
function labelOf(choice: ModelChoice, problem: Problem): string {
  switch (choice.kind) {
    case "replay": {
      const transcript = openTranscript(choice.transcript);
      if (transcript.problemDigest !== problemDigest(problem))
        throw new AppError(
          "caller",
          "transcript.problem",
          `${choice.transcript} was recorded for '${transcript.problem}' as it was then, not for this '${problem.definition.name}'`,
        );
      return transcript.label;
    }
    case "agent":
      return "an agent or a person (ksearch answer)";
    case "openai":
      return choice.settings.modelName;
  }
}

async function create(
  stores: Stores,
  problem: Problem,
  choice: ModelChoice,
  options: Extract<RunEvent, { type: "run.created" }>["options"],
): Promise<string> {
  const runId = newRunId(stores.now());
  await putJson(stores.blobs, keys.problem(runId), problem);
  await putJson(stores.blobs, modelKey(runId), choice);
  const event: RunEvent = {
    type: "run.created",
    runId,
    problem: problem.definition.name,
    problemDigest: problemDigest(problem),
    options,
    seedKernelId: null,
  };
  if ((await stores.events.append(runId, 0, [event], stores.now())) !== "appended")
    throw new AppError("retry", "run.exists", `the id ${runId} is taken: try again`);
  await stores.runs.create(summarise(await stores.log.state(runId), stores.iso));
  return runId;
}
