import type { SourceFile } from "../kernel.ts";
import type { Problem, WorkloadFacts } from "../problem.ts";
import { gpuModeReference } from "../problems/gpumode.ts";

/** The code that a problem's kernels are held against. */
export function referenceOf(problem: Problem): SourceFile {
  switch (problem.format) {
    case "flashinfer":
      return { path: "reference.py", content: problem.definition.reference };
    case "gpumode":
      return gpuModeReference(problem);
    case "kernelbench":
      return { path: `${problem.title}.py`, content: problem.source };
  }
}

/** What a problem says of itself, empty if nothing. */
export function descriptionOf(problem: Problem): string {
  switch (problem.format) {
    case "flashinfer":
      return problem.definition.description ?? "";
    case "gpumode":
      return problem.description;
    case "kernelbench":
      return problem.title.replaceAll("_", " ").trim();
  }
}

/** `batch 8, width 64`; empty where a workload has no sizes of its own. */
export const sizesOf = ({ axes }: Pick<WorkloadFacts, "axes">): string =>
  Object.entries(axes)
    .map(([axis, size]) => `${axis} ${size}`)
    .join(", ");

/** What a table calls a workload: the beginning of a UUID, any other name whole. */
export const shortId = (id: string): string => (/^[0-9a-f]{8}-[0-9a-f-]{27}$/.test(id) ? id.slice(0, 8) : id);
