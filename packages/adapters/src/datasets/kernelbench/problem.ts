import { AppError, KernelBenchProblem } from "@ksearch/domain";
import { parsed } from "../invalid.ts";
import { type Listed, listed } from "../listed.ts";
import { type Found, type Holding, levels, problemsAt } from "./found.ts";

export type Precision = KernelBenchProblem["precision"];

/** K-Search's name of a problem. */
export const kernelBenchName = (level: number, problemId: number): string => `kernelbench_l${level}_p${problemId}`;

/**
 * A problem of KernelBench by its level and number. Of a single Python file the level and number that its path says hold,
 * with a note where others were asked for. Throws AppError `caller`: unknown (with the nearest), there twice, or not what
 * the schema says.
 */
export function readKernelBench(
  path: string,
  level: number,
  problemId: number,
  precision: Precision,
): { problem: KernelBenchProblem; notes: string[] } {
  const holding = problemsAt(path);
  const found = path.endsWith(".py") ? holding.found[0] : pick(holding, level, problemId);
  if (!found) throw unknown(holding, level, problemId, path);
  const isOther = found.level !== level || found.problemId !== problemId;
  const notes = [
    ...(isOther ? [`${found.where} is level ${found.level}, problem ${found.problemId}`] : []),
    ...(found.level === 4 ? ["level 4 needs the package transformers, and models that it downloads"] : []),
  ];
  return { problem: problemOf(found, precision), notes };
}

function problemOf({ level, problemId, title, where, code }: Found, precision: Precision): KernelBenchProblem {
  const source = code().replaceAll("\r\n", "\n");
  const problem = {
    format: "kernelbench",
    name: kernelBenchName(level, problemId),
    level,
    problemId,
    title,
    source,
    precision,
    madeFor: madeForIn(source),
  };
  return parsed(KernelBenchProblem, problem, where);
}

/** Our own mark, in a comment of the first five lines: `# ksearch: made-for cpu`. */
function madeForIn(source: string): "cpu" | "gpu" | null {
  const head = source.split("\n", 5).join("\n");
  const mark = /^#\s*ksearch:\s*made-for\s+(cpu|gpu)\s*$/m.exec(head)?.[1];
  return mark === "cpu" || mark === "gpu" ? mark : null;
}

/** Null: there is none. */
function pick({ found }: Holding, level: number, problemId: number): Found | null {
  const [first, second] = found.filter((each) => each.level === level && each.problemId === problemId);
  if (first && second)
    throw new AppError(
      "caller",
      "dataset.duplicate",
      `level ${level} has two problems ${problemId}: ${first.where} and ${second.where}; remove one`,
    );
  return first ?? null;
}

function unknown({ found, broken }: Holding, level: number, problemId: number, path: string): AppError {
  const ids = new Set(found.filter((each) => each.level === level).map((each) => each.problemId));
  const near = [...ids].sort((a, b) => Math.abs(a - problemId) - Math.abs(b - problemId)).slice(0, 3);
  const there = levels.filter((each) => found.some((one) => one.level === each));
  const says =
    near.length > 0
      ? `level ${level} has no problem ${problemId}; the nearest are ${near.join(", ")}`
      : `there is no problem of level ${level}, but of ${there.join(", ") || "none"}`;
  const unread = broken[0] ? `. One that cannot be read: ${broken[0].reason}` : "";
  return new AppError("caller", "problem.unknown", `${path}: ${says}${unread}`);
}

/** The problems at a path in the order of level and number; then the records of a data file that are none. */
export function listKernelBench(path: string): Listed[] {
  const holding = problemsAt(path);
  const each = new Map(holding.found.map((found) => [kernelBenchName(found.level, found.problemId), found]));
  const known = [...each]
    .sort(([, a], [, b]) => a.level - b.level || a.problemId - b.problemId)
    .map(([name, { level, problemId }]) =>
      listed({ format: "kernelbench", name, path }, () => {
        const found = pick(holding, level, problemId);
        if (!found) throw unknown(holding, level, problemId, path);
        const { madeFor } = problemOf(found, "fp32");
        const description = found.title.replaceAll("_", " ").trim();
        return { opType: null, workloads: 1, madeFor, description, tags: [] };
      }),
    );
  const broken = holding.broken.map(({ where, reason }): Listed => {
    return { format: "kernelbench", name: where.slice(where.lastIndexOf("/") + 1), path, broken: reason };
  });
  return [...known, ...broken];
}
