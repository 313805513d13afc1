import { z } from "zod";
import { Aggregate, Device, Profile } from "./request.ts";

const count = z.int().nonnegative();
const nanoseconds = z.int().positive();
/** A finite number, or the words for what JSON has no number for. */
const measured = z.union([z.number(), z.enum(["nan", "inf", "-inf"])]);

/** Times of one kernel on one workload, integer ns. `statistic` is the one the score uses. */
export const Timing = z.strictObject({
  n: z.int().positive(),
  medianNs: nanoseconds,
  meanNs: nanoseconds,
  stdNs: count,
  minNs: nanoseconds,
  p90Ns: nanoseconds,
});
export type Timing = z.infer<typeof Timing>;

export const Correctness = z.strictObject({
  trials: count,
  checkedTimed: count,
  maxAbs: measured,
  maxRel: measured,
  rmsRel: measured,
  matchedRatio: z.number().min(0).max(1),
  /** The first wrong elements, at most five. */
  bad: z.array(z.strictObject({ output: z.string(), index: z.array(count), got: measured, want: measured })).max(5),
});

const failureStatuses = [
  "compile_error",
  "incorrect_shape",
  "incorrect_dtype",
  "incorrect_numerical",
  "runtime_error",
  "timeout",
  "rejected",
  "infra_error",
] as const;
export const FailureStatus = z.enum(failureStatuses);
export type FailureStatus = z.infer<typeof FailureStatus>;
export const VerdictStatus = z.enum(["passed", ...failureStatuses]);
export type VerdictStatus = z.infer<typeof VerdictStatus>;

export const WorkloadVerdict = z.strictObject({
  id: z.string(),
  /** Sizes, or the arguments of a GPU MODE case. */
  axes: z.record(z.string(), z.union([z.number(), z.string(), z.boolean()])),
  status: z.enum(["passed", "not_run", ...failureStatuses]),
  correctness: Correctness.nullable(),
  /** What a caller waits for one call. */
  call: Timing.nullable(),
  /** What the GPU's own clock says of one call, launches hidden; null on a CPU, and where a guard says why. */
  device: Timing.nullable(),
  referenceCall: Timing.nullable(),
  referenceDevice: Timing.nullable(),
  incumbentCall: Timing.nullable(),
  incumbentDevice: Timing.nullable(),
  /** No shorter time is believed: 0.9 of the roofline; null where there is no formula. */
  floorNs: nanoseconds.nullable(),
  /** By how much a forged claim could have made `call` too short unnoticed, ns; null without times, or without a bound. */
  undercutNs: count.nullable(),
  /** reference ÷ candidate, by the chosen statistic. */
  speedup: z.number().positive().nullable(),
});
export type WorkloadVerdict = z.infer<typeof WorkloadVerdict>;

export const Guard = z.strictObject({
  /** An exploit of spec/backends.md 5.2 (`X07`) or a rule of our own (`K01`). */
  id: z.string().min(1),
  level: z.enum(["info", "warn", "reject"]),
  evidence: z.string(),
});

/** What a kernel compiled for a GPU takes of it, as its compiler told; advice, decided by nothing. Null: nobody told. */
export const KernelResources = z.strictObject({
  name: z.string(),
  /** Threads of a block; null where the launch chooses them. */
  threads: z.int().positive().nullable(),
  /** Of a thread, like the two after it. */
  registers: count.nullable(),
  spillBytes: count.nullable(),
  stackBytes: count.nullable(),
  /** Of a block; what a launch asks for beyond it is not known. */
  sharedBytes: count.nullable(),
  /** Share of a multiprocessor's warps that this allows, by formula; without `threads` the best of any block size. */
  occupancy: z.number().min(0).max(1).nullable(),
});
export type KernelResources = z.infer<typeof KernelResources>;

/** A profile of one call, taken after the timing where `settings.digest` asks for it; advice, never evidence. */
export const Digest = z.strictObject({
  /** NVIDIA's counters, torch's profiler (names and times alone), or why there is neither. */
  source: z.enum(["ncu", "torch", "none"]),
  note: z.string(),
  kernels: z
    .array(
      z.strictObject({
        name: z.string(),
        launches: z.int().positive(),
        durationNs: count,
        figures: z.record(z.string(), z.number()),
      }),
    )
    .max(12),
});
export type Digest = z.infer<typeof Digest>;

