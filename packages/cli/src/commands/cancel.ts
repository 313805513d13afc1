import { endCanceled, requestCancel } from "@ksearch/workflow";
import { hold, openStores } from "../local.ts";
import { print, printJson } from "../output.ts";
import { pickRun } from "./pick.ts";
import type { ReadCommand } from "./read.ts";

/** `ksearch cancel`: a working process ends after the steps at hand; a run that nobody works on is ended here. */
export async function cancel(given: string, { artifactsDir, json }: ReadCommand): Promise<void> {
  const stores = openStores(artifactsDir, false);
  const runId = await pickRun(stores, given);
  await requestCancel(stores, runId);
  const held = hold(stores, runId);
  if (held) await endCanceled(stores, runId);
  held?.release();
  const { status } = await stores.log.state(runId);
  if (json) return printJson({ runId, status, requested: true });
  print(held ? `${runId} is ${status}` : `${runId} will end after the steps at hand`);
}
