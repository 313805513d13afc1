import { execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The Python that `scripts/wandb.sh` sets up. */
export const wandbPython = fileURLToPath(new URL("../src/wandb/.venv/bin/python", import.meta.url));

/** Says once that tests of W&B are skipped, where it is not installed. */
export function isWandbThere(): boolean {
  const isThere = existsSync(wandbPython);
  if (!isThere) process.stderr.write("Weights & Biases is not installed (scripts/wandb.sh): its tests are skipped\n");
  return isThere;
}

type Row = Record<string, unknown> & { _step: number };
type Content = { path: string; local_path: string };
type Line = {
  run?: {
    config: { update: Record<string, unknown> };
    tags?: string[];
    run_id: string;
    project: string;
    display_name: string;
  };
  history?: { item: Row };
  summary?: { update: Record<string, unknown> };
  artifact?: { name: string; type: string; digest: string; metadata?: string; manifest: { contents?: Content[] } };
  exit?: { exit_code?: number };
};

/** One execution's part of an offline run, read back by W&B's own reader of its file. */
export type WandbPart = {
  id: string;
  project: string;
  name: string;
  config: Record<string, unknown>;
  tags: string[];
  rows: Row[];
  summary: Record<string, unknown>;
  /** Files: where W&B keeps them, by their path in the artifact. */
  artifacts: { name: string; type: string; digest: string; metadata: unknown; files: Map<string, string> }[];
  exitCode: number | null;
};

/** The parts of the offline run that is kept in a run's folder, in the order in which they were written. */
export function wandbParts(folder: string): WandbPart[] {
  const root = join(folder, "wandb");
  if (!existsSync(root)) return [];
  return readdirSync(root)
    .filter((name) => name.startsWith("offline-run-"))
    .sort()
    .map((name) => readPart(join(root, name)));
}

function readPart(folder: string): WandbPart {
  const file = readdirSync(folder).find((name) => name.endsWith(".wandb")) ?? "";
  const args = ["-m", "wandb", "leet", "inspect", "--json", join(folder, file)];
  // In the part's own folder: W&B's command line leaves a log in the folder where it runs.
  const lines: Line[] = execFileSync(wandbPython, args, { cwd: folder, encoding: "utf8", maxBuffer: 2 ** 26 })
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const run = lines.find((line) => line.run)?.run;
  return {
    id: run?.run_id ?? "",
    project: run?.project ?? "",
    name: run?.display_name ?? "",
    config: run?.config.update ?? {},
    tags: run?.tags ?? [],
    rows: lines.flatMap(({ history }) => (history ? [history.item] : [])),
    summary: Object.assign({}, ...lines.flatMap(({ summary }) => (summary ? [summary.update] : []))),
    artifacts: lines.flatMap(({ artifact }) =>
      artifact
        ? [
            {
              ...artifact,
              metadata: JSON.parse(artifact.metadata ?? "null"),
              files: new Map((artifact.manifest.contents ?? []).map((one) => [one.path, one.local_path])),
            },
          ]
        : [],
    ),
    exitCode: lines.flatMap(({ exit }) => (exit ? [exit.exit_code ?? 0] : []))[0] ?? null,
  };
}