/** One look at a GPU by its driver's management library; what it does not tell is null. */
export const GpuState = z.strictObject({
  smMhz: count.nullable(),
  memoryMhz: count.nullable(),
  temperatureC: count.nullable(),
  powerMw: count.nullable(),
  /** What holds its clocks down, in words. */
  throttle: z.array(z.string()),
});
export type GpuState = z.infer<typeof GpuState>;

export const Environment = z.strictObject({
  gpu: z.string().nullable(),
  gpuCount: count,
  cpu: z.string(),
  cpuCount: z.int().positive(),
  os: z.string(),
  python: z.string(),
  numpy: z.string().nullable(),
  torch: z.string().nullable(),
  compiler: z.string().nullable(),
  compilerFlags: z.array(z.string()),
  harnessVersion: z.string(),
  /** What separated the worker from the driver on this host, e.g. `process`, `empty-env`, `rlimits`. */
  isolation: z.array(z.string()),
  /** The GPU before the first timed call and after the last; null without one, without times, or where the host does not tell. */
  clocks: z.strictObject({ before: GpuState, after: GpuState }).nullable(),
});
export type Environment = z.infer<typeof Environment>;

const ratio = z.strictObject({ value: z.number().positive(), low: z.number().positive(), high: z.number().positive() });

const common = {
  schema: z.literal("ksearch.result/1"),
  requestId: z.string(),
  device: Device,
  profile: Profile,
  /**
   * What the times rest on: the worker's claims as far as the driver's clocks bear them out (`bounded`), or those claims alone
   * (`claimed`: profile `compat`); null without times.
   */
  timing: z.enum(["bounded", "claimed"]).nullable(),
  phase: z.enum(["static", "build", "smoke", "correctness", "timing", "postcheck", "done"]),
  workloads: z.array(WorkloadVerdict),
  guards: z.array(Guard),
  resources: z.array(KernelResources).max(16),
  digest: Digest.nullable(),
  logs: z.strictObject({
    build: z.string(),
    run: z.string(),
    /** At most 8 KB, written for the model: the first real error, the first bad elements, what passed. */
    feedback: z.string().max(8_192),
    truncated: z.boolean(),
  }),
  env: Environment,
  usage: z.strictObject({ queuedMs: count, buildMs: count, deviceMs: count, wallMs: count }),
  /** The secret seed that the driver drew for this evaluation, told afterwards: 32 hex digits. */
  seed: z.string().regex(/^[0-9a-f]{32}$/),
  kernelDigest: z.string(),
};

/**
 * What the referee says of a kernel. Only a passed verdict has a score: a speed of a wrong kernel cannot be written.
 * `mode: compile` and `mode: test` passes have a null score.
 */
export const Verdict = z.discriminatedUnion("status", [
  z.strictObject({
    ...common,
    status: z.literal("passed"),
    score: z
      .strictObject({
        name: Aggregate,
        value: z.number().positive(),
        /** 95 % bootstrap interval of the value over the timed calls. */
        low: z.number().positive(),
        high: z.number().positive(),
      })
      .nullable(),
    aggregate: z
      .strictObject({
        geomeanSpeedup: z.number().positive(),
        meanSpeedup: z.number().positive(),
        geomeanCallNs: nanoseconds,
        /** Null unless every timed workload has a device time. */
        geomeanDeviceNs: nanoseconds.nullable(),
        geomeanReferenceNs: nanoseconds,
        /** baseline ÷ candidate; null without a baseline. */
        geomeanVsBaseline: z.number().positive().nullable(),
        meanVsBaseline: z.number().positive().nullable(),
        /** incumbent ÷ candidate with its 95 % interval: above 1 the candidate is faster. */
        vsIncumbent: ratio.nullable(),
      })
      .nullable(),
  }),
  z.strictObject({ ...common, status: FailureStatus, message: z.string().max(2_000) }),
]);
export type Verdict = z.infer<typeof Verdict>;
