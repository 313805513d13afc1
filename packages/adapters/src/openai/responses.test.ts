import { answerOf, llmContract } from "@ksearch/ports/contracts";
import { describe, expect, test } from "vitest";
import { failure, fakeEndpoint, modelAt, request, responsesReply } from "./fake-endpoint.ts";

const pending = (status: string) => responsesReply("", { status, output: [], usage: null });
const failed = (code: string) =>
  responsesReply("", { status: "failed", output: [], usage: null, error: { code, message: "Write one." } });

describe("Responses", () => {
  llmContract(async () => modelAt((await fakeEndpoint(responsesReply("hello"))).baseUrl, { api: "responses" }));

  test("the request is not stored and says no more than it must", async () => {
    const { baseUrl, received } = await fakeEndpoint(responsesReply("hello"));
    await modelAt(baseUrl, { api: "responses" }).submit(request());
    expect(received[0]?.path).toBe("/v1/responses");
    expect(received[0]?.body).toEqual({
      model: "test-model",
      instructions: "You write kernels.",
      input: "Write one.",
      max_output_tokens: 1_000,
      store: false,
    });
  });

  test("the reasoning effort is sent when given", async () => {
    const { baseUrl, received } = await fakeEndpoint(responsesReply("hello"));
    await modelAt(baseUrl, { api: "responses", reasoningEffort: "xhigh" }).submit(request());
    expect(received[0]?.body.reasoning).toEqual({ effort: "xhigh" });
  });

  test("text is joined from the messages' parts; cached and reasoning tokens are told apart", async () => {
    const output = [
      {
        type: "reasoning",
        summary: [{ type: "summary_text", text: "hm" }],
        content: [{ type: "reasoning_text", text: "hm" }],
      },
      { type: "message", content: [{ type: "output_text", text: "hel" }] },
      {
        type: "message",
        content: [
          { type: "output_text", text: "lo" },
          { type: "refusal", refusal: "!" },
        ],
      },
    ];
    const { baseUrl } = await fakeEndpoint(responsesReply("", { output }));
    expect(await answerOf(modelAt(baseUrl, { api: "responses" }), request())).toEqual({
      text: "hello!",
      model: "test-model-0",
      usage: { inputTokens: 12, cachedInputTokens: 8, outputTokens: 30, reasoningTokens: 20, estimated: false },
    });
  });

  test("missing usage is estimated", async () => {
    const { baseUrl } = await fakeEndpoint(responsesReply("hello", { usage: null }));
    const { usage } = await answerOf(modelAt(baseUrl, { api: "responses" }), request());
    expect(usage).toEqual({
      inputTokens: 10,
      cachedInputTokens: 0,
      outputTokens: 2,
      reasoningTokens: 0,
      estimated: true,
    });
  });

  test("a response cut off at its limit is an answer with what there is, paid even if that is nothing", async () => {
    const cutOff = { status: "incomplete", incomplete_details: { reason: "max_output_tokens" } };
    const { baseUrl } = await fakeEndpoint(
      responsesReply("half a ker", cutOff),
      responsesReply("", { ...cutOff, output: [] }),
    );
    const llm = modelAt(baseUrl, { api: "responses" });
    expect(await answerOf(llm, request())).toMatchObject({ text: "half a ker", usage: { outputTokens: 30 } });
    expect(await answerOf(llm, request())).toMatchObject({ text: "", usage: { outputTokens: 30 } });
  });

  test.each([
    ["server_error", "retry", "llm.server"],
    ["rate_limit_exceeded", "retry", "llm.overloaded"],
    ["insufficient_quota", "caller", "llm.quota"],
    ["invalid_prompt", "caller", "llm.request"],
  ])("a response that failed with %s", async (reason, who, code) => {
    const { baseUrl } = await fakeEndpoint(failed(reason));
    const error = await failure(modelAt(baseUrl, { api: "responses" }).submit(request()));
    expect(error).toMatchObject({ who, code });
    expect(error.message).not.toContain("Write one.");
  });
});

describe("Responses in the background", () => {
  test("a submit gives a ticket, which is collected once it is done", async () => {
    const { baseUrl, received } = await fakeEndpoint(
      pending("queued"),
      pending("queued"),
      pending("in_progress"),
      responsesReply("hello"),
    );
    const llm = modelAt(baseUrl, { api: "responses", background: true });
    expect(await llm.submit(request())).toEqual({ ticket: "resp_1" });
    expect(await llm.collect("resp_1")).toBe("running");
    expect(await llm.collect("resp_1")).toBe("running");
    expect(await llm.collect("resp_1")).toMatchObject({ answer: { text: "hello", usage: { outputTokens: 30 } } });
    expect(received[0]?.body).toMatchObject({ background: true, store: true });
    expect(received.slice(1).map(({ method, path }) => `${method} ${path}`)).toEqual(
      Array(3).fill("GET /v1/responses/resp_1"),
    );
  });

  test("a response that is done at once is an answer", async () => {
    const { baseUrl } = await fakeEndpoint(responsesReply("hello"));
    expect(await modelAt(baseUrl, { api: "responses", background: true }).submit(request())).toMatchObject({
      answer: { text: "hello" },
    });
  });

  test("an answer that is no longer kept, and one that somebody cancelled, must be asked for again", async () => {
    const { baseUrl } = await fakeEndpoint(
      { status: 404, body: { error: { message: "Response with id 'resp_1' not found." } } },
      pending("cancelled"),
    );
    const llm = modelAt(baseUrl, { api: "responses", background: true });
    expect(await failure(llm.collect("resp_1"))).toMatchObject({ who: "retry", code: "llm.expired" });
    expect(await failure(llm.collect("resp_1"))).toMatchObject({ who: "retry", code: "llm.cancelled" });
  });

  test("a ticket is a name, never a path", async () => {
    const { baseUrl, received } = await fakeEndpoint(responsesReply("hello"));
    await modelAt(baseUrl, { api: "responses" }).collect("../files?x=1");
    expect(received[0]?.path).toBe("/v1/responses/..%2Ffiles%3Fx%3D1");
  });

  test("a collect that hangs ends within its own limit", async () => {
    const { baseUrl } = await fakeEndpoint(() => undefined);
    const llm = modelAt(baseUrl, { api: "responses", collectTimeoutMs: 100 });
    expect(await failure(llm.collect("resp_1"))).toMatchObject({ who: "retry", code: "llm.timeout" });
  });

  test("without usage the input is estimated from the instructions that come back", async () => {
    const { baseUrl } = await fakeEndpoint(responsesReply("hello", { usage: null }));
    const collected = await modelAt(baseUrl, { api: "responses" }).collect("resp_1");
    expect(collected).toMatchObject({ answer: { usage: { inputTokens: 6, outputTokens: 2, estimated: true } } });
  });
});
