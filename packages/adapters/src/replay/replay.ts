import { AppError, estimateTokens } from "@ksearch/domain";
import type { Llm } from "@ksearch/ports";
import type { Transcript } from "./transcript.ts";

/**
 * A model that repeats recorded replies, found by slot. How often a search asks depends on its timings, so the last reply of
 * a kind (`draft/<node>`, `propose`) answers every further question of it. It costs nothing and says so; who shows its
 * answers must say that they are recorded. A kind without any reply is an AppError `caller` `replay.missing`.
 */
export function replayLlm(transcript: Transcript): Llm {
  const kindOf = (slot: string): string => slot.replace(/\/[^/]*$/, "");
  const lastOfKind = new Map([...transcript.replies.values()].map((reply) => [kindOf(reply.slot), reply]));
  return {
    async submit({ slot, prompt }) {
      const reply = transcript.replies.get(slot) ?? lastOfKind.get(kindOf(slot));
      if (!reply)
        throw new AppError(
          "caller",
          "replay.missing",
          `the transcript (${transcript.label}) holds no reply for '${slot}': start another run, as the recorded one was started, or with a live model (--model-name)`,
        );
      const counted = {
        inputTokens: estimateTokens(prompt.system + prompt.user),
        cachedInputTokens: 0,
        outputTokens: estimateTokens(reply.text),
        reasoningTokens: 0,
        estimated: true,
      };
      return {
        answer: { text: reply.text, model: `recorded: ${reply.model}`, usage: reply.usage ?? counted, cut: null },
      };
    },
    async collect(ticket) {
      throw new AppError(
        "operator",
        "replay.ticket",
        `the replay adapter gives no tickets, and cannot collect '${ticket}'`,
      );
    },
    cancel: async () => undefined,
    price: () => 0,
  };
}
