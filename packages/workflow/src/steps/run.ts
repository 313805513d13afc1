import {
  beginExecution,
  closeRound as closeRoundDecision,
  isHalted,
  openRound as openRoundDecision,
  policyOf,
  type RunState,
  seedCall,
  submissionKey,
  summarise,
} from "@ksearch/domain";
import type { Deps, RefereeDeps } from "../deps.ts";
import { FailedInput, StartInput } from "../payload.ts";
import { loadKernel } from "../store.ts";
import { askReferee, awaiting, factsOf } from "./referee.ts";
import { causeOf, type Json, pause, runStep, type Step } from "./step.ts";

const nextPhase = (state: RunState): "seed" | "init" | "round" => {
  if (state.seedKernelId !== null && !state.seedJudged) return "seed";
  return state.initialised || !policyOf(state).usesTree ? "round" : "init";
};

/** Begins an execution: a new epoch, so that the claims of dead ones may be taken over. */
export const prepare =
  (deps: Deps): Step =>
  async (raw) => {
    const { runId, lanes } = StartInput.parse(raw);
    const { epoch } = await deps.log.commit(runId, (state) => beginExecution(state, lanes));
    const state = await deps.log.state(runId);
    await deps.money.open(runId, state.options.budgetMicroUsd);
    await keepReservations(deps, state);
    await deps.runs.update(summarise(state, deps.iso));
    return { runId, lanes, epoch, round: state.round, next: nextPhase(state) };
  };

/** Only calls whose tickets are still out keep money of an earlier execution: no other will be asked under its old name. */
async function keepReservations(deps: Deps, { runId, calls }: RunState): Promise<void> {
  await deps.money.release(runId);
  for (const { call, submission, reservedMicroUsd, state, ticket } of calls.values())
    if (state === "submitted" && ticket !== null)
      await deps.money.reserve(runId, submissionKey(call, submission), reservedMicroUsd);
}

/** Judges the kernel that the run starts from. One that fails is told, and the search begins from nothing. */
export const seed = (deps: RefereeDeps): Step =>
  runStep(deps, async (input) => {
    const state = await deps.log.state(input.runId);
    const { seedKernelId } = state;
    if (isHalted(state)) return { ...input, next: "report" };
    if (seedKernelId === null || state.seedJudged) return { ...input, next: nextPhase(state) };
    const kernel = await loadKernel(deps.blobs, input.runId, seedKernelId);
    const verdict = await askReferee(deps, state, {
      call: seedCall,
      slot: "seed",
      purpose: "seed",
      kernel,
      incumbent: null,
      effort: 1,
    });
    if (verdict === null) return awaiting(deps, seedCall, input);
    const { status, score, vsBaseline, message } = factsOf(verdict);
    await deps.log.commit(input.runId, (now) =>
      now.seedJudged
        ? { events: [], result: null }
        : {
            events: [{ type: "seed.judged", kernelId: seedKernelId, status, score, vsBaseline, message }],
            result: null,
          },
    );
    return { ...input, next: nextPhase(await deps.log.state(input.runId)) };
  });

/** Opens a round: one item a lane, each with its share of attempts. */
export const openRound = (deps: Deps): Step =>
  runStep(deps, async (input) => {
    const round = input.round + 1;
    await deps.log.commit(input.runId, (state) => openRoundDecision(state, round));
    const { options } = await deps.log.state(input.runId);
    const items = Array.from({ length: input.lanes }, (_, index) => ({
      runId: input.runId,
      epoch: input.epoch,
      round,
      lane: index + 1,
      left: options.laneShare,
    }));
    return { ...input, round, items, next: "lanes" };
  });

/** After all lanes have ended: again, confirm, or report. */
export const closeRound = (deps: Deps): Step =>
  runStep(deps, async ({ items: _, ...input }) => ({
    ...input,
    next: await deps.log.commit(input.runId, closeRoundDecision),
  }));

/** The engine's way out when a step broke in a way that no step handles: the run pauses, nothing is lost. */
export const runFailed =
  (deps: Deps): Step =>
  async (raw): Promise<Json> => {
    const { runId, epoch } = FailedInput.parse(raw);
    const { status } = await deps.log.state(runId);
    // Without an epoch no execution began: Prepare refused a run that has ended, and it stays as it is.
    if (epoch === undefined && status !== "running") return { runId };
    await pause(deps, runId, causeOf(raw));
    await deps.runs.update(summarise(await deps.log.state(runId), deps.iso));
    return { runId };
  };
