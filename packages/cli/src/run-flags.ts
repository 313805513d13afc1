import {
  AppError,
  AttemptsPerNode,
  Device,
  type EvaluationSettings,
  Language,
  languageFault,
  madeFor,
  PolicyName,
  type Problem,
  type RunOptions,
  RunOptions as RunOptionsSchema,
  settingsFor,
} from "@ksearch/domain";
import { z } from "zod";
import { flagName, modelFlags } from "./model-flags.ts";
import { numberFrom, trackFlags, wholeFrom } from "./options.ts";
import { formats } from "./problems.ts";

const tolerance = numberFrom(0, 1e6, "a number, 0 or more").optional();
const attempts = wholeFrom(1, 100_000).optional();

/** Flags that say which problem is meant. K-Search's own names (spec/ksearch.md 7). */
export const problemFlags = {
  problems: z.string(),
  taskSource: z.enum(formats).optional(),
  taskPath: z.string().optional(),
  local: z.string().optional(),
  definition: z.string().optional(),
  gpumodeMode: z
    .enum(["benchmark", "leaderboard"], "benchmark or leaderboard: no other mode gives a score to search by")
    .optional(),
  gpumodeTaskDir: z.string().optional(),
  kernelbenchLevel: wholeFrom(1, 4).optional(),
  kernelbenchProblemId: wholeFrom(1, 100_000).optional(),
  feedbackWorkloads: z.array(z.string()).optional(),
};

export const ProblemFlags = z.object(problemFlags);
export type ProblemFlags = z.infer<typeof ProblemFlags>;

const places = "local: on this machine, modal: on GPUs at Modal, with your own token";

/** Where kernels are judged, in K-Search's words. */
const Where = z.enum(["local", "modal"], places);

/** Where kernels are judged; a folder's path comes behind its colon. */
const Place = z
  .string()
  .regex(/^(local|modal|folder:.+)$/, `${places}, or folder:PATH: by whoever answers in a folder`);

const targetFlags = {
  referee: Place.optional(),
  targetGpu: Device.optional(),
  device: Device.optional(),
  language: Language.optional(),
};

/** Flags of `ksearch judge`. */
export const JudgeFlags = z.object({
  ...problemFlags,
  ...targetFlags,
  profile: z.enum(["hardened", "compat", "both"], "hardened, compat (as published figures are taken) or both"),
});
type TargetFlags = Pick<z.infer<typeof JudgeFlags>, keyof typeof targetFlags>;

/** Flags of `ksearch run` as commander gives them: texts and switches. Parsed here and nowhere else. */
export const RunFlags = z.object({
  ...problemFlags,
  policy: PolicyName.optional(),
  worldModel: z.boolean().optional(),
  wmStagnationWindow: wholeFrom(1, 1_000).optional(),
  wmMaxDifficulty: wholeFrom(1, 5).optional(),
  attemptsPerNode: z
    .string()
    .regex(/^\d+(-\d+)?$/, "a number, or base-max such as 2-5")
    .transform((text) => {
      const [base = "", max = base] = text.split("-");
      return { base: Number(base), max: Number(max) };
    })
    .pipe(AttemptsPerNode)
    .optional(),
  lanes: wholeFrom(1, 64).optional(),
  maxOptRounds: attempts,
  budgetAttempts: attempts,
  budgetUsd: numberFrom(0, 1e9, "a number of dollars, 0 or more").optional(),
  targetScore: numberFrom(1e-9, 1e9, "a number above 0").optional(),
  patience: wholeFrom(1, 100_000).optional(),
  confirmTop: wholeFrom(1, 10),
  ...targetFlags,
  engine: z.enum(["local", "cloud"]).optional(),
  stage: z.string().optional(),
  detach: z.boolean().optional(),
  seed: wholeFrom(0, Number.MAX_SAFE_INTEGER),
  warmupRuns: wholeFrom(0, 1_000).optional(),
  iterations: wholeFrom(1, 10_000).optional(),
  numTrials: wholeFrom(1, 64).optional(),
  rtol: tolerance,
  atol: tolerance,
  useIsolatedRunner: z.boolean().optional(),
  parallelWorkloads: z.boolean().optional(),
  maxParallelWorkloads: wholeFrom(0, 64).optional(),
  feedbackTracePolicy: z.enum(["first", "random"]),
  baselineSolution: z.string().optional(),
  numEvalWorkload: wholeFrom(1, 10_000).optional(),
  /** Commander's word for `--no-save-results`. */
  saveResults: z.boolean(),
  saveSolutions: z.boolean().optional(),
  continueFromSolution: z.string().optional(),
  continueFromWorldModel: z.string().optional(),
  gpumodeKeepTmp: z.boolean().optional(),
  kernelbenchEvalMode: Where.optional(),
  kernelbenchNumCorrectTrials: wholeFrom(1, 64).optional(),
  kernelbenchNumPerfTrials: wholeFrom(1, 10_000).optional(),
  apiKey: z
    .undefined("an argument is visible to every user of this machine: set OPENAI_API_KEY (or LLM_API_KEY) instead")
    .optional(),
  maxOutputTokens: wholeFrom(256, 1_000_000),
  llmTimeout: numberFrom(0.1, 86_400, "a number of seconds from 0.1 to 86400"),
  ...modelFlags,
  ...trackFlags,
});
export type RunFlags = z.infer<typeof RunFlags>;

