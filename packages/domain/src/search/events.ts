import { z } from "zod";
import { VerdictStatus } from "../referee/verdict.ts";
import { TreeEdit } from "../tree/edits.ts";
import { NodeSeed } from "../tree/node.ts";
import { ModelLabel, ModelLabels, RunOptions } from "./options.ts";

/**
 * The log of a run: append-only, numbered from 1. Everything else (tree, counters, best kernel) is its fold (`state.ts`).
 * Long texts (prompts, replies, kernels, verdicts) are blobs under the run's folder; events carry their names.
 */
const count = z.int().nonnegative();
const microUsd = z.int().nonnegative();
const kernelId = z.templateLiteral(["ker_", z.string()]);

export const Usage = z.strictObject({
  inputTokens: count,
  cachedInputTokens: count,
  outputTokens: count,
  reasoningTokens: count,
  /** True where the provider did not say and we counted. */
  estimated: z.boolean(),
});
export type Usage = z.infer<typeof Usage>;

/** What a model is asked for. `seed` and `confirm` are questions to the referee alone. */
export const Purpose = z.enum(["init", "propose", "refine", "draft", "evaluate", "seed", "confirm"]);
export type Purpose = z.infer<typeof Purpose>;

/** What a draft is asked for: `revise` is policy `plain`'s, the others work on an action of the tree. */
export const AttemptKind = z.enum(["draft_spec", "draft_base", "debug", "improve", "revise"]);
export type AttemptKind = z.infer<typeof AttemptKind>;

/** How an attempt ended: the referee's status, or why none was asked. */
export const AttemptStatus = z.enum([...VerdictStatus.options, "unparsable", "refused"]);
export type AttemptStatus = z.infer<typeof AttemptStatus>;

/** Why a lane ended: its share of attempts or of steps was used, the run must stop, nothing was free, or an error. */
export const LaneStopReason = z.enum([
  "share",
  "turns",
  "budget",
  "target",
  "patience",
  "nothing_free",
  "paused",
  "canceled",
  "error",
]);
export type LaneStopReason = z.infer<typeof LaneStopReason>;

const Who = z.enum(["caller", "retry", "operator"]);

const Score = z.strictObject({ value: z.number().positive(), low: z.number().positive(), high: z.number().positive() });

