import { basename } from "node:path";
import { AppError, tracesOf, type Verdict, type Workload } from "@ksearch/domain";
import { z } from "zod";
import type { Folder } from "../folder.ts";
import { parsed, parsedLine } from "../invalid.ts";
import { definitionOf, openDataset, publishedWorkloads } from "./dataset.ts";
import { pathPart, write } from "./writing.ts";

/** What a baseline needs of a trace; all else that a line says is passed by. */
const TraceLine = z.object({
  solution: z.string().nullish(),
  workload: z.object({ uuid: z.string() }),
  evaluation: z
    .object({
      status: z.string(),
      environment: z.object({ hardware: z.string() }),
      performance: z.object({ latency_ms: z.number() }).nullish(),
    })
    .nullish(),
});

export type Baseline = {
  /** The fastest passed trace of a workload on this hardware, ns. */
  latencyNs: Record<string, number>;
  /** Workloads of the definition without one. */
  without: string[];
  /** On what else the solution has passed. */
  otherHardware: string[];
  notes: string[];
};

/**
 * How fast a solution was by the dataset's own traces, on hardware of this name (`torch.cuda.get_device_name`; spaces
 * and underscores are one). Whoever asks decides what a part of the workloads is good for: a mean over some of them is no
 * mean over all (spec/ksearch.md B15). A line that is no trace is left out, with a note.
 */
export function baselineLatencies(root: string, definition: string, solution: string, hardware: string): Baseline {
  const folder = openDataset(root);
  const workloads = publishedWorkloads(folder, definitionOf(folder, definition)).map(({ uuid }) => uuid);
  const fastest = new Map<string, number>();
  const others = new Set<string>();
  const notes: string[] = [];
  for (const { trace, note } of tracesBelow(folder, definition)) {
    if (note !== undefined) notes.push(note);
    const { uuid } = trace?.workload ?? {};
    const { status, performance, environment } = trace?.evaluation ?? {};
    if (uuid === undefined || trace?.solution !== solution || status !== "PASSED" || !workloads.includes(uuid))
      continue;
    const ns = Math.round((performance?.latency_ms ?? 0) * 1e6);
    if (ns <= 0 || environment === undefined) continue;
    if (oneName(environment.hardware) !== oneName(hardware)) others.add(environment.hardware);
    else fastest.set(uuid, Math.min(ns, fastest.get(uuid) ?? ns));
  }
  const without = workloads.filter((uuid) => !fastest.has(uuid));
  return { latencyNs: Object.fromEntries(fastest), without, otherHardware: [...others].sort(), notes };
}

const oneName = (hardware: string): string =>
  hardware
    .toLowerCase()
    .replaceAll(/[\s_]+/g, " ")
    .trim();

type TraceOrNote = { trace?: z.infer<typeof TraceLine>; note?: string };

/** The traces of a definition, from every file of its name. */
function* tracesBelow(folder: Folder, definition: string): Generator<TraceOrNote> {
  const paths = folder.filesBelow("traces", ".jsonl").filter((path) => basename(path) === `${definition}.jsonl`);
  for (const path of paths)
    for (const { text, number } of folder.lines(path)) {
      const where = `${folder.show(path)}, line ${number}`;
      try {
        yield { trace: parsed(TraceLine, parsedLine(text, where), where) };
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        yield { note: `left out, because it is no trace: ${error.message}` };
      }
    }
}

/** Whose verdict it was, on what, and when. */
export type Judged = {
  definition: string;
  solution: string;
  author: string;
  verdict: Verdict;
  statistic: "median" | "mean";
  timestamp: string;
};

/**
 * Appends what a verdict says to the dataset's traces, a line a workload, and tells where; null: it says nothing of the
 * kernel. Throws AppError `caller` `trace.inputs` where a workload has inputs that FlashInfer-Bench does not know.
 */
export function saveTraces(root: string, { author, ...judged }: Judged): string | null {
  const folder = openDataset(root);
  const definition = definitionOf(folder, judged.definition);
  const traces = tracesOf(judged.verdict, { ...judged, workloads: publishedWorkloads(folder, definition) });
  if (traces.length === 0) return null;
  for (const { workload } of traces) refuseOwnInputs(workload);
  const path = `traces/${[author, definition.op_type, definition.name].map(pathPart).join("/")}.jsonl`;
  const text = traces.map((trace) => `${JSON.stringify(trace)}\n`).join("");
  return write(folder, path, endsOpen(folder, path) ? `\n${text}` : text, "end");
}

/** One trace with an input of another kind, and FlashInfer-Bench could not load the dataset any more. */
function refuseOwnInputs({ uuid, inputs }: Workload): void {
  const own = Object.entries(inputs).find(([, { type }]) => type === "synthetic" || type === "captured");
  if (own)
    throw new AppError(
      "caller",
      "trace.inputs",
      `workload ${uuid} has a ${own[1].type} input '${own[0]}', which is ours: FlashInfer-Bench could not read such a trace, so none is written`,
    );
}

/** Whether a file's last line lacks its end, as one that a dying process left. */
const endsOpen = (folder: Folder, path: string): boolean =>
  folder.isFile(path) && folder.bytes(path, ({ size, read }) => size > 0 && read(size - 1, 1)[0] !== 10);
