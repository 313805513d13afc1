import { AppError, estimateTokens } from "@ksearch/domain";
import type { Blobs, Llm } from "@ksearch/ports";
import { z } from "zod";

/** An answer as `ksearch answer` leaves it. */
const Delivered = z.strictObject({ text: z.string(), model: z.string().min(1) });

const answerKey = (runId: string, call: string): string => `runs/${runId}/calls/${call}/delivered.json`;
const Ticket = z.strictObject({ runId: z.string(), call: z.string(), inputTokens: z.int() });

/**
 * A model that is somebody outside: a coding agent or a person. `submit` gives a ticket; the prompt already stands in the
 * log, where `ksearch prompts` shows it; `deliver` (that is `ksearch answer`) leaves the reply, which `collect` finds.
 */
export function agentLlm(blobs: Blobs): Llm {
  return {
    async submit({ runId, call, prompt }) {
      return { ticket: JSON.stringify({ runId, call, inputTokens: estimateTokens(prompt.system + prompt.user) }) };
    },
    async collect(ticket) {
      const { runId, call, inputTokens } = Ticket.parse(JSON.parse(ticket));
      const key = answerKey(runId, call);
      const bytes = await blobs.get(key);
      if (bytes === null) return "running";
      const { text, model } = readDelivered(key, bytes);
      const usage = {
        inputTokens,
        cachedInputTokens: 0,
        outputTokens: estimateTokens(text),
        reasoningTokens: 0,
        estimated: true,
      };
      return { answer: { text, model, usage, cut: null } };
    },
    // The prompt stays where it is: whoever answers it late does no harm.
    cancel: async () => undefined,
    price: () => 0,
  };
}

function readDelivered(key: string, bytes: Uint8Array): z.infer<typeof Delivered> {
  try {
    return Delivered.parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch (error) {
    throw new AppError("operator", "store.corrupt", `${key} is not a reply: delete the file and answer again`, {
      cause: error,
    });
  }
}

/** Leaves the reply to an open prompt. The first reply holds. */
export const deliver = (
  blobs: Blobs,
  runId: string,
  call: string,
  text: string,
  model: string,
): Promise<"written" | "existed"> =>
  blobs.put(answerKey(runId, call), new TextEncoder().encode(JSON.stringify({ text, model })));
