import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import {
  AppError,
  type Kernel,
  type KernelId,
  type RunReport,
  type RunState,
  repliesFrom,
  reportHtml,
  reportMarkdown,
  solutionDbFile,
  toSolution,
  type Winner,
  worldModelFile,
} from "@ksearch/domain";
import { loadKernel } from "@ksearch/workflow";
import { taskFolder } from "../continue.ts";
import { openRuns, type Stores } from "../local.ts";
import { columns, count, note, print, printJson } from "../output.ts";
import { writeText } from "../text.ts";
import { pickRun } from "./pick.ts";
import type { ReadCommand } from "./read.ts";
import { reportOf } from "./report.ts";

export type ExportCommand = ReadCommand & { to: string; force: boolean };

/** `ksearch export`: a run as a K-Search run directory, which the original goes on from, with our report and log beside. */
export async function exportRun(given: string | undefined, command: ExportCommand): Promise<void> {
  const stores = await openRuns(command);
  const runId = await pickRun(stores, given);
  const report = await reportOf(stores, runId);
  const folder = taskFolder(resolve(command.to), report.problem);
  const files = await runFiles(stores, report);
  const there = files.filter(([path]) => existsSync(join(folder, path)));
  if (there.length > 0 && !command.force)
    throw new AppError(
      "caller",
      "export.exists",
      `${count(there.length, "file")} would be overwritten in ${folder} (${there[0]?.[0]}): choose another folder, or add --force`,
    );
  for (const [path, text] of files) writeText(join(folder, path), text, "export", { makeFolder: true });
  const written = files.map(([path, text]) => ({ path, bytes: Buffer.byteLength(text) }));
  if (command.json) return printJson({ runId, folder, files: written });
  print(folder);
  print(columns([["file", "bytes"], ...written.map(({ path, bytes }) => [path, String(bytes)])]));
  if (report.winner === null) note("no kernel stands, so there is no solution among them");
}

/** The kernels that the tree's solved nodes name. */
async function solvedKernels({ blobs }: Stores, state: RunState): Promise<ReadonlyMap<KernelId, Kernel>> {
  const ids = new Set([...state.tree.nodes.values()].flatMap(({ solution }) => solution?.kernelId ?? []));
  return new Map(
    await Promise.all([...ids].map(async (id) => [id, await loadKernel(blobs, state.runId, id)] as const)),
  );
}

/** All files of an export: where the original's rules look for them (spec/ksearch.md 6), and ours beside. */
async function runFiles(stores: Stores, report: RunReport): Promise<[path: string, text: string][]> {
  const { state, winner } = report;
  const log = await stores.events.read(state.runId, 0);
  return [
    ["world_model/world_model.json", pretty(worldModelFile(state))],
    ["world_model/solution_db.jsonl", solutionDbFile(state, await solvedKernels(stores, state))],
    ...(winner === null ? [] : [solutionFile(state, winner)]),
    ["report.html", reportHtml(report)],
    ["report.md", reportMarkdown(report)],
    ["log.jsonl", log.map((event) => `${JSON.stringify(event)}\n`).join("")],
  ];
}

function solutionFile(state: RunState, { kernel, kernelId }: Winner): [path: string, text: string] {
  const name = `${state.runId}_${kernelId}`;
  const solution = toSolution(kernel, { name, author: "ksearch", description: repliesFrom(state.options) });
  return [`solutions/${state.problem}/${name}.json`, pretty(solution)];
}

const pretty = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
