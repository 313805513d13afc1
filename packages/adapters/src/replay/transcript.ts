import { AppError, Usage } from "@ksearch/domain";
import { z } from "zod";

/** One recorded reply. `slot` says to which question; `*` as its last part answers every such question without one of its own. */
export const RecordedReply = z.strictObject({
  slot: z.string().min(1),
  text: z.string(),
  model: z.string().min(1),
  usage: Usage.nullable(),
});
export type RecordedReply = z.infer<typeof RecordedReply>;

/** A transcript file: a head line, then a reply a line (JSON Lines). */
const Head = z.strictObject({
  format: z.literal("ksearch-transcript"),
  version: z.literal(1),
  /** The problem that the replies are for. */
  problem: z.string(),
  problemDigest: z.string(),
  /** Who answered, when, in words that screens show. */
  label: z.string().min(1),
  recordedAt: z.string(),
});

export type Transcript = z.infer<typeof Head> & { replies: ReadonlyMap<string, RecordedReply> };

/** Reads a transcript. Throws AppError `caller` `transcript.invalid` with the line that is wrong. */
export function parseTranscript(text: string, name: string): Transcript {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const read = <T>(schema: z.ZodType<T>, index: number): T => {
    const result = schema.safeParse(json(lines[index] ?? ""));
    if (result.success) return result.data;
    throw new AppError("caller", "transcript.invalid", `${name}, line ${index + 1}: ${z.prettifyError(result.error).replaceAll("\n", " ")}`);
  };
  const head = read(Head, 0);
  const replies = new Map<string, RecordedReply>();
  for (let index = 1; index < lines.length; index += 1) {
    const reply = read(RecordedReply, index);
    if (replies.has(reply.slot)) throw new AppError("caller", "transcript.invalid", `${name}, line ${index + 1}: a second reply for ${reply.slot}`);
    replies.set(reply.slot, reply);
  }
  return { ...head, replies };
}

export const formatTranscript = (head: Omit<Transcript, "replies">, replies: readonly RecordedReply[]): string =>
  `${[head, ...replies].map((line) => JSON.stringify(line)).join("\n")}\n`;

function json(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
