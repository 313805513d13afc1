import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { AppError, complaints, Definition, FlashInferProblem, Workload } from "@ksearch/domain";
import { distance } from "fastest-levenshtein";
import { z } from "zod";
import { readJson, readText } from "./text.ts";

const Trace = z.object({ workload: Workload });

/** A problem that can be named: where its definition and its workloads lie. */
export type Listed = { name: string; opType: string; definitionPath: string; workloadsPath: string };

/** The problems below a FlashInfer-Bench style folder (`definitions/<op>/<name>.json`, `workloads/<op>/<name>.jsonl`), by name. */
export function listProblems(root: string): Listed[] {
  const folder = join(root, "definitions");
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name: opType }) =>
      readdirSync(join(folder, opType))
        .filter((file) => file.endsWith(".json"))
        .map((file) => {
          const name = file.slice(0, -".json".length);
          return {
            name,
            opType,
            definitionPath: join(folder, opType, file),
            workloadsPath: join(root, "workloads", opType, `${name}.jsonl`),
          };
        }),
    )
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Reads a problem by name. AppError `caller`: unknown (with the nearest names), or not what the schema says (with the place). */
export function loadProblem(root: string, name: string): FlashInferProblem {
  const known = listProblems(root);
  const listed = known.find((problem) => problem.name === name);
  if (!listed)
    throw new AppError(
      "caller",
      "problem.unknown",
      unknownMessage(
        name,
        known.map((problem) => problem.name),
      ),
    );
  const definition = Definition.safeParse(readJson(listed.definitionPath, "definition"));
  if (!definition.success) throw invalid(listed.definitionPath, definition.error);
  if (!existsSync(listed.workloadsPath))
    throw new AppError(
      "caller",
      "problem.workloads",
      `${listed.workloadsPath} is missing: a problem needs at least one workload`,
    );
  const lines = readText(listed.workloadsPath, "workloads")
    .split("\n")
    .filter((line) => line.trim() !== "");
  const workloads = lines.map((line, index) => {
    const trace = Trace.safeParse(parsedLine(line, listed.workloadsPath, index));
    if (!trace.success) throw invalid(`${listed.workloadsPath}, line ${index + 1}`, trace.error);
    return trace.data.workload;
  });
  const problem = FlashInferProblem.safeParse({ format: "flashinfer", definition: definition.data, workloads });
  if (!problem.success) throw invalid(listed.definitionPath, problem.error);
  return problem.data;
}

/** What the sizes of a problem are meant for, by its tags; null: nothing says. */
export function madeFor({ tags = [] }: Definition): "cpu" | "GPU" | null {
  if (tags.includes("device:cpu")) return "cpu";
  return tags.length > 0 ? "GPU" : null;
}

function parsedLine(line: string, path: string, index: number): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw new AppError("caller", "problem.invalid", `${path}, line ${index + 1} is not JSON`, { cause: error });
  }
}

const invalid = (where: string, error: z.ZodError): AppError =>
  new AppError("caller", "problem.invalid", `${where}: ${complaints(error)}`);

function unknownMessage(name: string, names: string[]): string {
  const near = names
    .map((candidate) => ({ candidate, cost: candidate.includes(name) ? 0 : distance(name, candidate) }))
    .sort((a, b) => a.cost - b.cost)
    .slice(0, 3)
    .map(({ candidate }) => candidate);
  return `there is no problem '${name}'. ${near.length > 0 ? `Did you mean ${near.join(", ")}? ` : ""}'ksearch problems' lists all.`;
}