const events = [
  z.strictObject({
    type: z.literal("run.created"),
    runId: z.string(),
    problem: z.string(),
    problemDigest: z.string(),
    options: RunOptions,
    seedKernelId: kernelId.nullable(),
  }),
  /** From here on other models are asked. `choice` is the blob with their settings; labels of before stay collectable. */
  z.strictObject({
    type: z.literal("models.changed"),
    models: ModelLabels,
    treeModel: ModelLabel.nullable(),
    modelLabel: z.string().min(1),
    choice: z.string().min(1),
  }),
  /** A new execution over the log: older executions' claims may be taken over. */
  z.strictObject({ type: z.literal("execution.started"), epoch: z.int().positive(), lanes: z.int().positive() }),
  z.strictObject({
    type: z.literal("call.submitted"),
    call: z.string(),
    to: z.enum(["llm", "referee"]),
    purpose: Purpose,
    /** What the question is about, the same in every run of the same tree: how a transcript finds its reply. */
    slot: z.string(),
    /** The model that is asked; null: the referee. */
    model: ModelLabel.nullable(),
    submission: z.int().positive(),
    reservedMicroUsd: microUsd,
  }),
  z.strictObject({ type: z.literal("call.ticketed"), call: z.string(), ticket: z.string() }),
  z.strictObject({
    type: z.literal("call.answered"),
    call: z.string(),
    model: z.string(),
    usage: Usage.nullable(),
    costMicroUsd: microUsd,
    durationMs: count,
  }),
  /** `costMicroUsd`: the worst case where the provider may have billed a reply that never came, else 0. */
  z.strictObject({
    type: z.literal("call.failed"),
    call: z.string(),
    who: Who,
    code: z.string(),
    message: z.string(),
    costMicroUsd: microUsd,
  }),
  /** A process died between submitting and recording (or before it could store the reply); the submission is booked at its worst case and asked anew. */
  z.strictObject({ type: z.literal("call.lost"), call: z.string(), costMicroUsd: microUsd }),
  /** A reply to init was no world model; the reason goes into the next question. */
  z.strictObject({ type: z.literal("init.refused"), call: z.string(), reason: z.string() }),
  z.strictObject({
    type: z.literal("tree.initialised"),
    call: z.string(),
    kernelSummary: z.string(),
    openQuestions: z.array(z.string()),
    rootId: z.string(),
    rootNotes: z.string(),
    nodes: z.array(NodeSeed),
    repairs: z.array(z.string()),
  }),
  /** A world model of another run, with the kernels of its solved nodes, in place of an init. */
  z.strictObject({
    type: z.literal("tree.imported"),
    from: z.string(),
    kernelSummary: z.string(),
    openQuestions: z.array(z.string()),
    rootId: z.string(),
    rootNotes: z.string(),
    nodes: z.array(NodeSeed),
    /** `score` is null where it was measured in another unit or on another device than this run's. */
    solutions: z.array(
      z.strictObject({
        nodeId: z.string(),
        kernelId,
        score: z.number().positive().nullable(),
        vsBaseline: z.number().positive().nullable(),
      }),
    ),
    repairs: z.array(z.string()),
  }),
  z.strictObject({
    type: z.literal("tree.edited"),
    call: z.string(),
    purpose: z.enum(["propose", "refine"]),
    /** The cycle that a refinement belongs to, and its node; null for a proposal. */
    cycle: z.string().nullable(),
    nodeId: z.string().nullable(),
    edits: z.array(TreeEdit),
    refused: z.array(z.strictObject({ index: z.int(), op: z.string(), reason: z.string() })),
  }),
  /** The policy itself adds a stock action where the model brought none (policy `ksearch`). */
  z.strictObject({ type: z.literal("tree.extended"), node: NodeSeed }),
  z.strictObject({
    type: z.literal("seed.judged"),
    kernelId,
    status: VerdictStatus,
    score: Score.nullable(),
    vsBaseline: z.number().positive().nullable(),
    message: z.string(),
  }),
  /** A lane asks the model for new actions; said again with a newer epoch when another execution takes it over. */
  z.strictObject({
    type: z.literal("proposal.opened"),
    call: z.string(),
    lane: z.int().positive(),
    epoch: z.int().positive(),
  }),
  z.strictObject({ type: z.literal("round.opened"), round: z.int().positive() }),
  z.strictObject({
    type: z.literal("cycle.opened"),
    cycle: z.string(),
    lane: z.int().positive(),
    epoch: z.int().positive(),
    nodeId: z.string(),
  }),
  z.strictObject({
    type: z.literal("cycle.takenOver"),
    cycle: z.string(),
    lane: z.int().positive(),
    epoch: z.int().positive(),
  }),
  z.strictObject({
    type: z.literal("attempt.started"),
    attempt: z.int().positive(),
    cycle: z.string(),
    nodeId: z.string(),
    /** Which attempt on this node it is, from 1. */
    nodeAttempt: z.int().positive(),
    kind: AttemptKind,
    /** The kernel that the draft is shown to build on, beside the previous attempt's; null: none. */
    baseKernelId: kernelId.nullable(),
    /** The attempt whose kernel is to be mended or improved; null for a first draft. */
    previousAttempt: z.int().positive().nullable(),
    /** Forecast of the node's action, to hold against what is measured. */
    forecast: z.number().positive().nullable(),
    /** The model that drafts it, so that a resume asks the same one; null in a run with one model. */
    model: ModelLabel.nullable(),
  }),
  /** The reply became a kernel, or did not (null; the judgement that follows says why). */
  z.strictObject({
    type: z.literal("attempt.drafted"),
    attempt: z.int().positive(),
    kernelId: kernelId.nullable(),
    /** An earlier attempt with the same kernel, whose verdict holds for this one too. */
    sameAs: z.int().positive().nullable(),
  }),
  z.strictObject({
    type: z.literal("attempt.judged"),
    attempt: z.int().positive(),
    status: AttemptStatus,
    score: Score.nullable(),
    /** Arithmetic mean over the workloads of baseline ÷ kernel time; null without a baseline. */
    vsBaseline: z.number().positive().nullable(),
    /** Geometric mean over the workloads of the time of one call, ns. */
    callNs: z.int().positive().nullable(),
    message: z.string(),
  }),
  z.strictObject({ type: z.literal("cycle.closed"), cycle: z.string(), refine: z.boolean() }),
  z.strictObject({ type: z.literal("cycle.ended"), cycle: z.string() }),
  z.strictObject({
    type: z.literal("lane.stopped"),
    lane: z.int().positive(),
    epoch: z.int().positive(),
    round: z.int().positive(),
    reason: LaneStopReason,
    message: z.string(),
    /** Set when an error stopped the lane. */
    error: z.strictObject({ who: Who, code: z.string() }).nullable(),
  }),
  /**
   * A leading kernel judged anew on fresh seeds, interleaved with a rival (null: alone). `ratio` is rival ÷ kernel:
   * above 1 the kernel is faster.
   */
  z.strictObject({
    type: z.literal("duel.judged"),
    kernelId,
    rivalId: kernelId.nullable(),
    status: VerdictStatus,
    score: Score.nullable(),
    ratio: Score.nullable(),
    winner: kernelId.nullable(),
    message: z.string(),
  }),
  z.strictObject({ type: z.literal("best.confirmed"), kernelId: kernelId.nullable() }),
  z.strictObject({ type: z.literal("cancel.requested") }),
  z.strictObject({ type: z.literal("run.paused"), who: Who, code: z.string(), message: z.string() }),
  z.strictObject({
    type: z.literal("run.finished"),
    status: z.enum(["succeeded", "failed", "canceled"]),
    reason: z.string(),
  }),
] as const;

export const RunEvent = z.discriminatedUnion("type", events);
export type RunEvent = z.infer<typeof RunEvent>;

/** An event as the log keeps it: its number in the run and the time, in Unix ms, at which it was appended. */
export type LoggedEvent = { readonly seq: number; readonly atMs: number; readonly event: RunEvent };