/** The value of two flags that mean the same. AppError `caller`: both are given. */
function oneOf<T>(
  first: keyof RunFlags,
  one: T | undefined,
  second: keyof RunFlags,
  other: T | undefined,
): T | undefined {
  if (one !== undefined && other !== undefined)
    throw new AppError("caller", "flags", `${flagName(first)} and ${flagName(second)} are one thing: give one of them`);
  return one ?? other;
}

/** The device that kernels are for: the given one, else what the problem's sizes are made for, else K-Search's H100. */
export const deviceOf = (flags: TargetFlags, problem: Problem): Device =>
  oneOf("targetGpu", flags.targetGpu, "device", flags.device) ?? (madeFor(problem) === "cpu" ? "cpu" : "H100");

/** The language of the kernels: the given one, else C++ for a CPU, and for a GPU K-Search's Triton where it can be. */
export function languageOf(flags: TargetFlags, device: Device, problem: Problem): Language {
  if (flags.language !== undefined) return flags.language;
  if (device === "cpu") return "cpp";
  return languageFault(problem, "triton") === null ? "triton" : "cuda";
}

/** The policy, and how it spends attempts. AppError `caller`: flags that contradict each other. */
function policyOptions(flags: RunFlags, recorded: AttemptsPerNode | null) {
  const policy = flags.policy ?? (flags.worldModel ? "lanes" : "plain");
  if (policy === "plain") {
    const strays = (
      [
        "worldModel",
        "wmModelName",
        "wmStagnationWindow",
        "wmMaxDifficulty",
        "attemptsPerNode",
        "continueFromWorldModel",
      ] as const
    ).filter((name) => flags[name] !== undefined);
    if (strays.length > 0)
      throw new AppError(
        "caller",
        "flags",
        flags.worldModel
          ? "--policy plain has no world model: drop --world-model, or choose --policy lanes or ksearch"
          : `${strays.map(flagName).join(" and ")} ${strays.length === 1 ? "needs" : "need"} a world model: add --world-model`,
      );
  }
  const lanes = flags.lanes ?? (policy === "lanes" ? 4 : 1);
  if (policy === "ksearch" && lanes !== 1)
    throw new AppError("caller", "flags", "--policy ksearch works on one lane, as the original does: drop --lanes");
  if (policy === "lanes" && flags.attemptsPerNode && flags.wmStagnationWindow !== undefined)
    throw new AppError(
      "caller",
      "flags",
      "--attempts-per-node and --wm-stagnation-window are one thing under --policy lanes: give one of them",
    );
  if (policy === "ksearch" && flags.attemptsPerNode)
    throw new AppError("caller", "flags", "--attempts-per-node belongs to --policy lanes: use --wm-stagnation-window");
  const window = flags.wmStagnationWindow ?? 5;
  const given = flags.wmStagnationWindow === undefined ? recorded : null;
  return {
    policy,
    lanes,
    stagnationWindow: window,
    maxDifficulty: flags.wmMaxDifficulty ?? null,
    attemptsPerNode: flags.attemptsPerNode ?? given ?? { base: Math.min(2, window), max: Math.min(50, window) },
  };
}

/** On a GPU a worker holds torch's CUDA libraries, and a build nvcc's passes. */
export const limitsOn = (device: Device, limits: EvaluationSettings["limits"]): EvaluationSettings["limits"] =>
  device === "cpu" || limits.memoryMb === null ? limits : { ...limits, memoryMb: 2 * limits.memoryMb };

