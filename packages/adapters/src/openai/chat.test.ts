import { answerOf, llmContract } from "@ksearch/ports/contracts";
import { describe, expect, test } from "vitest";
import { chatReply, failure, fakeEndpoint, modelAt, type Reply, request, testKey } from "./fake-endpoint.ts";

const refused = (message: string, more: object = {}) => ({
  status: 400,
  body: { error: { message, type: "invalid_request_error", ...more } },
});
const answerTo = async (message: unknown, more: object = {}) => {
  const { baseUrl } = await fakeEndpoint(chatReply(message, more));
  return answerOf(modelAt(baseUrl), request());
};

describe("Chat Completions", () => {
  llmContract(async () => modelAt((await fakeEndpoint(chatReply({ role: "assistant", content: "hello" }))).baseUrl));

  test("the request holds the two parts of the prompt and the limit, and no temperature", async () => {
    const { baseUrl, received } = await fakeEndpoint(chatReply({ content: "hello" }));
    await modelAt(baseUrl, { reasoningEffort: "high" }).submit(request());
    expect(received[0]?.path).toBe("/v1/chat/completions");
    expect(received[0]?.headers.authorization).toBe(`Bearer ${testKey}`);
    expect(received[0]?.body).toEqual({
      model: "test-model",
      messages: [
        { role: "system", content: "You write kernels." },
        { role: "user", content: "Write one." },
      ],
      max_completion_tokens: 1_000,
      reasoning_effort: "high",
    });
  });

  test("an endpoint that refuses max_completion_tokens is asked with max_tokens, and from then on at once", async () => {
    const { baseUrl, received } = await fakeEndpoint(
      refused("Unrecognized request argument supplied: max_completion_tokens"),
      chatReply({ content: "hello" }),
    );
    const llm = modelAt(baseUrl);
    expect((await answerOf(llm, request())).text).toBe("hello");
    expect((await answerOf(llm, request())).text).toBe("hello");
    expect(received.map(({ body }) => [body.max_completion_tokens, body.max_tokens])).toEqual([
      [1_000, undefined],
      [undefined, 1_000],
      [undefined, 1_000],
    ]);
  });

  test("two lanes may find the older name out at once, the later one too", async () => {
    const refusal = refused("Extra inputs are not permitted", { param: "max_completion_tokens" });
    const late: Reply = (response) =>
      setTimeout(() => response.writeHead(refusal.status).end(JSON.stringify(refusal.body)), 80);
    const { baseUrl, received } = await fakeEndpoint(refusal, late, chatReply({ content: "hello" }));
    const llm = modelAt(baseUrl);
    const answers = await Promise.all([answerOf(llm, request()), answerOf(llm, request())]);
    expect(answers.map(({ text }) => text)).toEqual(["hello", "hello"]);
    expect(received).toHaveLength(4);
  });

  test("a limit that is too large under both names is told as the endpoint first told it, and asked twice only", async () => {
    const { baseUrl, received } = await fakeEndpoint(
      refused("max_completion_tokens is too large: 1000"),
      refused("use max_completion_tokens instead of max_tokens"),
    );
    expect(await failure(modelAt(baseUrl).submit(request()))).toMatchObject({
      who: "caller",
      code: "llm.request",
      message: expect.stringContaining("too large: 1000"),
    });
    expect(received).toHaveLength(2);
  });

  test.each([
    ["null", { content: null }, ""],
    ["empty", { content: "" }, ""],
    ["absent", {}, ""],
    ["prose", { content: "I would rather not write code." }, "I would rather not write code."],
    ["a refusal", { content: null, refusal: "I cannot help with that." }, "I cannot help with that."],
    ["beside reasoning", { content: "hello", reasoning_content: "They want a greeting." }, "hello"],
    ["behind a thinking block", { content: "<think>\nA draft: <file>\n</think>\n\nhello <think>" }, "hello <think>"],
    [
      "in parts",
      {
        content: [
          { type: "thinking", thinking: [{ type: "text", text: "hm" }] },
          { type: "text", text: "hel" },
          { type: "text", text: "lo" },
        ],
      },
      "hello",
    ],
  ])("content that is %s is read, and its tokens are counted", async (_, message, text) => {
    expect(await answerTo(message)).toMatchObject({
      text,
      usage: { inputTokens: 12, outputTokens: 3, estimated: false },
    });
  });

  test("a reply without any choice is an answer without text", async () => {
    expect((await answerTo(null, { choices: [] })).text).toBe("");
  });

  test("a reply of 300 KB arrives whole", async () => {
    const text = "é# a line of a kernel\n".repeat(13_700);
    expect((await answerTo({ content: text })).text === text).toBe(true);
  });

  test("cached and reasoning tokens are told apart", async () => {
    const usage = {
      prompt_tokens: 50,
      prompt_tokens_details: { cached_tokens: 40 },
      completion_tokens: 30,
      completion_tokens_details: { reasoning_tokens: 20 },
      total_tokens: 80,
    };
    expect((await answerTo({ content: "hello" }, { usage })).usage).toEqual({
      inputTokens: 50,
      cachedInputTokens: 40,
      outputTokens: 30,
      reasoningTokens: 20,
      estimated: false,
    });
  });

  test("the model that answered is named; the one that was asked where the endpoint does not say", async () => {
    expect((await answerTo({ content: "hello" })).model).toBe("test-model-0");
    expect((await answerTo({ content: "hello" }, { model: null })).model).toBe("test-model");
  });

  test("a ticket cannot be collected", async () => {
    const { baseUrl } = await fakeEndpoint(chatReply({ content: "hello" }));
    expect(await failure(modelAt(baseUrl).collect('{"id":"resp_1","untilMs":1}', "m"))).toMatchObject({
      who: "caller",
      code: "llm.ticket",
    });
  });
});
