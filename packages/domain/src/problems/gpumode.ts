import { z } from "zod";
import { SourceFile } from "../kernel.ts";

/**
 * A problem of GPU MODE's format (spec/backends.md 2): Python files that make inputs, compute the reference and check an
 * output, and the cases to do that for. Booleans of a case stay booleans; upstream turns them into truthy text.
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
    /** `reference.py` with `generate_input`, `ref_kernel` and `check_implementation`, and the modules that it imports. */
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
    const reference = files.find(({ path }) => path === "reference.py")?.content;
    if (reference === undefined) context.addIssue({ code: "custom", message: "there is no file reference.py" });
    for (const name of ["generate_input", "ref_kernel", "check_implementation"])
      if (reference !== undefined && !new RegExp(`^(def\\s+${name}\\s*\\(|${name}\\s*=)`, "m").test(reference))
        context.addIssue({ code: "custom", message: `reference.py has no top-level '${name}'` });
    const ids = [...tests, ...benchmarks].map(({ id }) => id);
    const twice = ids.find((id, index) => ids.indexOf(id) !== index);
    if (twice !== undefined) context.addIssue({ code: "custom", message: `two cases are called '${twice}'` });
  });
export type GpuModeProblem = z.infer<typeof GpuModeProblem>;
