import {
  AppError,
  afterAttempt,
  attemptOf,
  claim as claimDecision,
  evaluateCall,
  isHalted,
  type RunEvent,
  type RunState,
  stopped,
  summarise,
} from "@ksearch/domain";
import type { Deps, RefereeDeps } from "../deps.ts";
import { LanePayload } from "../payload.ts";
import { loadKernel } from "../store.ts";
import { unusable } from "./draft.ts";
import { askReferee, awaiting, factsOf, mostSubmissions } from "./referee.ts";
import { causeOf, laneStep, type Step, waiting } from "./step.ts";

/** Gives the lane its next work: its own cycle, an orphan's, a new one, a proposal, or the end. */
export const claim = (deps: Deps): Step =>
  laneStep(deps, async ({ runId, epoch, round, lane, left, waitSeconds }) => {
    const claimed = await deps.log.commit(runId, (state) => claimDecision(state, { lane, epoch, round, left }));
    const payload = { runId, epoch, round, lane, left };
    switch (claimed.next) {
      case "work":
        return { ...payload, cycle: claimed.cycle, next: "draft" };
      case "judge":
      case "refine":
        return { ...payload, cycle: claimed.cycle, next: claimed.next };
      case "propose":
        return { ...payload, call: claimed.call, next: "propose" };
      case "wait":
        return waiting({ ...payload, waitSeconds });
      case "end":
        return { ...payload, next: "end" };
    }
  });

/** Asks the referee for a verdict on the attempt's kernel. The referee's own trouble, thrice in a row, becomes the record. */
export const evaluate = (deps: RefereeDeps): Step =>
  laneStep(deps, async (input) => {
    const { runId } = input;
    const state = await deps.log.state(runId);
    const attempt = attemptOf(state, input.attempt ?? 0);
    if (attempt.status !== null || attempt.kernelId === null) return { ...input, next: "judge" };
    if (isHalted(state)) return { ...input, next: "claim" };
    const call = evaluateCall(attempt);
    const kernel = await loadKernel(deps.blobs, runId, attempt.kernelId);
    const slot = `evaluate/${attempt.nodeId}/${attempt.nodeAttempt}`;
    try {
      const verdict = await askReferee(deps, state, {
        call,
        slot,
        purpose: "evaluate",
        kernel,
        incumbent: null,
        effort: 1,
      });
      if (verdict === null) return awaiting(deps, call, input);
      const facts = factsOf(verdict);
      await judgeOnce(deps, runId, attempt.attempt, { type: "attempt.judged", attempt: attempt.attempt, ...facts });
    } catch (error) {
      if (!(error instanceof AppError) || error.who !== "retry") throw error;
      const submissions = (await deps.log.state(runId)).calls.get(call)?.submission ?? 0;
      if (submissions < mostSubmissions) return waiting(input);
      await judgeOnce(deps, runId, attempt.attempt, unusable(attempt, "infra_error", error.message));
    }
    return { ...input, next: "judge" };
  });

const judgeOnce = (deps: Deps, runId: string, attempt: number, event: RunEvent): Promise<null> =>
  deps.log.commit(runId, (state) => ({
    events: attemptOf(state, attempt).status === null ? [event] : [],
    result: null,
  }));

/** After a judged attempt: another one in this cycle, the model's edit, or other work. */
export const judge = (deps: Deps): Step =>
  laneStep(deps, async (input) => {
    const { cycle = "" } = input;
    const next = await deps.log.commit(input.runId, (state) => afterAttempt(state, cycle));
    await deps.runs.update(summarise(await deps.log.state(input.runId), deps.iso));
    const left = input.left - 1;
    // A cycle that outlives its lane's share goes on in the next round, in a fresh child execution.
    const onward = left > 0 ? "draft" : "claim";
    return { ...input, attempt: undefined, left, next: next === "again" ? onward : next };
  });

/** The engine's way out when a lane's step broke in a way that no step handles: recorded, and the other lanes go on. */
export const laneFailed =
  (deps: Deps): Step =>
  async (raw) => {
    const input = LanePayload.parse(raw);
    const { who, code, message } = causeOf(raw);
    await deps.log.commit(input.runId, (_: RunState) => ({
      events: [stopped(input, "error", message.slice(0, 2_000), { who, code })],
      result: null,
    }));
    return { runId: input.runId };
  };
