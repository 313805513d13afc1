import type { LlmDeps, RefereeDeps } from "../deps.ts";
import type { StepName } from "../machine.ts";
import { draft, vet } from "./draft.ts";
import { confirm, report, stopEvaluations } from "./finish.ts";
import { init } from "./init.ts";
import { claim, evaluate, judge, laneFailed } from "./lane.ts";
import { closeRound, openRound, prepare, runFailed, seed } from "./run.ts";
import type { Step } from "./step.ts";
import { propose, refine } from "./tree.ts";

export {
  claim,
  closeRound,
  confirm,
  draft,
  evaluate,
  init,
  judge,
  laneFailed,
  openRound,
  prepare,
  propose,
  refine,
  report,
  runFailed,
  seed,
  stopEvaluations,
  vet,
};

/** Every step of the state machine, over the same ports. */
export const createSteps = (deps: LlmDeps & RefereeDeps): Record<StepName, Step> => ({
  prepare: prepare(deps),
  seed: seed(deps),
  init: init(deps),
  openRound: openRound(deps),
  closeRound: closeRound(deps),
  confirm: confirm(deps),
  stopEvaluations: stopEvaluations(deps),
  report: report(deps),
  runFailed: runFailed(deps),
  claim: claim(deps),
  propose: propose(deps),
  draft: draft(deps),
  vet: vet(deps),
  evaluate: evaluate(deps),
  judge: judge(deps),
  refine: refine(deps),
  laneFailed: laneFailed(deps),
});
