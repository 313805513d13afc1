import {
  AppError,
  type Attempt,
  attemptName,
  attemptOf,
  type DraftMaterials,
  draftCall,
  draftModelOf,
  draftPrompt,
  evaluateCall,
  isAwaited,
  isHalted,
  type KernelId,
  type RunEvent,
  type RunState,
  readKernel,
  startAttempt,
  Verdict,
  verdictOn,
  vetKernel,
} from "@ksearch/domain";
import type { LlmAnswer } from "@ksearch/ports";
import type { Deps, LlmDeps } from "../deps.ts";
import type { LanePayload } from "../payload.ts";
import { getJson, keys, loadKernel, loadProblem, saveKernel } from "../store.ts";
import { Answer, askLlm } from "./llm.ts";
import { laneStep, type Step, waiting } from "./step.ts";

/** Starts an attempt, or finds the one at work, and asks the model for its kernel. */
export const draft = (deps: LlmDeps): Step =>
  laneStep(deps, async (input) => {
    const { runId, cycle } = input;
    const attempt = cycle === undefined ? null : await deps.log.commit(runId, (state) => startAttempt(state, cycle));
    if (attempt === null) return { ...input, next: "claim" };
    const output = { ...input, attempt: attempt.attempt };
    if (attempt.drafted) return { ...output, next: "vet" };
    const state = await deps.log.state(runId);
    const call = draftCall(attempt);
    if (isHalted(state) && !isAwaited(state, call)) return { ...input, next: "claim" };
    const answer = await askLlm(deps, state, {
      call,
      slot: `draft/${attempt.nodeId}/${attempt.nodeAttempt}`,
      purpose: "draft",
      model: draftModelOf(state, attempt),
      prompt: async () =>
        draftPrompt(await loadProblem(deps.blobs, runId), state, attempt, await materials(deps, state, attempt)),
    });
    return answer === null ? waiting(output) : { ...output, next: "vet" };
  });

async function materials(deps: Deps, state: RunState, attempt: Attempt): Promise<DraftMaterials> {
  const { runId } = state;
  const kernelOf = async (id: KernelId | null) => (id === null ? null : loadKernel(deps.blobs, runId, id));
  const { previousAttempt: previous } = attempt;
  const cycleAttempts = state.cycles.get(attempt.cycle)?.attempts ?? [];
  const latest = cycleAttempts.filter((number) => number < attempt.attempt).at(-1) ?? null;
  return {
    base: await kernelOf(attempt.baseKernelId),
    previous:
      previous === null
        ? null
        : {
            kernel: await kernelOf(attemptOf(state, previous).kernelId),
            feedback: await feedbackOf(deps, state, previous),
          },
    latest:
      latest === null || latest === previous
        ? null
        : { attempt: latest, feedback: await feedbackOf(deps, state, latest) },
  };
}

/** The referee's words on an attempt; where it was not asked, why. */
export async function feedbackOf(deps: Deps, state: RunState, number: number): Promise<string> {
  const attempt = attemptOf(state, number);
  const judgedAs = attempt.sameAs === null ? attempt : attemptOf(state, attempt.sameAs);
  const verdict = await getJson(deps.blobs, keys.answer(state.runId, evaluateCall(judgedAs)), Verdict);
  return verdict?.logs.feedback || attempt.message;
}

/** Reads the reply into a kernel and refuses, before referee time is spent, what cannot or need not be judged. */
export const vet = (deps: Deps): Step =>
  laneStep(deps, async (input) => {
    const { runId } = input;
    const state = await deps.log.state(runId);
    const attempt = attemptOf(state, input.attempt ?? 0);
    if (attempt.status !== null) return { ...input, next: "judge" };
    if (attempt.drafted) return { ...input, next: "evaluate" };
    const answer = await getJson(deps.blobs, keys.answer(runId, draftCall(attempt)), Answer);
    if (answer === null)
      throw new AppError("operator", "store.corrupt", `the reply to ${attemptName(attempt)} is missing from the store`);
    const problem = await loadProblem(deps.blobs, runId);
    const { language, device, maxOutputTokens } = state.options;
    const read = readKernel(answer.text, { problem, language, targetHardware: device });
    if ("problem" in read)
      return commitDraft(deps, input, () => [
        drafted(attempt, null, null),
        unusable(attempt, "unparsable", `${cutWords(answer.cut, maxOutputTokens)}${read.problem}`),
      ]);
    const kernelId = await saveKernel(deps.blobs, runId, read.kernel);
    const refusal = vetKernel(read.kernel, problem);
    if (refusal !== null)
      return commitDraft(deps, input, () => [drafted(attempt, kernelId, null), unusable(attempt, "refused", refusal)]);
    return commitDraft(deps, input, (now) => {
      const twin = verdictOn(now, kernelId);
      if (!twin?.status) return [drafted(attempt, kernelId, null)];
      const message = `the same kernel as attempt ${twin.attempt}, whose verdict holds`;
      return [
        drafted(attempt, kernelId, twin.sameAs ?? twin.attempt),
        {
          type: "attempt.judged",
          attempt: attempt.attempt,
          status: twin.status,
          score: twin.score,
          vsBaseline: twin.vsBaseline,
          callNs: twin.callNs,
          message,
        },
      ];
    });
  });

/** Why a reply ended before it was done, for the model and for people. */
const cutWords = (cut: LlmAnswer["cut"], maxOutputTokens: number): string =>
  cut === "length"
    ? `the reply was cut off at its limit of ${maxOutputTokens} tokens, thinking included; `
    : cut === "filter"
      ? "the provider's content filter cut the reply off; "
      : "";

/** Records what became of a draft, once; the next state follows from whether that judged the attempt already. */
async function commitDraft(
  deps: Deps,
  input: LanePayload,
  decide: (state: RunState) => RunEvent[],
): Promise<LanePayload> {
  const judged = await deps.log.commit(input.runId, (state) => {
    const known = attemptOf(state, input.attempt ?? 0);
    const events = known.drafted ? [] : decide(state);
    return { events, result: known.status !== null || events.some((event) => event.type === "attempt.judged") };
  });
  return { ...input, next: judged ? "judge" : "evaluate" };
}

const drafted = ({ attempt }: Attempt, kernelId: KernelId | null, sameAs: number | null): RunEvent => ({
  type: "attempt.drafted",
  attempt,
  kernelId,
  sameAs,
});

/** The record of an attempt that no verdict stands for. */
export const unusable = (
  { attempt }: Attempt,
  status: "unparsable" | "refused" | "infra_error",
  message: string,
): RunEvent => ({
  type: "attempt.judged",
  attempt,
  status,
  score: null,
  vsBaseline: null,
  callNs: null,
  message: message.slice(0, 500),
});
