import { AppError, type Case } from "@ksearch/domain";

/** A case of `task.yml`: a flat map. */
export type TaskCase = Record<string, unknown>;

const idLength = 190;

/**
 * The cases of a `task.yml` with ids that a person can tell apart: the arguments as they stand there (`seqlen=256 bs=2
 * nomask`), and a number behind the second of equal ones. Benchmarks are named first, so that a benchmark keeps its id
 * whether or not the tests come along.
 *
 * `seed` is dropped: the referee draws its own. The texts "True" and "False" become booleans: GPU MODE hands cases to its
 * harness as text and casts numbers alone, so that `nomask: False` arrives as the text "False", which Python takes for
 * true, and no test of a mask ever had one (spec/backends.md, finding 1).
 */
export function casesOf(
  benchmarks: readonly TaskCase[],
  tests: readonly TaskCase[],
  shown: string,
): { benchmarks: Case[]; tests: Case[] } {
  const taken = new Map<string, number>();
  const named = (list: string, cases: readonly TaskCase[]): Case[] =>
    cases.map((each, index) => {
      const args = argsOf(each, `${shown}: ${list}[${index}]`);
      const text = Object.entries(args).map(argText).join(" ").slice(0, idLength) || "no arguments";
      const times = (taken.get(text) ?? 0) + 1;
      taken.set(text, times);
      return { id: times === 1 ? text : `${text} #${times}`, args };
    });
  return { benchmarks: named("benchmarks", benchmarks), tests: named("tests", tests) };
}

const argText = ([key, value]: [string, unknown]): string => (value === true ? key : `${key}=${value}`);

function argsOf(each: TaskCase, where: string): Case["args"] {
  const refuse = (what: string): AppError => new AppError("caller", "problem.invalid", `${where}: ${what}`);
  const entries = Object.entries(each).filter(([key]) => key !== "seed");
  return Object.fromEntries(
    entries.map(([key, value]) => {
      if (typeof value === "object")
        throw refuse(`'${key}' is ${value === null ? "empty" : "a list or a map"}: only flat values can be read`);
      if (key === "world_size" && value !== 1)
        throw refuse(`it runs on ${value} GPUs at once (world_size), which ksearch cannot judge`);
      return [key, castOf(value)];
    }),
  );
}

function castOf(value: unknown): Case["args"][string] {
  if (value === "True" || value === "true") return true;
  if (value === "False" || value === "false") return false;
  return typeof value === "string" || typeof value === "boolean" ? value : Number(value);
}
