import { answerOf } from "@ksearch/ports/contracts";
import { describe, expect, test } from "vitest";
import { clientFor } from "./client.ts";
import { chatReply, failure, fakeEndpoint, modelAt, type Reply, request, testKey } from "./fake-endpoint.ts";
import { chosenSettings } from "./settings.ts";

/** What endpoints do that call themselves compatible (spec/llm-and-gpus.md), on the wire. */

const answerTo = async (...script: readonly Reply[]) => {
  const { baseUrl } = await fakeEndpoint(...script);
  return answerOf(modelAt(baseUrl), request());
};

describe("Gemini", () => {
  const modelName = "gemini-3-pro-preview";

  test("its models are asked at its public compatible endpoint, by Chat Completions", () => {
    const chosen = chosenSettings({ apiKey: testKey, modelName });
    expect(chosen.api).toBe("chat");
    expect(clientFor(chosen).baseURL).toBe("https://generativelanguage.googleapis.com/v1beta/openai/");
    const elsewhere = chosenSettings({ apiKey: testKey, modelName, baseUrl: "http://127.0.0.1:4000/v1" });
    expect(clientFor(elsewhere).baseURL).toBe("http://127.0.0.1:4000/v1");
  });

  test("its path ends in a slash, it takes the effort, and counts its thoughts in the total only", async () => {
    const usage = { prompt_tokens: 100, completion_tokens: 40, total_tokens: 900 };
    const { baseUrl, received } = await fakeEndpoint(
      chatReply({ role: "assistant", content: "hello" }, { model: modelName, usage }),
    );
    const url = baseUrl.replace("/v1", "/v1beta/openai/");
    const answer = await answerOf(modelAt(url, { modelName, reasoningEffort: "high" }), request());
    expect(received[0]).toMatchObject({
      path: "/v1beta/openai/chat/completions",
      headers: { authorization: `Bearer ${testKey}` },
      body: { model: modelName, reasoning_effort: "high" },
    });
    expect(answer).toMatchObject({ text: "hello", usage: { inputTokens: 100, outputTokens: 800, estimated: false } });
  });

  test("its refusals come as a list", async () => {
    const message = 'Invalid JSON payload received. Unknown name "max_completion_tokens": Cannot find field.';
    const body = [{ error: { code: 400, message, status: "INVALID_ARGUMENT" } }];
    expect((await answerTo({ status: 400, body }, chatReply({ content: "hello" }))).text).toBe("hello");
  });
});

describe("Azure's classic API", () => {
  test("its version stays in the query, and the key goes into its own header only", async () => {
    const { baseUrl, received } = await fakeEndpoint(chatReply({ content: "hello" }));
    await modelAt(`${baseUrl}/deployments/d?api-version=2026-01-01`).submit(request());
    expect(received[0]?.path).toBe("/v1/deployments/d/chat/completions?api-version=2026-01-01");
    expect(received[0]?.headers["api-key"]).toBe(testKey);
    expect(received[0]?.headers.authorization).toBeUndefined();
  });

  test("no other endpoint gets that header", async () => {
    const { baseUrl, received } = await fakeEndpoint(chatReply({ content: "hello" }));
    await modelAt(baseUrl).submit(request());
    expect(received[0]?.headers["api-key"]).toBeUndefined();
  });
});

describe("thinking aloud", () => {
  test.each([
    ["in a block", "<think>\nA draft: <file>\n</think>\n\nhello", "hello"],
    ["in a block whose first mark the template said", "A draft: <file>\n</think>\n\nhello", "hello"],
    ["in a block that never ends", "<think>\nA draft: <file>", ""],
    ["in a block about blocks", "<think>I write <think> here</think>hello", "hello"],
    ["not at all, with a block in the reply", "hello <think>x</think>", "hello <think>x</think>"],
  ])("%s", async (_, content, text) => {
    const answer = await answerTo(chatReply({ content }));
    expect(answer.text).toBe(text);
    expect(answer.usage).toMatchObject({ outputTokens: 3, estimated: false });
  });

  test("in a field of its own, with no content yet", async () => {
    expect((await answerTo(chatReply({ content: null, reasoning_content: "A draft" }))).text).toBe("");
  });

  test("a part of the content may be a plain text", async () => {
    expect((await answerTo(chatReply({ content: ["hel", { type: "text", text: "lo" }] }))).text).toBe("hello");
  });
});

describe("a reply that its model did not end", () => {
  test.each([
    ["length", "half a ker", "length"],
    ["length", null, "length"],
    ["content_filter", null, "filter"],
    ["content_filter", "half a ker", "filter"],
    ["stop", "hello", null],
    [null, "hello", null],
    ["made_up", "hello", null],
  ])("finish_reason %j with content %j: an answer that is paid, asked for once", async (reason, content, cut) => {
    const choices = [{ index: 0, finish_reason: reason, message: { content } }];
    const { baseUrl, received } = await fakeEndpoint(chatReply(null, { choices }));
    expect(await answerOf(modelAt(baseUrl), request())).toMatchObject({
      text: content ?? "",
      cut,
      usage: { outputTokens: 3 },
    });
    expect(received).toHaveLength(1);
  });

  test("no choice at all is an answer without text, and what it used is counted", async () => {
    expect(await answerTo(chatReply(null, { choices: [] }))).toMatchObject({ text: "", usage: { inputTokens: 12 } });
  });
});

describe("tokens that nobody counts", () => {
  test.each([
    ["no usage", { usage: undefined }],
    ["null", { usage: null }],
    ["zeros", { usage: { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 } }],
    ["rubbish", { usage: { prompt_tokens: "many" } }],
  ])("%s: estimated from the texts, and marked", async (_, more) => {
    const { usage } = await answerTo(chatReply({ content: "hello" }, more));
    expect(usage).toMatchObject({ inputTokens: 10, outputTokens: 2, estimated: true });
  });

  test.each([
    ["in the content", { content: `<think>${"x".repeat(3_000)}</think>hello` }],
    ["beside it", { content: "hello", reasoning_content: "x".repeat(3_000) }],
  ])("thoughts %s are no part of the reply, but of what it cost", async (_, message) => {
    const { text, usage } = await answerTo(chatReply(message, { usage: null }));
    expect({ text, atLeast: usage.outputTokens >= 1_000 }).toEqual({ text: "hello", atLeast: true });
  });
});

test.each(["text/plain", "text/event-stream", ""])("a JSON reply that calls itself %j is read", async (type) => {
  expect((await answerTo({ ...chatReply({ content: "hello" }), headers: { "content-type": type } })).text).toBe(
    "hello",
  );
});

test("an effort that the endpoint does not know is the caller's to mend, in the endpoint's words", async () => {
  const error = { message: "Unsupported parameter: 'reasoning_effort'", param: "reasoning_effort" };
  const { baseUrl } = await fakeEndpoint({ status: 400, body: { error } });
  expect(await failure(modelAt(baseUrl, { reasoningEffort: "high" }).submit(request()))).toMatchObject({
    who: "caller",
    code: "llm.request",
    message: expect.stringContaining("reasoning_effort"),
  });
});

test("a key that is refused is told by the name under which it was found", async () => {
  const { baseUrl } = await fakeEndpoint({ status: 401, body: {} });
  const error = await failure(modelAt(baseUrl, { keyName: "GEMINI_API_KEY" }).submit(request()));
  expect(error.message).toContain("check GEMINI_API_KEY");
});
