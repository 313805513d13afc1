import { AppError, type Problem } from "@ksearch/domain";
import { kernelBenchName, readGpuMode } from "./local.ts";
import { listProblems, loadProblem } from "./problems.ts";
import type { ProblemFlags } from "./run-flags.ts";

/** The problem that a command means, and where it came from. */
export type Chosen = {
  problem: Problem;
  notes: string[];
  /** The user's own FlashInfer-Bench dataset; null: what comes along, or another format. */
  dataset: string | null;
};

/** Workloads of a dataset that a search is judged on unless they are named (spec/ksearch.md 5.2). */
const sampleSize = 5;

/** The TriMul of K-Search's `--task-source gpumode`. */
const gpuModeDefault = "trimul";

/**
 * The problem of `ksearch run <problem>` or of K-Search's flags (`--task-source`, `--definition`, …). AppError `caller`:
 * unknown, broken, or named twice.
 */
export function chooseProblem(given: string | undefined, flags: ProblemFlags, seed: number): Chosen {
  const { definition, taskSource, gpumodeTaskDir, gpumodeMode = "benchmark", problems } = flags;
  const taskPath = same("--task-path", flags.taskPath, "--local", flags.local);
  const name = same("the problem's name", given, "--definition", definition);
  if (gpumodeTaskDir !== undefined) {
    refuse("--gpumode-task-dir", { name, "--task-path": taskPath });
    return { ...readGpuMode(gpumodeTaskDir, gpumodeMode), dataset: null };
  }
  const { kernelbenchLevel: level, kernelbenchProblemId: id } = flags;
  const asked = name ?? onlyOne(flags, taskPath) ?? nameBySource(taskSource, level, id);
  if (name !== undefined && (level ?? id) !== undefined)
    throw new AppError("caller", "flags", `'${name}' and --kernelbench-level name two problems: give one of them`);
  const workloads =
    flags.feedbackWorkloads !== undefined
      ? { uuids: flags.feedbackWorkloads }
      : taskPath === undefined
        ? ("all" as const)
        : { sample: sampleSize, seed };
  const { problem, notes } = loadProblem(asked, { problems, taskPath, taskSource, workloads, gpumodeMode });
  return { problem, notes, dataset: problem.format === "flashinfer" ? (taskPath ?? null) : null };
}

/** The problem of a file, or of a dataset that holds no other. */
function onlyOne({ problems, taskSource, kernelbenchLevel, kernelbenchProblemId }: ProblemFlags, taskPath?: string) {
  if (taskPath === undefined || (kernelbenchLevel ?? kernelbenchProblemId) !== undefined) return undefined;
  const [only, another] = listProblems({ problems, taskPath, taskSource });
  return another === undefined ? only?.name : undefined;
}

function nameBySource(taskSource: Problem["format"] | undefined, level: number | undefined, id: number | undefined) {
  if (taskSource === "gpumode") return gpuModeDefault;
  if (taskSource === "kernelbench" || (taskSource === undefined && (level ?? id) !== undefined))
    return kernelBenchName(level ?? 1, id ?? 1);
  throw new AppError(
    "caller",
    "flags",
    "no problem is named: give one ('ksearch problems' lists them), or --definition, --task-source gpumode, --task-source kernelbench",
  );
}

/** One value under two names. */
function same(one: string, a: string | undefined, other: string, b: string | undefined): string | undefined {
  if (a !== undefined && b !== undefined && a !== b)
    throw new AppError("caller", "flags", `${one} ('${a}') and ${other} ('${b}') are one thing: give one of them`);
  return a ?? b;
}

function refuse(flag: string, others: Record<string, string | undefined>): void {
  const stray = Object.entries(others).find(([, value]) => value !== undefined);
  if (stray)
    throw new AppError(
      "caller",
      "flags",
      `${flag} and ${stray[0] === "name" ? `'${stray[1]}'` : stray[0]} name two problems`,
    );
}
