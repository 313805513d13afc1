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
      cut: null,
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
    expect(await answerOf(llm, request())).toMatchObject({
      text: "half a ker",
      cut: "length",
      usage: { outputTokens: 30 },
    });
    expect(await answerOf(llm, request())).toMatchObject({ text: "", cut: "length", usage: { outputTokens: 30 } });
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
  const background = (baseUrl: string, more: Parameters<typeof modelAt>[1] = {}) =>
    modelAt(baseUrl, { api: "responses", background: true, ...more });
  const submitted = async (llm: ReturnType<typeof background>, timeoutMs = 60_000): Promise<string> => {
    const found = await llm.submit(request({ timeoutMs }));
    if (!("ticket" in found)) throw new Error("no ticket");
    return found.ticket;
  };
  const gone = { status: 404, body: { error: { message: "Response with id 'resp_1' not found." } } };
  const paths = (received: { method: string; path: string }[]) =>
    received.map(({ method, path }) => `${method} ${path}`);

  llmContract(async () => background((await fakeEndpoint(pending("queued"), responsesReply("hello"))).baseUrl));

  test("a submit gives a ticket, which is collected once it is done", async () => {
    const { baseUrl, received } = await fakeEndpoint(
      pending("queued"),
      pending("queued"),
      pending("in_progress"),
      responsesReply("hello"),
    );
    const llm = background(baseUrl);
    const ticket = await submitted(llm);
    expect(await llm.collect(ticket, "m")).toBe("running");
    expect(await llm.collect(ticket, "m")).toBe("running");
    expect(await llm.collect(ticket, "m")).toMatchObject({ answer: { text: "hello", usage: { outputTokens: 30 } } });
    expect(received[0]?.body).toMatchObject({ background: true, store: true });
    expect(paths(received.slice(1))).toEqual(Array(3).fill("GET /v1/responses/resp_1"));
  });

  test("a ticket is collected by a process that did not submit it", async () => {
    const { baseUrl } = await fakeEndpoint(pending("queued"), responsesReply("hello"));
    const ticket = await submitted(background(baseUrl));
    expect(await background(baseUrl).collect(ticket, "m")).toMatchObject({ answer: { text: "hello" } });
  });

  test("a response that is done at once is an answer", async () => {
    const { baseUrl } = await fakeEndpoint(responsesReply("hello"));
    expect(await background(baseUrl).submit(request())).toMatchObject({ answer: { text: "hello" } });
  });

  test.each([
    ["is no longer kept", gone, "retry", "llm.expired"],
    ["somebody canceled", pending("cancelled"), "retry", "llm.cancelled"],
    ["failed at the provider", failed("server_error"), "retry", "llm.server"],
    ["was refused there", failed("invalid_prompt"), "caller", "llm.request"],
  ])("an answer that %s will never come", async (_, reply, who, code) => {
    const { baseUrl } = await fakeEndpoint(pending("queued"), reply);
    const llm = background(baseUrl);
    expect(await llm.collect(await submitted(llm), "m")).toMatchObject({ ended: { who, code } });
  });

  test.each([
    ["a broken server", { status: 500, body: "" }, "llm.server"],
    ["overload", { status: 429, body: "" }, "llm.overloaded"],
    ["a broken connection", (response: { destroy: () => void }) => response.destroy(), "llm.network"],
    ["a web page", { body: "<html>maintenance</html>" }, "llm.rubbish"],
    ["a revoked key", { status: 401, body: "" }, "llm.auth"],
  ])("%s on collect says nothing of the answer: the ticket stands", async (_, reply, code) => {
    const { baseUrl } = await fakeEndpoint(pending("queued"), reply, responsesReply("hello"));
    const llm = background(baseUrl, { maxRetries: 0 });
    const ticket = await submitted(llm);
    expect(await failure(llm.collect(ticket, "m"))).toMatchObject({ code });
    expect(await llm.collect(ticket, "m")).toMatchObject({ answer: { text: "hello" } });
  });

  test("a response that takes longer than a reply may is canceled, and no longer waited for", async () => {
    const { baseUrl, received } = await fakeEndpoint(pending("queued"), pending("in_progress"), pending("cancelled"));
    const llm = background(baseUrl);
    const ticket = await submitted(llm, 200);
    await new Promise((resolve) => setTimeout(resolve, 250));
    expect(await llm.collect(ticket, "m")).toMatchObject({ ended: { who: "retry", code: "llm.timeout" } });
    expect(paths(received.slice(1))).toEqual(["GET /v1/responses/resp_1", "POST /v1/responses/resp_1/cancel"]);
  });

  test("of a late response the answer is taken if it came before the cancel", async () => {
    const done = { status: 400, body: { error: { message: "Cannot cancel a completed response." } } };
    const { baseUrl } = await fakeEndpoint(pending("queued"), pending("in_progress"), done, responsesReply("hello"));
    const llm = background(baseUrl);
    const ticket = await submitted(llm, 200);
    await new Promise((resolve) => setTimeout(resolve, 250));
    expect(await llm.collect(ticket, "m")).toMatchObject({ answer: { text: "hello" } });
  });

  test("a late response behind an endpoint that does not answer is given up", async () => {
    const { baseUrl } = await fakeEndpoint(pending("queued"), { status: 503, body: "" });
    const llm = background(baseUrl, { maxRetries: 0 });
    const ticket = await submitted(llm, 200);
    await new Promise((resolve) => setTimeout(resolve, 250));
    expect(await llm.collect(ticket, "m")).toMatchObject({
      ended: { code: "llm.timeout", message: expect.stringContaining("could not be canceled") },
    });
  });

  test("a canceled response is canceled at the provider; one that is done or gone is left", async () => {
    const done = { status: 400, body: { error: { message: "Cannot cancel a completed response." } } };
    const { baseUrl, received } = await fakeEndpoint(pending("queued"), pending("cancelled"), done, gone);
    const llm = background(baseUrl);
    const ticket = await submitted(llm);
    await llm.cancel(ticket, "m");
    await llm.cancel(ticket, "m");
    expect(paths(received.slice(1, 3))).toEqual(Array(2).fill("POST /v1/responses/resp_1/cancel"));
  });

  test("a response's id is a name, never a path", async () => {
    const { baseUrl, received } = await fakeEndpoint(responsesReply("", { id: "../files?x=1", status: "queued" }));
    const llm = background(baseUrl);
    await llm.collect(await submitted(llm), "m");
    expect(received[1]?.path).toBe("/v1/responses/..%2Ffiles%3Fx%3D1");
  });

  test.each(["resp_1", "{}", ""])("a ticket that is none of ours (%j) is told", async (ticket) => {
    const { baseUrl, received } = await fakeEndpoint(responsesReply("hello"));
    await expect(background(baseUrl).collect(ticket, "m")).rejects.toMatchObject({ code: "llm.ticket" });
    expect(received).toEqual([]);
  });

  test("a collect that hangs ends within its own limit", async () => {
    const { baseUrl } = await fakeEndpoint(pending("queued"), () => undefined);
    const llm = background(baseUrl, { collectTimeoutMs: 100 });
    expect(await failure(llm.collect(await submitted(llm), "m"))).toMatchObject({ who: "retry", code: "llm.timeout" });
  });

  test("without usage the input is estimated from the instructions that come back", async () => {
    const { baseUrl } = await fakeEndpoint(pending("queued"), responsesReply("hello", { usage: null }));
    const llm = background(baseUrl);
    expect(await llm.collect(await submitted(llm), "m")).toMatchObject({
      answer: { usage: { inputTokens: 6, outputTokens: 2, estimated: true } },
    });
  });
});
