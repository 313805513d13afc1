import { basename } from "node:path";
import { AppError, type Kernel, kernelOfSolution, publishedSolution, Solution } from "@ksearch/domain";
import type { Folder } from "../folder.ts";
import { didYouMean } from "../nearest.ts";
import { definitionOf, openDataset } from "./dataset.ts";
import { pathPart, write } from "./writing.ts";

/**
 * A dataset's solution by its name, as a kernel. Throws AppError `caller`: unknown (with the nearest), there twice, for
 * another definition, or not what we can judge.
 */
export function findSolution(root: string, definition: string, name: string): Kernel {
  const folder = openDataset(root);
  const solutions = readSolutions(folder);
  const found = named(folder, solutions, name);
  if (!found) {
    const names = solutions.filter((each) => each.definition === definition).map((each) => each.name);
    throw new AppError(
      "caller",
      "solution.unknown",
      `there is no solution '${name}' of ${definition} in ${folder.show("solutions")}.${didYouMean(name, names)}`,
    );
  }
  const shown = folder.show(found.path);
  const json = found.json();
  if (found.definition !== null && found.definition !== definition)
    throw new AppError("caller", "solution.problem", `${shown} is for '${found.definition}', not for '${definition}'`);
  const read = kernelOfSolution(json, definitionOf(folder, definition));
  if ("problem" in read) throw new AppError("caller", "solution.invalid", `${shown}: ${read.problem}`);
  return read.kernel;
}

/** Who a solution is, and in whose folder it lies. */
export type SolutionName = { name: string; author: string; description: string };

/**
 * Writes a kernel into a dataset as a solution, and tells where. The same solution may be written again. Throws AppError
 * `caller`: FlashInfer-Bench cannot hold such a kernel, or the name is taken.
 */
export function saveSolution(root: string, kernel: Kernel, about: SolutionName): string {
  const folder = openDataset(root);
  const { op_type } = definitionOf(folder, kernel.definition);
  const published = publishedSolution(kernel, about);
  if ("problem" in published) throw new AppError("caller", "solution.unpublishable", published.problem);
  const text = `${JSON.stringify(published.solution, null, 2)}\n`;
  const taken = named(folder, readSolutions(folder), about.name);
  if (taken && folder.text(taken.path) === text) return folder.show(taken.path);
  if (taken)
    throw new AppError(
      "caller",
      "dataset.duplicate",
      `${folder.show(taken.path)} is already called '${about.name}': choose another name`,
    );
  const parts = [about.author, op_type, kernel.definition, about.name].map(pathPart);
  return write(folder, `solutions/${parts.join("/")}.json`, text, "new");
}

type Found = { name: string; definition: string | null; path: string; json: () => unknown };

/** All solution files under the names that they give themselves; one that cannot be read goes by its file's name. */
function readSolutions(folder: Folder): Found[] {
  return folder.filesBelow("solutions", ".json").map((path) => {
    const fileName = basename(path, ".json");
    try {
      const json = folder.json(path);
      const { data } = Solution.pick({ name: true, definition: true }).safeParse(json);
      return { name: data?.name ?? fileName, definition: data?.definition ?? null, path, json: () => json };
    } catch (error) {
      const json = () => {
        throw error;
      };
      return { name: fileName, definition: null, path, json };
    }
  });
}

function named(folder: Folder, solutions: readonly Found[], name: string): Found | null {
  const [first, second] = solutions.filter((solution) => solution.name === name);
  if (first && second)
    throw new AppError(
      "caller",
      "dataset.duplicate",
      `two solutions are called '${name}': ${folder.show(first.path)} and ${folder.show(second.path)}; remove one`,
    );
  return first ?? null;
}
