import type { KernelId } from "../kernel.ts";
import type { NodeSeed } from "../tree/node.ts";
import type { AttemptKind, LaneStopReason } from "./events.ts";
import type { PolicyName } from "./options.ts";
import type { Rng } from "./rng.ts";
import type { Cycle, RunState } from "./state.ts";

/** What a lane without a cycle does next. */
export type Move =
  /** `adding`: a stock action that the policy puts into the tree first. */
  | { do: "work"; nodeId: string; adding?: NodeSeed }
  | { do: "propose" }
  /** Nothing is free now, but other lanes are at work that may bring something. */
  | { do: "wait" }
  | { do: "stop"; reason: LaneStopReason; message: string };

/** What an attempt is asked for and builds on. */
export type AttemptPlan = { kind: AttemptKind; baseKernelId: KernelId | null; previousAttempt: number | null };

/** What follows an edit after a cycle: another try by the model, or the end, perhaps with a stock action. */
export type AfterEdit = { do: "again" } | { do: "end"; adding?: NodeSeed };

/**
 * How a search spends its attempts: a value, chosen once and recorded in the run's first event. Pure: the same state
 * and generator give the same move.
 */
export type Policy = {
  readonly name: PolicyName;
  /** False: no world model is asked for and none is edited. */
  readonly usesTree: boolean;
  /** Open actions that the model is asked for at init. */
  readonly initialActions: (state: RunState) => number;
  readonly next: (state: RunState, rng: Rng) => Move;
  /** The next attempt of a cycle; null: its node may have no more. */
  readonly attempt: (state: RunState, cycle: Cycle) => AttemptPlan | null;
  /** After a judged attempt: another one in the same cycle, or the end of the cycle. */
  readonly afterAttempt: (state: RunState, cycle: Cycle) => "again" | "close";
  /** After the model's edit that followed a cycle; `state` holds the edit. `isClean`: no op of it was refused. */
  readonly afterEdit: (state: RunState, cycle: Cycle, isClean: boolean) => AfterEdit;
  /** What the model's next edit must bring, in words for the prompt; "": nothing in particular. `nodeId` null: a proposal. */
  readonly demand: (state: RunState, nodeId: string | null) => string;
};

/**
 * Why no further attempt may start, or null. Every reason but an error ends the run as a success with its best so far
 * (design.md 8).
 */
export function stopReason(state: RunState): { reason: LaneStopReason; message: string } | null {
  const { options } = state;
  if (state.attempts.length >= options.budgetAttempts)
    return { reason: "budget", message: `the budget of ${options.budgetAttempts} attempts is used` };
  if (options.budgetMicroUsd !== null && state.spentMicroUsd >= options.budgetMicroUsd && options.budgetMicroUsd > 0)
    return { reason: "budget", message: "the money budget is used" };
  if (options.targetScore !== null && state.best !== null && state.best.score >= options.targetScore)
    return { reason: "target", message: `the target score of ${options.targetScore} is reached` };
  if (options.patience !== null && state.judged - state.lastImprovement >= options.patience)
    return { reason: "patience", message: `${options.patience} attempts in a row brought nothing better` };
  return null;
}
