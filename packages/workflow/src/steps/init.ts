import {
  AppError,
  complaintAbout,
  extractObject,
  initCall,
  initPrompt,
  isAwaited,
  isHalted,
  type RunEvent,
  readDocument,
  seedsOf,
  treeModelOf,
} from "@ksearch/domain";
import type { LlmDeps } from "../deps.ts";
import { loadKernel, loadProblem } from "../store.ts";
import { askLlm } from "./llm.ts";
import { runStep, type Step, waiting } from "./step.ts";

/** Replies that one execution asks for before it gives the model up. */
const mostReplies = 3;

/** Asks for the first world model. A reply that is none is told back to the model in the next question. */
export const init = (deps: LlmDeps): Step =>
  runStep(deps, async (input) => {
    const { runId } = input;
    const state = await deps.log.state(runId);
    if (state.initialised) return { ...input, next: "round" };
    const { initRefusals } = state;
    const call = initCall(initRefusals.length + 1);
    if (isHalted(state) && !isAwaited(state, call)) return { ...input, next: "report" };
    if (initRefusals.length - state.initRefusalsBefore >= mostReplies)
      throw new AppError(
        "operator",
        "llm.unusable",
        `${mostReplies} replies of the model were no world model (${initRefusals.at(-1)}): resume with another model`,
      );
    const answer = await askLlm(deps, state, {
      call,
      slot: `init/${initRefusals.length + 1}`,
      purpose: "init",
      model: treeModelOf(state.options),
      prompt: async () => {
        const start = state.tree.nodes.get(state.tree.rootId)?.solution;
        const kernel = start ? await loadKernel(deps.blobs, runId, start.kernelId) : null;
        return initPrompt(await loadProblem(deps.blobs, runId), state, initRefusals, kernel);
      },
    });
    if (answer === null) return waiting(input);
    const event = readReply(call, answer.text);
    await deps.log.commit(runId, (now) => ({ events: now.calls.has(call) ? [event] : [], result: null }));
    return { ...input, next: (await deps.log.state(runId)).initialised ? "round" : "init" };
  });

function readReply(call: string, reply: string): RunEvent {
  const read = readDocument(extractObject(reply, "decision_tree"));
  const complaint = complaintAbout(read?.tree ?? null);
  if (read === null || complaint !== null) return { type: "init.refused", call, reason: complaint ?? "no world model" };
  const { tree, repairs } = read;
  return {
    type: "tree.initialised",
    call,
    kernelSummary: tree.kernelSummary,
    openQuestions: [...tree.openQuestions],
    rootId: tree.rootId,
    rootNotes: tree.nodes.get(tree.rootId)?.notes ?? "",
    nodes: seedsOf(tree),
    repairs: repairs.slice(0, 50),
  };
}
