import { AppError, complaints } from "@ksearch/domain";
import { getJson, putJson } from "@ksearch/workflow";
import { z } from "zod";
import type { Stores } from "./local.ts";

const namePattern = /^[^/\\#?%:]{1,128}$/;

/** What W&B takes as the name of a project; the same rule is good for a run's. */
export const WandbName = z.string().regex(namePattern, "1 to 128 characters without / \\ # ? % :");

/** Where a run is shown, kept beside it (without any key), so that `resume` continues the same record. */
export const TrackingChoice = z.strictObject({
  kind: z.literal("wandb"),
  project: WandbName,
  /** Null: the run's id. */
  name: WandbName.nullable(),
  mode: z.enum(["online", "offline"]),
});
export type TrackingChoice = z.infer<typeof TrackingChoice>;

const trackingKey = (runId: string): string => `runs/${runId}/tracking.json`;

/** What flags say of Weights & Biases. */
export type WandbFlags = {
  wandb?: boolean | undefined;
  wandbProject?: string | undefined;
  wandbMode?: TrackingChoice["mode"] | undefined;
  runName?: string | undefined;
};

/** What the environment says where no flag does; as texts, not yet checked. */
export type WandbDefaults = { project: string | undefined; name: string | undefined; mode: string | undefined };

/** K-Search's project, so that its charts find these runs too. */
const originalProject = "flashinfer-bench";

/** Words of WANDB_MODE: W&B's own, and its older ones. */
const modes: Readonly<Record<string, TrackingChoice["mode"] | "disabled">> = {
  online: "online",
  run: "online",
  offline: "offline",
  dryrun: "offline",
  disabled: "disabled",
};

/** Where the flags want a run to be shown; null: nowhere. Flags win over the environment. */
export function trackingChoice(flags: WandbFlags, defaults: WandbDefaults): TrackingChoice | null {
  if (!flags.wandb) {
    const strays = Object.entries({
      "--wandb-project": flags.wandbProject,
      "--wandb-mode": flags.wandbMode,
      "--run-name": flags.runName,
    }).flatMap(([flag, value]) => (value === undefined ? [] : [flag]));
    if (strays.length > 0)
      throw new AppError("caller", "flags", `${strays.join(" and ")} cannot stand without --wandb`);
    return null;
  }
  const mode = flags.wandbMode ?? modes[defaults.mode || "online"];
  if (mode === undefined)
    throw new AppError("caller", "flags", `WANDB_MODE is '${defaults.mode}': online, offline or disabled`);
  if (mode === "disabled") return null;
  const choice = TrackingChoice.safeParse({
    kind: "wandb",
    project: flags.wandbProject ?? (defaults.project || originalProject),
    name: flags.runName ?? (defaults.name || null),
    mode,
  });
  if (choice.success) return choice.data;
  throw new AppError("caller", "flags", `WANDB_PROJECT or RUN_NAME: ${complaints(choice.error)}`);
}

/** Keeps where a new run is to be shown. */
export async function keepTracking(stores: Stores, runId: string, choice: TrackingChoice | null): Promise<void> {
  if (choice !== null) await putJson(stores.blobs, trackingKey(runId), choice);
}

/**
 * Where a known run is shown: where it was, else where the flags say from now on. Project and name stay what they are;
 * the mode may change, for this execution.
 */
export async function knownTracking(
  stores: Stores,
  runId: string,
  flags: WandbFlags,
  defaults: WandbDefaults,
): Promise<TrackingChoice | null> {
  const kept = await getJson(stores.blobs, trackingKey(runId), TrackingChoice);
  if (kept === null) {
    const choice = trackingChoice(flags, defaults);
    await keepTracking(stores, runId, choice);
    return choice;
  }
  const { wandbProject: project = kept.project, runName: name = kept.name, wandbMode: mode = kept.mode } = flags;
  if (project !== kept.project || name !== kept.name)
    throw new AppError(
      "caller",
      "flags",
      `${runId} is shown as '${kept.name ?? runId}' in the project '${kept.project}', and stays there: drop --wandb-project and --run-name`,
    );
  return { ...kept, mode };
}
