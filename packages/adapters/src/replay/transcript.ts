import { AppError, AttemptsPerNode, parseJson, Usage } from "@ksearch/domain";
import { z } from "zod";

/** One recorded reply. `slot` says to which question: what it is about, and after the last slash the how-manieth of its kind. */
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
  /** As in the recorded search: a node that gets more attempts asks for drafts that nobody wrote. */
  attemptsPerNode: AttemptsPerNode,
  /** Who answered, when, in words that screens show. */
  label: z.string().min(1),
  recordedAt: z.string(),
});

export type Transcript = z.infer<typeof Head> & { replies: ReadonlyMap<string, RecordedReply> };

/** Reads a transcript. Throws AppError `caller` `transcript.invalid` with the line that is wrong. */
export function parseTranscript(text: string, name: string): Transcript {
  const lines = text.split("\n").flatMap((line, index) => (line.trim() === "" ? [] : [{ line, number: index + 1 }]));
  const wrong = (number: number, what: string) =>
    new AppError("caller", "transcript.invalid", `${name}, line ${number}: ${what}`);
  const read = <T>(schema: z.ZodType<T>, { line, number }: { line: string; number: number }): T => {
    const value = parseJson(line);
    if (value === undefined) throw wrong(number, "no JSON");
    const result = schema.safeParse(value);
    if (result.success) return result.data;
    throw wrong(
      number,
      result.error.issues.map(({ path, message }) => `${path.join(".")} ${message}`.trim()).join("; "),
    );
  };
  const [first = { line: "", number: 1 }, ...rest] = lines;
  const head = read(Head, first);
  const replies = new Map<string, RecordedReply>();
  for (const line of rest) {
    const reply = read(RecordedReply, line);
    if (replies.has(reply.slot)) throw wrong(line.number, `a second reply for ${reply.slot}`);
    replies.set(reply.slot, reply);
  }
  return { ...head, replies };
}

export const formatTranscript = (head: Omit<Transcript, "replies">, replies: readonly RecordedReply[]): string =>
  `${[head, ...replies].map((line) => JSON.stringify(line)).join("\n")}\n`;
