export { bookAllLost } from "./ask.ts";
export type { Deps, Ports } from "./deps.ts";
export { createLog, type Log } from "./log.ts";
export { type MachineSettings, type StepName, stateMachine, taskStates, waitStates } from "./machine.ts";
export { createSteps } from "./steps/index.ts";
export type { Step } from "./steps/step.ts";
export { getJson, keys, loadKernel, loadProblem, putJson, saveKernel } from "./store.ts";
