import { AppError } from "../errors.ts";
import type { KernelId } from "../kernel.ts";
import type { MeasuredRef, Tree } from "../tree/node.ts";
import type { AttemptKind, AttemptStatus, LaneStopReason, Purpose, RunEvent } from "./events.ts";
import type { RunOptions } from "./options.ts";

export type Score = { readonly value: number; readonly low: number; readonly high: number };

export type RunStatus = "running" | "paused" | "succeeded" | "failed" | "canceled";

/** A paid question to the model or the referee whose answer the log has not used yet. */
export type OpenCall = {
  readonly call: string;
  readonly to: "llm" | "referee";
  readonly purpose: Purpose;
  readonly slot: string;
  /** Label of the model that was asked; null: the referee. */
  readonly model: string | null;
  readonly submission: number;
  readonly reservedMicroUsd: number;
  readonly ticket: string | null;
  readonly submittedAtMs: number;
  readonly state: "submitted" | "answered" | "failed";
};

export type Cycle = {
  readonly cycle: string;
  readonly lane: number;
  readonly epoch: number;
  readonly nodeId: string;
  readonly attempts: readonly number[];
  /** Edits that the model was asked for after its attempts. */
  readonly refinements: number;
  /** `working`: attempts go on. `closed`: the model's edit after it is due. */
  readonly state: "working" | "closed";
};

export type Attempt = {
  readonly attempt: number;
  readonly cycle: string;
  readonly nodeId: string;
  readonly nodeAttempt: number;
  readonly kind: AttemptKind;
  readonly baseKernelId: KernelId | null;
  readonly previousAttempt: number | null;
  readonly forecast: number | null;
  /** Label of the model that drafts it; null in a run with one model. */
  readonly model: string | null;
  readonly startedAtMs: number;
  readonly drafted: boolean;
  readonly kernelId: KernelId | null;
  readonly sameAs: number | null;
  readonly status: AttemptStatus | null;
  readonly score: Score | null;
  readonly vsBaseline: number | null;
  readonly callNs: number | null;
  readonly message: string;
  /** All that its calls cost, those without an answer too. */
  readonly costMicroUsd: number;
  /** The model's part of it. */
  readonly llmMicroUsd: number;
  /** Tokens of its drafts, input and output. */
  readonly llmTokens: number;
  readonly llmMs: number;
  readonly refereeMs: number;
  readonly endedAtMs: number | null;
};

export type Duel = {
  readonly kernelId: KernelId;
  readonly rivalId: KernelId | null;
  readonly status: AttemptStatus;
  readonly score: Score | null;
  readonly ratio: Score | null;
  readonly winner: KernelId | null;
  readonly message: string;
};

export type LaneStop = {
  readonly lane: number;
  readonly epoch: number;
  readonly round: number;
  readonly reason: LaneStopReason;
  readonly message: string;
  readonly error: { who: AppError["who"]; code: string } | null;
};

/** All that the log says, derived by {@link apply} and by nothing else. */
export type RunState = {
  readonly seq: number;
  readonly runId: string;
  readonly problem: string;
  readonly problemDigest: string;
  readonly options: RunOptions;
  readonly seedKernelId: KernelId | null;
  readonly seedJudged: boolean;
  /** The kernel that the run began with, once it has passed here. */
  readonly seed: MeasuredRef | null;
  readonly status: RunStatus;
  readonly pause: { who: AppError["who"]; code: string; message: string } | null;
  readonly reason: string;
  readonly epoch: number;
  readonly lanes: number;
  readonly round: number;
  readonly startedAtMs: number;
  readonly updatedAtMs: number;
  readonly endedAtMs: number | null;
  readonly initialised: boolean;
  /** Why replies to init were no world model, in order. */
  readonly initRefusals: readonly string[];
  /** How many of them belong to earlier executions: each execution may ask a few times anew. */
  readonly initRefusalsBefore: number;
  readonly tree: Tree;
  readonly attempts: readonly Attempt[];
  readonly judged: number;
  readonly judgedAtRoundStart: number;
  readonly lastImprovement: number;
  /** Consecutive attempts that ended for reasons of the referee's own. */
  readonly refereeTrouble: number;
  readonly cycles: ReadonlyMap<string, Cycle>;
  readonly cyclesOpened: ReadonlyMap<number, number>;
  readonly calls: ReadonlyMap<string, OpenCall>;
  readonly callsMade: { readonly llm: number; readonly referee: number };
  readonly proposals: number;
  /** The proposal at work, if any: at most one, so that lanes do not pay for the same ideas. */
  readonly proposal: { readonly call: string; readonly lane: number; readonly epoch: number } | null;
  /** Proposals in a row that opened nothing, see `mostBarrenProposals`. */
  readonly barrenProposals: number;
  /** Proposals since a cycle was opened last. */
  readonly proposalsSinceCycle: number;
  readonly stops: readonly LaneStop[];
  readonly spentMicroUsd: number;
  /** Best by the search's own score, before confirmation. */
  readonly best: MeasuredRef | null;
  readonly duels: readonly Duel[];
  readonly confirmed: KernelId | null;
  readonly confirmDone: boolean;
  readonly cancelRequested: boolean;
  readonly refusals: readonly { call: string; op: string; reason: string }[];
};

/** An attempt as it begins: nothing drafted, nothing judged, nothing spent. */
export const newAttempt = (
  { type: _, ...facts }: Extract<RunEvent, { type: "attempt.started" }>,
  startedAtMs: number,
): Attempt => ({
  ...facts,
  startedAtMs,
  drafted: false,
  kernelId: null,
  sameAs: null,
  status: null,
  score: null,
  vsBaseline: null,
  callNs: null,
  message: "",
  costMicroUsd: 0,
  llmMicroUsd: 0,
  llmTokens: 0,
  llmMs: 0,
  refereeMs: 0,
  endedAtMs: null,
});

export function attemptOf(state: RunState, number: number): Attempt {
  const attempt = state.attempts[number - 1];
  if (!attempt)
    throw new AppError("operator", "log.unknownAttempt", `the log of ${state.runId} has no attempt ${number}`);
  return attempt;
}

/** The first attempt with a kernel whose verdict holds; the referee's own trouble is no verdict. */
export const verdictOn = (state: RunState, kernelId: KernelId): Attempt | undefined =>
  state.attempts.find(
    (attempt) => attempt.kernelId === kernelId && attempt.status !== null && attempt.status !== "infra_error",
  );