/** How kernels are judged: the problem's own way, and what flags change of it. */
export function evaluationOf(
  flags: RunFlags,
  problem: Problem,
  device: Device,
  cores: number,
  baselineNs: Record<string, number> | null,
): EvaluationSettings {
  const settings = settingsFor(problem);
  const { correctness, timing } = settings;
  const isKernelBench = problem.format === "kernelbench";
  const strays = Object.entries(ownFlags).flatMap(([format, names]) =>
    format === problem.format ? [] : names.filter((name) => flags[name] !== undefined),
  );
  if (strays.length > 0)
    throw new AppError(
      "caller",
      "flags",
      `${strays.map(flagName).join(" and ")} cannot stand beside a problem of the format ${problem.format}`,
    );
  if (problem.format === "gpumode" && flags.baselineSolution !== undefined)
    throw new AppError("caller", "flags", "--baseline-solution cannot stand beside a problem of the format gpumode");
  const trials = isKernelBench ? flags.kernelbenchNumCorrectTrials : flags.numTrials;
  const iterations = oneOf("kernelbenchNumPerfTrials", flags.kernelbenchNumPerfTrials, "iterations", flags.iterations);
  const atOnce =
    flags.maxParallelWorkloads === undefined || flags.maxParallelWorkloads === 0 ? cores : flags.maxParallelWorkloads;
  if (flags.maxParallelWorkloads !== undefined && !flags.parallelWorkloads)
    throw new AppError("caller", "flags", "--max-parallel-workloads needs --parallel-workloads");
  return {
    ...settings,
    correctness: {
      ...correctness,
      trials: trials ?? correctness.trials,
      rtol: flags.rtol ?? correctness.rtol,
      atol: flags.atol ?? correctness.atol,
    },
    timing: {
      ...timing,
      iterations: iterations ?? timing.iterations,
      warmup: flags.warmupRuns ?? timing.warmup,
      flushCache: true,
    },
    aggregate: baselineNs === null ? settings.aggregate : "geomean_vs_baseline",
    baselineNs,
    isolateWorkloads: flags.useIsolatedRunner === true,
    parallelWorkloads: flags.parallelWorkloads ? Math.min(64, atOnce) : 1,
    feedbackOrder: flags.feedbackTracePolicy,
    limits: limitsOn(device, settings.limits),
  };
}

/** Flags that only one format understands. Beside another they are a contradiction, not a wish to ignore. */
const ownFlags = {
  flashinfer: ["numTrials", "rtol", "atol", "feedbackWorkloads", "numEvalWorkload"],
  gpumode: ["gpumodeMode", "gpumodeTaskDir", "gpumodeKeepTmp"],
  kernelbench: [
    "kernelbenchLevel",
    "kernelbenchProblemId",
    "kernelbenchEvalMode",
    "kernelbenchNumCorrectTrials",
    "kernelbenchNumPerfTrials",
  ],
} as const satisfies Record<Problem["format"], readonly (keyof RunFlags)[]>;

export type RunFacts = Pick<
  RunOptions,
  | "device"
  | "language"
  | "deviceFacts"
  | "models"
  | "treeModel"
  | "modelLabel"
  | "recordedReplies"
  | "evaluation"
  | "baseline"
> & { attemptsPerNode: AttemptsPerNode | null };

/** What the run's first event records. `attemptsPerNode` of the facts is a transcript's own. */
export function runOptions(flags: RunFlags, { attemptsPerNode, ...facts }: RunFacts): RunOptions {
  return RunOptionsSchema.parse({
    ...policyOptions(flags, attemptsPerNode),
    laneShare: 25,
    budgetAttempts: oneOf("maxOptRounds", flags.maxOptRounds, "budgetAttempts", flags.budgetAttempts) ?? 5,
    budgetMicroUsd: flags.budgetUsd === undefined ? null : Math.round(flags.budgetUsd * 1e6),
    targetScore: flags.targetScore ?? null,
    patience: flags.patience ?? null,
    confirmTop: flags.confirmTop,
    seed: flags.seed,
    maxOutputTokens: flags.maxOutputTokens,
    llmTimeoutMs: Math.round(flags.llmTimeout * 1_000),
    ...facts,
  });
}
