export type { Deps, Ports } from "./deps.ts";
export { createLog, type Log } from "./log.ts";
export { type MachineSettings, type StepName, stateMachine, taskStates, waitStates } from "./machine.ts";
export { loadReport, loadVerdict } from "./result.ts";
export { createRun, endCanceled, type RunDeps, requestCancel, requestPause } from "./runs.ts";
export { createSteps } from "./steps/index.ts";
export { Answer, StoredPrompt } from "./steps/llm.ts";
export type { Step } from "./steps/step.ts";
export { getJson, keys, loadKernel, loadProblem, putJson, resultFolder, saveKernel } from "./store.ts";
