import { type Kernel, type LineDiff, type Problem, referenceOf } from "@ksearch/domain";
import { structuredPatch } from "diff";

/** What a kernel was made from, and what to call it. */
export type Base = { kernel: Kernel; words: string };

/** Lines that are no edit and stand around each edit. */
const context = 3;

/** Edits beyond which a line diff of two sources says nothing and takes long. */
const mostEdits = 4_000;

/** What a kernel changed: of its base, and of the reference where both are Python. */
export function diffsOf(problem: Problem, kernel: Kernel, base: Base | null): LineDiff[] {
  return [...(base === null ? [] : sinceBase(kernel, base)), ...sinceReference(problem, kernel)];
}

function sinceBase(kernel: Kernel, base: Base): LineDiff[] {
  const paths = new Set([...base.kernel.files, ...kernel.files].map(({ path }) => path));
  return [...paths].map((path) =>
    lineDiff(
      `What it changed in ${path} of its base, ${base.words}`,
      sourceOf(base.kernel, path),
      sourceOf(kernel, path),
    ),
  );
}

function sinceReference(problem: Problem, kernel: Kernel): LineDiff[] {
  if (kernel.language !== "python" && kernel.language !== "triton") return [];
  const [path = ""] = kernel.entryPoint.split("::");
  const reference = referenceOf(problem);
  return [lineDiff(`From ${reference.path} to ${path}`, reference.content, sourceOf(kernel, path))];
}

/** Empty where a kernel has no such file: all its lines are then removed or added. */
const sourceOf = ({ files }: Kernel, path: string): string => files.find((file) => file.path === path)?.content ?? "";

function lineDiff(title: string, from: string, to: string): LineDiff {
  const patch = structuredPatch("", "", from, to, "", "", { context, maxEditLength: mostEdits });
  if (patch === undefined) return { title, hunks: null };
  const hunks = patch.hunks.map(({ oldStart, oldLines, newStart, newLines, lines }) => ({
    head: `@@ -${oldStart},${oldLines} +${newStart},${newLines} @@`,
    lines,
  }));
  return { title, hunks };
}
