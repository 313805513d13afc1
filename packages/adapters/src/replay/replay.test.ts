import { llmContract, sampleRequest } from "@ksearch/ports/contracts";
import { describe, expect, test } from "vitest";
import { formatTranscript, parseTranscript, type RecordedReply, replayLlm } from "./index.ts";

const head = {
  format: "ksearch-transcript" as const,
  version: 1 as const,
  problem: "p",
  problemDigest: "sha256:0",
  attemptsPerNode: { base: 2, max: 2 },
  label: "a person, by hand",
  recordedAt: "2026-01-01",
};
const reply = (slot: string, text: string): RecordedReply => ({ slot, text, model: "m", usage: null });
const modelOf = (...replies: RecordedReply[]) => replayLlm(parseTranscript(formatTranscript(head, replies), "t.jsonl"));
const textFor = async (llm: ReturnType<typeof modelOf>, slot: string) => {
  const submitted = await llm.submit(sampleRequest(slot));
  return "answer" in submitted ? submitted.answer.text : null;
};

llmContract(async () => modelOf(reply("draft/a/1", "hello")));

describe("replies", () => {
  test("are found by slot; the last of a kind answers what has none of its own", async () => {
    const llm = modelOf(reply("draft/a/1", "first"), reply("draft/a/2", "second"), reply("propose/1", "an idea"));
    expect(await textFor(llm, "draft/a/1")).toBe("first");
    expect(await textFor(llm, "draft/a/2")).toBe("second");
    expect(await textFor(llm, "draft/a/9")).toBe("second");
    expect(await textFor(llm, "propose/7")).toBe("an idea");
  });

  test("a kind is all but the number: another node's, or another question's, is none", async () => {
    const llm = modelOf(reply("draft/a/1", "any"));
    await expect(llm.submit(sampleRequest("draft/b/1"))).rejects.toMatchObject({ code: "replay.missing" });
    await expect(llm.submit(sampleRequest("refine/a/1"))).rejects.toMatchObject({ code: "replay.missing" });
  });

  test("a missing one names the slot and the transcript, and is the caller's to mend", async () => {
    await expect(modelOf(reply("init/1", "x")).submit(sampleRequest("draft/a/1"))).rejects.toMatchObject({
      who: "caller",
      code: "replay.missing",
      message: expect.stringMatching(/a person, by hand.*draft\/a\/1/),
    });
  });

  test("an answer is marked as recorded, keeps the usage that was recorded, and costs nothing", async () => {
    const usage = { inputTokens: 10, cachedInputTokens: 1, outputTokens: 20, reasoningTokens: 5, estimated: false };
    const llm = modelOf({ ...reply("draft/a/1", "hello"), usage });
    const submitted = await llm.submit(sampleRequest("draft/a/1"));
    expect(submitted).toMatchObject({ answer: { model: "recorded: m", usage } });
    expect(llm.price(usage, "sample")).toBe(0);
  });
});

describe("a transcript file", () => {
  const lines = (...texts: string[]) => texts.join("\n");
  const good = JSON.stringify(head);
  const one = JSON.stringify(reply("init/1", "x"));

  test("is read back as it was written, whatever the texts hold", () => {
    const replies = [reply("init/1", 'line\nbreak \u2028 "quoted" ```'), reply("draft/a/1", "")];
    const transcript = parseTranscript(formatTranscript(head, replies), "t");
    expect([...transcript.replies.values()]).toEqual(replies);
    expect(transcript).toMatchObject(head);
  });

  test("may have blank lines and Windows line ends", () => {
    expect(parseTranscript(`\n${good}\r\n\r\n${one}\r\n`, "t").replies.size).toBe(1);
  });

  test.each([
    ["nothing", "", 1],
    ["a head of another format", lines('{"format":"other"}', one), 1],
    ["a head of a later version", lines(JSON.stringify({ ...head, version: 2 }), one), 1],
    ["no head", lines(one, one), 1],
    ["half a JSON", lines(good, one, '{"slot":"a"'), 3],
    ["a reply without text", lines(good, '{"slot":"a","model":"m","usage":null}'), 2],
    ["a field that we do not know", lines(good, JSON.stringify({ ...reply("a", "x"), note: 1 })), 2],
    ["a slot twice", lines(good, one, one), 3],
    ["a bad line after blank ones", lines(good, "", "", one, "", "rubbish"), 6],
  ])("with %s is refused with the line", (_, text, line) => {
    expect(() => parseTranscript(text, "demo.jsonl")).toThrow(
      expect.objectContaining({
        who: "caller",
        code: "transcript.invalid",
        message: expect.stringContaining(`demo.jsonl, line ${line}:`),
      }),
    );
  });
});
