import { resolve } from "node:path";
import { baseOf, type RunReport, reportHtml, reportMarkdown } from "@ksearch/domain";
import { loadKernel, loadReport } from "@ksearch/workflow";
import { openRuns, type Stores } from "../local.ts";
import { print, printJson } from "../output.ts";
import { writeText } from "../text.ts";
import { diffsOf } from "../view/diff.ts";
import { pickRun } from "./pick.ts";
import type { ReadCommand } from "./read.ts";

export type ReportCommand = ReadCommand & { html?: boolean | undefined; out?: string | undefined };

/** `ksearch report`: what a run found and why, of any run in any state: Markdown on standard output, or a page in a file. */
export async function report(given: string | undefined, command: ReportCommand): Promise<void> {
  const stores = await openRuns(command);
  const runId = await pickRun(stores, given);
  const found = await reportOf(stores, runId);
  const format = command.html ? "html" : "md";
  const text = command.html ? reportHtml(found) : reportMarkdown(found);
  const out = command.out ?? (command.html ? `${runId}.html` : undefined);
  if (out === undefined) return command.json ? printJson({ runId, format, text }) : print(text);
  const file = resolve(out);
  writeText(file, text, "report");
  if (command.json) return printJson({ runId, format, file, bytes: Buffer.byteLength(text) });
  print(file);
}

/** A run's report with the diffs that only this floor can make. */
export async function reportOf(stores: Stores, runId: string): Promise<RunReport> {
  const found = await loadReport(stores, await stores.log.state(runId));
  const { state, problem, winner } = found;
  if (winner === null) return found;
  const base = baseOf(state, winner.kernelId);
  const baseKernel = base && { kernel: await loadKernel(stores.blobs, runId, base.kernelId), words: base.words };
  return { ...found, diffs: diffsOf(problem, winner.kernel, baseKernel) };
}
