import {
  afterEdit,
  extractObject,
  isAwaited,
  isHalted,
  type KernelId,
  maxNewNodes,
  planEdits,
  proposePrompt,
  type RunEvent,
  type RunState,
  refineCall,
  refinePrompt,
  treeModelOf,
} from "@ksearch/domain";
import type { LlmDeps } from "../deps.ts";
import type { LanePayload } from "../payload.ts";
import { loadKernel, loadProblem } from "../store.ts";
import { feedbackOf } from "./draft.ts";
import { askLlm } from "./llm.ts";
import { laneStep, type Step, waiting } from "./step.ts";

/** Asks the model for new actions when nothing is free. */
export const propose = (deps: LlmDeps): Step =>
  laneStep(deps, async (input) => {
    const { runId, call } = input;
    const state = await deps.log.state(runId);
    if (call === undefined || state.proposal?.call !== call) return done(input);
    if (isHalted(state) && !isAwaited(state, call)) return done(input);
    const answer = await askLlm(deps, state, {
      call,
      slot: `propose/${state.proposals}`,
      purpose: "propose",
      model: treeModelOf(state.options),
      prompt: async () => {
        const best = state.best ? await loadKernel(deps.blobs, runId, state.best.kernelId) : null;
        return proposePrompt(await loadProblem(deps.blobs, runId), state, best);
      },
    });
    if (answer === null) return waiting(input);
    await deps.log.commit(runId, (now) => ({
      events:
        now.proposal?.call === call
          ? [editFrom(now, answer.text, { call, purpose: "propose", cycle: null, nodeId: null })]
          : [],
      result: null,
    }));
    return done(input);
  });

/** Asks the model what a finished cycle teaches: an edit below its node, or a lighter action after failures. */
export const refine = (deps: LlmDeps): Step =>
  laneStep(deps, async (input) => {
    const { runId } = input;
    const state = await deps.log.state(runId);
    const cycle = state.cycles.get(input.cycle ?? "");
    const node = state.tree.nodes.get(cycle?.nodeId ?? "");
    if (cycle?.state !== "closed" || !node) return done(input);
    const call = refineCall(cycle.cycle, cycle.refinements + 1);
    if (isHalted(state) && !isAwaited(state, call)) return done(input);
    const answer = await askLlm(deps, state, {
      call,
      slot: `refine/${node.nodeId}/${node.refinements + 1}`,
      purpose: "refine",
      model: treeModelOf(state.options),
      prompt: async () => {
        const shown = node.solution?.attempt ?? cycle.attempts.at(-1) ?? null;
        const id: KernelId | null = shown === null ? null : (state.attempts[shown - 1]?.kernelId ?? null);
        const kernel = id === null ? null : await loadKernel(deps.blobs, runId, id);
        const feedback = shown === null ? "" : await feedbackOf(deps, state, shown);
        return refinePrompt(await loadProblem(deps.blobs, runId), state, node.nodeId, kernel, feedback);
      },
    });
    if (answer === null) return waiting(input);
    await deps.log.commit(runId, (now) => {
      const about = { call, purpose: "refine" as const, cycle: cycle.cycle, nodeId: node.nodeId };
      return afterEdit(now, cycle.cycle, editFrom(now, answer.text, about));
    });
    return done(input);
  });

const done = ({ runId, epoch, round, lane, left }: LanePayload): LanePayload => ({
  runId,
  epoch,
  round,
  lane,
  left,
  next: "claim",
});

type TreeEdited = Extract<RunEvent, { type: "tree.edited" }>;

/** The edit that a reply amounts to, against the tree as it is when it is recorded. */
function editFrom(
  state: RunState,
  reply: string,
  about: Pick<TreeEdited, "call" | "purpose" | "cycle" | "nodeId">,
): TreeEdited {
  const { edits, refused } = planEdits(state.tree, extractObject(reply, "ops"), {
    maxNewNodes: maxNewNodes(state, about.purpose),
    idPrefix: about.call.replaceAll("/", "_"),
    ...(about.nodeId === null ? {} : { withinNodeId: about.nodeId }),
  });
  return { type: "tree.edited", ...about, edits, refused };
}
