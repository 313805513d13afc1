import { z } from "zod";
import { SourceFile } from "../kernel.ts";

/**
 * A problem of GPU MODE's format (spec/backends.md 2): files that make inputs, compute the reference and check an output,
 * in Python or in C++, and the cases to do that for. Booleans of a case stay booleans; upstream turns them into truthy text.
 */
export const Case = z.strictObject({
  /** The case as a reader knows it, unique in the problem: its arguments. */
  id: z.string().min(1).max(200),
  /** Keyword arguments of `generate_input`; `seed` is not among them: the referee draws its own. */
  args: z.record(
    z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/),
    z.union([z.int(), z.number(), z.boolean(), z.string().max(200)]),
  ),
});
export type Case = z.infer<typeof Case>;

export const GpuModeProblem = z
  .strictObject({
    format: z.literal("gpumode"),
    name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]*$/, "letters, digits, '_', '.', '-'"),
    description: z.string(),
    /**
     * `reference.py` with `generate_input`, `ref_kernel` and `check_implementation`, and the modules that it imports; or
     * `reference.cuh` with the same, `task.h` with the containers that they work on, and other headers.
     */
    files: z.array(SourceFile).min(1).max(32),
    /** Checked, not timed. Empty where the mode asks for benchmarks alone. */
    tests: z.array(Case).max(128),
    /** Checked and timed. */
    benchmarks: z.array(Case).min(1).max(128),
    rankingBy: z.enum(["last", "mean", "geom"]),
    /** What the sizes are meant for; null: nothing says. */
    madeFor: z.enum(["cpu", "gpu"]).nullable(),
  })
  .superRefine(({ files, tests, benchmarks }, context) => {
    for (const message of referenceFaults(files)) context.addIssue({ code: "custom", message });
    const ids = [...tests, ...benchmarks].map(({ id }) => id);
    const twice = ids.find((id, index) => ids.indexOf(id) !== index);
    if (twice !== undefined) context.addIssue({ code: "custom", message: `two cases are called '${twice}'` });
  });
export type GpuModeProblem = z.infer<typeof GpuModeProblem>;

const pythonReference = "reference.py";
const cppReference = "reference.cuh";

/** Whether a problem's own code is C++, and its kernels therefore functions of C++ containers. */
export const isCppTask = ({ files }: Pick<GpuModeProblem, "files">): boolean =>
  files.some(({ path }) => path === cppReference);

/** The file that says what is computed. */
export function gpuModeReference(problem: GpuModeProblem): SourceFile {
  const name = isCppTask(problem) ? cppReference : pythonReference;
  const file = problem.files.find(({ path }) => path === name);
  if (file === undefined) throw new Error(`a GPU MODE problem without ${name}`);
  return file;
}

/** What is wrong with the files of a problem, in words. */
function referenceFaults(files: readonly SourceFile[]): string[] {
  const textOf = (name: string) => files.find(({ path }) => path === name)?.content;
  const references = [pythonReference, cppReference].filter((name) => textOf(name) !== undefined);
  const [reference] = references;
  if (reference === undefined) return [`there is no file ${pythonReference}, nor ${cppReference}`];
  if (references.length > 1) return [`there is both a ${pythonReference} and a ${cppReference}: leave one out`];
  const isCpp = reference === cppReference;
  const defines = (name: string) =>
    new RegExp(isCpp ? `\\b${name}\\s*\\(` : `^(def\\s+${name}\\s*\\(|${name}\\s*=)`, "m");
  const functions = ["generate_input", "ref_kernel", "check_implementation"].filter(
    (name) => !defines(name).test(textOf(reference) ?? ""),
  );
  const faults = functions.map((name) => `${reference} has no top-level '${name}'`);
  if (!isCpp) return faults;
  const types = ["input_t", "output_t"].filter((name) => !new RegExp(`\\b${name}\\b`).test(textOf("task.h") ?? ""));
  const compiled = files.filter(({ path }) => /\.(cu|cpp|cc)$/.test(path));
  return [
    ...faults,
    ...types.map(
      (name) => `there is no task.h with '${name}': kernels are compiled with it, and without the reference`,
    ),
    ...compiled.map(({ path }) => `'${path}' would be compiled by itself: name it .h or .cuh, for it to be included`),
  ];
}
