import { basename, dirname, normalize } from "node:path";
import { AppError, GpuModeProblem, messageOf, type SourceFile } from "@ksearch/domain";
import { parseDocument } from "yaml";
import { z } from "zod";
import { type Folder, openFolder } from "../folder.ts";
import { parsed } from "../invalid.ts";
import { byName, type Listed, listed, withoutTwins } from "../listed.ts";
import { casesOf } from "./cases.ts";

/** `benchmark`: the timed cases alone. `leaderboard`: also the tests, which are checked and not timed. */
export type GpuModeMode = "benchmark" | "leaderboard";

/** What stands for a submission among the files of a task. */
const submission = "@SUBMISSION@";

/** GPU MODE's runner of problems in C++; its Python one is named in `config.main`. */
const runnerInCpp = "eval.cu";

const Cases = z.array(z.record(z.string(), z.unknown(), "a map of flat values"));

/** `task.yml` (spec/backends.md 2.2), with two keys of our own: `name` and `made_for`. */
const Task = z.looseObject({
  name: z.string().optional(),
  made_for: z.enum(["cpu", "gpu"]).optional(),
  lang: z.enum(["py", "cu"]).default("py"),
  multi_gpu: z.literal(false, "problems for several GPUs cannot be judged").default(false),
  description: z.string().default(""),
  files: z.array(z.object({ name: z.string(), source: z.string() })),
  config: z
    .looseObject({
      main: z.string().default("eval.py"),
      sources: z.array(z.string()).default([]),
      include_dirs: z.array(z.string()).nullish(),
      defines: z
        .record(
          z.string().regex(/^[A-Za-z_]\w*$/, "the name of a macro"),
          z.union([z.string().regex(/^[^\n\\]*$/, "on one line"), z.number()]).nullable(),
        )
        .nullish(),
      compile_flags: z.array(z.string()).nullish(),
    })
    .prefault({}),
  tests: Cases.nullish(),
  benchmarks: Cases,
  ranking_by: z.enum(["last", "mean", "geom"]).default("last"),
});
type Task = z.infer<typeof Task>;

/** Keys of upstream's that say nothing to us: sample code, time limits, machines, a seed. */
const passedBy = [
  "templates",
  "libraries",
  "test_timeout",
  "benchmark_timeout",
  "ranked_timeout",
  "seed",
  "gpus",
] as const;

/**
 * A problem in GPU MODE's layout: a folder with `task.yml` and its files, of which some may lie in the folder above it.
 * `notes`: what of it has no effect here. Throws AppError `caller` with the place.
 */
export function readGpuMode(path: string, mode: GpuModeMode): { problem: GpuModeProblem; notes: string[] } {
  const folder = openFolder(path, "GPU MODE problem");
  const shown = folder.show("task.yml");
  if (!folder.isFile("task.yml")) throw new AppError("caller", "dataset.layout", `${shown} is missing`);
  const task = parsed(Task, yamlOf(folder), shown);
  const isCpp = task.lang === "cu" && !task.files.some(({ name }) => name === "reference.py");
  const above = openFolder(dirname(folder.root), "folder of GPU MODE problems");
  const runners = isCpp ? [runnerInCpp] : [task.config.main, ...task.config.sources];
  const files = task.files
    .filter(({ name, source }) => source !== submission && !runners.includes(name))
    .map(({ name, source }) => ({ path: name, content: sourceText(above, folder, source) }));
  const cases = casesOf(task.benchmarks, task.tests ?? [], shown);
  const problem = {
    format: "gpumode",
    name: task.name ?? basename(folder.root),
    description: task.description.trim(),
    files: isCpp ? cppFiles(task, files, shown) : files,
    tests: mode === "leaderboard" ? cases.tests : [],
    benchmarks: cases.benchmarks,
    rankingBy: task.ranking_by,
    madeFor: task.made_for ?? null,
  };
  return { problem: parsed(GpuModeProblem, problem, shown), notes: notesOn(task, isCpp, shown) };
}

/** Flags that say what the referee's own say: they change no meaning. */
const impliedFlag = /^(-O[0-3]|-{1,2}std=c\+\+(11|14|17|20))$/;

