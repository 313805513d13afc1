import { z } from "zod";
import { canonicalJson, sha256Hex } from "./digest.ts";

export const Language = z.enum(["cpp", "python", "triton", "cuda"]);
export type Language = z.infer<typeof Language>;

/** A relative POSIX path inside a kernel: no `..`, no leading slash, no back-slash. */
export const FilePath = z
  .string()
  .min(1)
  .max(120)
  .regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]*(\/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$/, "a plain relative path without '..'");

export const SourceFile = z.strictObject({ path: FilePath, content: z.string().max(400_000) });
export type SourceFile = z.infer<typeof SourceFile>;

/**
 * A complete solution of one problem: what a draft yields and the referee judges.
 * `binding` says how the entry is called: `c-abi` (an extern "C" function, see `cPrototype`), `c++` (a function of the
 * containers of a problem in C++), `python` (an importable function or class), `torch` (a pybind11 module of torch's).
 * `entryForms` (entry.ts) has what prompts ask for.
 * Its identity is {@link kernelId}: the digest of all of this; names and authors are not part of it.
 */
export const Kernel = z
  .strictObject({
    definition: z.string().min(1),
    language: Language,
    entryPoint: z.string().regex(/^[^:]+::[A-Za-z_][A-Za-z0-9_]*$/, "file::symbol"),
    binding: z.enum(["c-abi", "c++", "python", "torch"]),
    destinationPassing: z.boolean(),
    targetHardware: z.array(z.string().min(1)).min(1),
    dependencies: z.array(z.string()),
    files: z
      .array(SourceFile)
      .min(1)
      .max(16)
      .refine((files) => new Set(files.map((file) => file.path)).size === files.length, "file paths are unique"),
  })
  .refine(({ entryPoint, files }) => files.some((file) => entryPoint.startsWith(`${file.path}::`)), {
    path: ["entryPoint"],
    message: "the entry's file is among the files",
  });
export type Kernel = z.infer<typeof Kernel>;

export type KernelId = `ker_${string}`;

/** `ker_` and the first 16 hex digits of the SHA-256 of the kernel's canonical JSON. */
export const kernelId = (kernel: Kernel): KernelId => `ker_${sha256Hex(canonicalJson(kernel)).slice(0, 16)}`;

/** The kernel as K-Search's and FlashInfer-Bench's solution JSON (spec/ksearch.md section 6). */
export const toSolution = (
  kernel: Kernel,
  { name, author, description }: { name: string; author: string; description: string },
) => ({
  name,
  definition: kernel.definition,
  author,
  description,
  spec: {
    language: kernel.language,
    target_hardware: kernel.targetHardware,
    entry_point: kernel.entryPoint,
    dependencies: kernel.dependencies,
    destination_passing_style: kernel.destinationPassing,
    binding: kernel.binding,
  },
  sources: kernel.files,
});
