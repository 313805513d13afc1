import { AppError, type LoggedEvent } from "@ksearch/domain";
import { Answer, getJson, keys } from "@ksearch/workflow";
import { formatTranscript, openRuns, type RecordedReply, type RunPlace } from "../local.ts";
import { print } from "../output.ts";
import { pickRun } from "./pick.ts";

/**
 * `ksearch transcript`: the replies of a run by slot, so that the same search can be replayed without a model.
 */
export async function transcript(
  given: string | undefined,
  command: RunPlace & { label?: string | undefined },
): Promise<void> {
  const stores = await openRuns(command);
  const runId = await pickRun(stores, given);
  const state = await stores.log.state(runId);
  const replies: RecordedReply[] = [];
  for (const { call, slot } of submissions(await stores.events.read(runId, 0))) {
    const answer = await getJson(stores.blobs, keys.answer(runId, call), Answer);
    if (answer !== null) replies.push({ slot, text: answer.text, model: answer.model, usage: answer.usage });
  }
  const [first] = replies;
  if (!first) throw new AppError("caller", "transcript.empty", `${runId} holds no reply yet`);
  const label = command.label ?? `${first.model}, ${stores.iso(state.startedAtMs).slice(0, 10)}`;
  const head = {
    format: "ksearch-transcript" as const,
    version: 1 as const,
    problem: state.problem,
    problemDigest: state.problemDigest,
    attemptsPerNode: state.options.attemptsPerNode,
    label,
    recordedAt: stores.iso(state.startedAtMs),
  };
  print(formatTranscript(head, replies));
}

/** Questions to the model, once each, in the order in which they were first asked. */
function submissions(log: readonly LoggedEvent[]): { call: string; slot: string }[] {
  const seen = new Map<string, { call: string; slot: string }>();
  for (const { event } of log)
    if (event.type === "call.submitted" && event.to === "llm" && !seen.has(event.call))
      seen.set(event.call, { call: event.call, slot: event.slot });
  return [...seen.values()];
}