/** The headers of a problem in C++, with the macros of its configuration. AppError `caller`: it is built in a way of its own. */
function cppFiles({ config, files: named }: Task, files: readonly SourceFile[], shown: string): SourceFile[] {
  const refuse = (what: string): AppError => new AppError("caller", "problem.build", `${shown}: config.${what}`);
  const submitted = named.find(({ source }) => source === submission)?.name;
  const other = config.sources.find((name) => name !== runnerInCpp && name !== submitted);
  if (other !== undefined)
    throw refuse(`sources: '${other}' would be compiled by itself: move what it holds into a header (.h, .cuh)`);
  if (config.include_dirs?.length)
    throw refuse(`include_dirs: folders of the machine are not read: list the headers that are needed under files`);
  const flag = config.compile_flags?.find((each) => !impliedFlag.test(each));
  if (flag !== undefined)
    throw refuse(
      `compile_flags: '${flag}' cannot be given, kernels are built with the referee's own flags: leave it out, or write what it says into the code (macros into defines)`,
    );
  const macros = Object.entries(config.defines ?? {}).map(([name, value]) => `#define ${name} ${value ?? ""}`.trim());
  if (macros.length === 0) return [...files];
  return files.map((file) =>
    file.path === "task.h" ? { ...file, content: `${macros.join("\n")}\n${file.content}` } : file,
  );
}

function sourceText(above: Folder, folder: Folder, source: string): string {
  const within = normalize(`${basename(folder.root)}/${source}`);
  if (source.startsWith("/") || /^\.\.(\/|$)/.test(within))
    throw new AppError(
      "caller",
      "file.path",
      `${folder.show("task.yml")}: the source '${source}' lies outside ${above.root}: put the file there, or beside task.yml`,
    );
  return above.text(within);
}

function yamlOf(folder: Folder): unknown {
  const shown = folder.show("task.yml");
  const refuse = (why: string, cause?: unknown): AppError =>
    new AppError("caller", "problem.invalid", `${shown} is not YAML: ${why.split("\n")[0]?.replace(/:$/, "")}`, {
      cause,
    });
  const document = parseDocument(folder.text("task.yml"), { logLevel: "error" });
  const [error] = document.errors;
  if (error) throw refuse(error.message, error);
  try {
    return document.toJS();
  } catch (error) {
    throw refuse(messageOf(error), error);
  }
}

function notesOn(task: Task, isCpp: boolean, shown: string): string[] {
  const known = new Set<string>([...Object.keys(Task.shape), ...passedBy]);
  const unknown = Object.keys(task).filter((key) => !known.has(key));
  const runner = [task.config.main, ...task.config.sources].find((main) =>
    task.files.some(({ name, source }) => name === main && source !== submission),
  );
  return [
    ...(unknown.length > 0 ? [`${shown}: not known, and without effect: ${unknown.join(", ")}`] : []),
    ...(runner ? [`${runner} is GPU MODE's own runner and is not read: the referee has its own`] : []),
    ...(task.lang === "cu" && !isCpp ? ["it is meant for kernels in CUDA: search it with --language cuda"] : []),
  ];
}

/** The problems in a folder: the folder itself, or every folder in it that has a `task.yml`. */
export function listGpuMode(path: string): Listed[] {
  const set = openFolder(path, "folder of GPU MODE problems");
  const found = set.isFile("task.yml") ? [listedAt(set.root)] : problemsIn(set);
  if (found.length > 0) return withoutTwins(found).sort(byName);
  throw new AppError(
    "caller",
    "dataset.layout",
    `${set.root} is no GPU MODE problem and holds none: there is no task.yml in it, nor in a folder in it`,
  );
}

const problemsIn = (set: Folder): Listed[] =>
  set.names("").flatMap((name) => {
    try {
      return set.isFolder(name) && set.isFile(`${name}/task.yml`) ? [listedAt(set.show(name))] : [];
    } catch (error) {
      return [
        listed({ format: "gpumode", name, path: set.show(name) }, () => {
          throw error;
        }),
      ];
    }
  });

function listedAt(path: string): Listed {
  return listed({ format: "gpumode", name: basename(path), path }, () => {
    const { name, description, benchmarks, madeFor } = readGpuMode(path, "benchmark").problem;
    return { name, opType: null, workloads: benchmarks.length, madeFor, description, tags: [] };
  });
}
