import { z } from "zod";

/**
 * A problem of KernelBench (spec/backends.md 3.1): one Python file with `Model`, `get_inputs` and `get_init_inputs`. The
 * answer is a class `ModelNew` with the same constructor and forward.
 */
export const KernelBenchProblem = z
  .strictObject({
    format: z.literal("kernelbench"),
    /** `kernelbench_l<level>_p<id>`, as K-Search names it. */
    name: z.string().regex(/^kernelbench_l\d+_p\d+$/, "kernelbench_l<level>_p<id>"),
    level: z.int().min(1).max(4),
    problemId: z.int().positive(),
    /** The file's name without its id and suffix, e.g. `Square_matrix_multiplication_`. */
    title: z.string(),
    source: z.string().min(1).max(400_000),
    precision: z.enum(["fp32", "fp16", "bf16"]),
    /** What the sizes are meant for; null: nothing says. */
    madeFor: z.enum(["cpu", "gpu"]).nullable(),
  })
  .superRefine(({ source }, context) => {
    const wanted: [string, RegExp][] = [
      ["class Model", /^class\s+Model\b/m],
      ["function get_inputs", /^def\s+get_inputs\s*\(/m],
      ["function get_init_inputs", /^def\s+get_init_inputs\s*\(/m],
    ];
    for (const [what, pattern] of wanted)
      if (!pattern.test(source)) context.addIssue({ code: "custom", message: `the source has no top-level ${what}` });
  });
export type KernelBenchProblem = z.infer<typeof KernelBenchProblem>;
