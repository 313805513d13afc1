import { AppError, type RunEvent, type RunState, summarise } from "@ksearch/domain";
import { bookAllLost } from "@ksearch/workflow";
import { hold, openStores } from "../local.ts";
import { print, printJson } from "../output.ts";
import { pickRun } from "./pick.ts";
import type { ReadCommand } from "./read.ts";

/** `ksearch cancel`: a working process ends after the steps at hand; a run that nobody works on is ended here. */
export async function cancel(given: string, { artifactsDir, json }: ReadCommand): Promise<void> {
  const stores = openStores(artifactsDir, false);
  const runId = await pickRun(stores, given);
  const before = await stores.log.state(runId);
  if (!isOpen(before)) throw new AppError("caller", "run.finished", `${runId} has ${before.status} already`);
  await stores.log.commit(runId, (state) => ({
    events: state.cancelRequested || !isOpen(state) ? [] : [{ type: "cancel.requested" }],
    result: null,
  }));
  const held = hold(stores, runId);
  if (held) {
    await bookAllLost(stores, runId);
    await stores.log.commit(runId, (state) => ({ events: isOpen(state) ? [canceled] : [], result: null }));
    await stores.money.release(runId);
    held.release();
  }
  const state = await stores.log.state(runId);
  await stores.runs.update(summarise(state, stores.iso));
  if (json) return printJson({ runId, status: state.status, requested: true });
  print(held ? `${runId} is ${state.status}` : `${runId} will end after the steps at hand`);
}

const isOpen = ({ status }: RunState): boolean => status === "running" || status === "paused";

const canceled: RunEvent = { type: "run.finished", status: "canceled", reason: "the run was canceled" };
