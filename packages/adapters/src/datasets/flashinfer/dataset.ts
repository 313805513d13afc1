import { basename } from "node:path";
import { AppError, Definition, sizesFor, Workload } from "@ksearch/domain";
import { z } from "zod";
import { type Folder, openFolder } from "../folder.ts";
import { parsed, parsedLine } from "../invalid.ts";
import { byName, type Listed, listed } from "../listed.ts";
import { didYouMean } from "../nearest.ts";

/** Opens a FlashInfer-Bench dataset ("FlashInfer Trace", spec/backends.md 1.1). */
export function openDataset(root: string): Folder {
  const folder = openFolder(root, "FlashInfer-Bench dataset");
  if (folder.isFolder("definitions")) return folder;
  throw new AppError(
    "caller",
    "dataset.layout",
    `${folder.root} is no FlashInfer-Bench dataset: it has no folder definitions/`,
  );
}

/** A file below `definitions/`, under the name that it gives itself, or the file's where it cannot be read. */
type DefinitionFile = { name: string; path: string; json: () => unknown };

function definitionFiles(folder: Folder): DefinitionFile[] {
  return folder.filesBelow("definitions", ".json").map((path) => {
    try {
      const json = folder.json(path);
      const named = z.object({ name: z.string() }).safeParse(json);
      return { name: named.success ? named.data.name : basename(path, ".json"), path, json: () => json };
    } catch (error) {
      const json = () => {
        throw error;
      };
      return { name: basename(path, ".json"), path, json };
    }
  });
}

/** The one definition of a name. */
function readDefinition(folder: Folder, name: string, files: readonly DefinitionFile[]): Definition {
  const [file, second] = files.filter((each) => each.name === name);
  if (!file) {
    const near = didYouMean(
      name,
      files.map((each) => each.name),
    );
    throw new AppError("caller", "problem.unknown", `there is no definition '${name}' in ${folder.root}.${near}`);
  }
  if (second)
    throw new AppError(
      "caller",
      "dataset.duplicate",
      `two definitions are called '${name}': ${folder.show(file.path)} and ${folder.show(second.path)}; remove one`,
    );
  return parsed(Definition, file.json(), folder.show(file.path));
}

export const definitionOf = (folder: Folder, name: string): Definition =>
  readDefinition(folder, name, definitionFiles(folder));

/** A line of a workload file: a trace of no solution. */
const WorkloadLine = z.object({
  definition: z.string().optional(),
  workload: Workload,
  solution: z.null("a workload file holds no traces of solutions").optional(),
});

/** The workloads of a definition as they are published, in order. */
export function publishedWorkloads(folder: Folder, { name, op_type }: Definition): Workload[] {
  const files = folder.filesBelow("workloads", ".jsonl").filter((path) => basename(path) === `${name}.jsonl`);
  if (files.length === 0)
    throw new AppError(
      "caller",
      "problem.workloads",
      `${folder.show(`workloads/${op_type}/${name}.jsonl`)} is missing: a problem needs at least one workload`,
    );
  return files.flatMap((path) =>
    [...folder.lines(path)].map(({ text, number }) => {
      const where = `${folder.show(path)}, line ${number}`;
      const { definition = name, workload } = parsed(WorkloadLine, parsedLine(text, where), where);
      if (definition === name) return workload;
      throw new AppError("caller", "problem.invalid", `${where}: a workload of '${definition}', not of '${name}'`);
    }),
  );
}

/** Every definition of a dataset with what a list shows of it. No blob is opened. */
export function listFlashInfer(root: string): Listed[] {
  const folder = openDataset(root);
  const files = definitionFiles(folder);
  return [...new Set(files.map(({ name }) => name))]
    .map((name) =>
      listed({ format: "flashinfer", name, path: folder.root }, () => {
        const definition = readDefinition(folder, name, files);
        const workloads = publishedWorkloads(folder, definition).length;
        if (workloads === 0) throw new AppError("caller", "problem.workloads", "its workload file is empty");
        const { op_type: opType, description, tags = [] } = definition;
        return { opType, workloads, madeFor: sizesFor(definition), description: description ?? "", tags };
      }),
    )
    .sort(byName);
}
