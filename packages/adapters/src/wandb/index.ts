import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { AppError } from "@ksearch/domain";
import type { Tracker } from "@ksearch/ports";
import { z } from "zod";
import { type Sidecar, startSidecar } from "./sidecar.ts";

export type WandbSettings = {
  /** Python that has the package wandb, 0.19 or later. */
  python: string;
  /** Its whole environment: `WANDB_*` (the key among them) and what W&B needs to find home, caches and proxies. */
  env: Readonly<Record<string, string>>;
  /** The run's folder, absolute: `wandb.json`, how far the record goes, and `wandb/`, W&B's own files. */
  folder: string;
  project: string;
  name: string;
  mode: "online" | "offline";
  /** Waiting times before the process is ended: to open a run, to take a record, to send the last of it. */
  limitsMs: { run: number; record: number; finish: number };
};

const script = fileURLToPath(new URL("ksearch_wandb.py", import.meta.url));

const Opened = z.strictObject({ seq: z.int().nonnegative(), where: z.string() });
const Done = z.strictObject({});
const Closed = z.strictObject({ left: z.string().nullable() });

/**
 * Weights & Biases through its own Python package, in a process of its own (`ksearch_wandb.py`). The W&B run has the id of
 * ours, so every execution continues the same one.
 */
export function wandbTracker({ python, env, folder, project, name, mode, limitsMs }: WandbSettings): Tracker {
  let sidecar: Sidecar | null = null;
  return {
    async run(run) {
      const own = { WANDB_DATA_DIR: join(folder, "wandb/data"), WANDB_CACHE_DIR: join(folder, "wandb/cache") };
      sidecar = startSidecar([python, script], { ...own, ...env });
      const opened = await sidecar.ask({ verb: "run", folder, project, name, mode, run }, Opened, limitsMs.run);
      return mode === "online" ? opened : { ...opened, where: `${opened.where} ('wandb sync' sends it)` };
    },
    async attempt(attempt) {
      await sidecar?.ask({ verb: "attempt", ...attempt }, Done, limitsMs.record);
    },
    async artifact(artifact) {
      await sidecar?.ask({ verb: "artifact", ...artifact }, Done, limitsMs.record);
    },
    async finish(end) {
      if (sidecar === null) return;
      const { left } = await sidecar.ask({ verb: "finish", ...end }, Closed, limitsMs.finish);
      await sidecar.end(limitsMs.finish);
      if (left !== null)
        throw new AppError(
          "operator",
          "tracker.left",
          `not everything was uploaded in time: 'wandb sync ${left}' sends the rest`,
        );
    },
    stop() {
      sidecar?.kill();
    },
  };
}
