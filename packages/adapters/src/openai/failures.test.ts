import { answerOf } from "@ksearch/ports/contracts";
import { describe, expect, test } from "vitest";
import {
  chatReply,
  failure,
  fakeEndpoint,
  modelAt,
  type Reply,
  request,
  responsesReply,
  testKey,
  unusedPort,
} from "./fake-endpoint.ts";
import { largestBody } from "./transport.ts";

const refusal = (status: number, error: unknown, headers: Record<string, string> = {}): Reply => ({
  status,
  headers,
  body: { error },
});
const spent = { message: "You exceeded your current quota", type: "insufficient_quota", code: "insufficient_quota" };
const apis = [
  { api: "chat", good: chatReply({ content: "hello" }) },
  { api: "responses", good: responsesReply("hello") },
] as const;

describe.each(apis)("failures of $api", ({ api, good }) => {
  const failing = async (script: readonly Reply[], changes: Parameters<typeof request>[0] = {}) => {
    const { baseUrl, received } = await fakeEndpoint(...script);
    const error = await failure(modelAt(baseUrl, { api, maxRetries: 2 }).submit(request(changes)));
    return { error, tries: received.length };
  };

  test.each([
    [
      "a wrong key",
      refusal(401, { message: `Incorrect API key provided: ${testKey}` }),
      "caller",
      "llm.auth",
      "OPENAI_API_KEY",
    ],
    [
      "a key without rights",
      refusal(403, { message: "Your key has no access" }),
      "caller",
      "llm.auth",
      "OPENAI_API_KEY",
    ],
    [
      "Gemini's wrong key",
      { status: 400, body: [{ error: { code: 400, message: "API key not valid.", status: "INVALID_ARGUMENT" } }] },
      "caller",
      "llm.auth",
      "OPENAI_API_KEY",
    ],
    [
      "an unknown model",
      refusal(404, { message: "The model does not exist", code: "model_not_found" }),
      "caller",
      "llm.model",
      "test-model",
    ],
    [
      "too long a prompt",
      refusal(400, { message: "maximum context length is 8192 tokens", code: "context_length_exceeded" }),
      "caller",
      "llm.request",
      "8192 tokens",
    ],
    ["a plain reason", { status: 422, body: { detail: "no such effort" } }, "caller", "llm.request", "no such effort"],
    ["a word for a reason", refusal(400, "bad words"), "caller", "llm.request", "bad words"],
    ["no reason", { status: 400, body: "" }, "caller", "llm.request", "no reason given"],
    ["a bill", refusal(402, { message: "Insufficient credits" }), "caller", "llm.quota", "credit"],
    ["a page where no API is", { status: 404, body: "<html>Not Found</html>" }, "caller", "llm.model", "no such API"],
    ["a spent quota", refusal(429, spent), "caller", "llm.quota", "credit"],
  ] as const)("%s is told at once, not tried again", async (_, reply, who, code, part) => {
    const { error, tries } = await failing([reply]);
    expect(error).toMatchObject({ who, code, message: expect.stringContaining(part) });
    expect(tries).toBe(1);
  });

  test.each([
    ["overload", refusal(429, { message: "Rate limit reached" }), "llm.overloaded"],
    ["a broken server", refusal(500, { message: "oops" }), "llm.server"],
    [
      "a broken proxy",
      { status: 502, headers: { "content-type": "text/html" }, body: "<html>Bad Gateway</html>" },
      "llm.server",
    ],
  ] as const)("%s for ever ends after the retries", async (_, reply, code) => {
    const { error, tries } = await failing([reply]);
    expect(error).toMatchObject({ who: "retry", code });
    expect(tries).toBe(3);
  });

  test.each([
    ["in seconds", () => ({ "retry-after": "0" })],
    ["as a date", () => ({ "retry-after": new Date().toUTCString() })],
    ["in milliseconds", () => ({ "retry-after-ms": "1" })],
  ])("overload that says %s when it will be over passes unseen", async (_, wait) => {
    const busy = () => ({ status: 429, headers: wait(), body: { error: { message: "Slow down" } } });
    const { baseUrl, received } = await fakeEndpoint(busy(), good);
    expect((await answerOf(modelAt(baseUrl, { api }), request())).text).toBe("hello");
    expect(received).toHaveLength(2);
  });

  test.each([
    ["seconds", "3600"],
    ["a date", new Date(Date.now() + 3_600_000).toUTCString()],
  ])("overload that will last for an hour, in %s, is not asked again at once", async (_, wait) => {
    const busy = { status: 429, headers: { "retry-after": wait, "retry-after-ms": "" }, body: {} };
    const { error, tries } = await failing([busy], { timeoutMs: 3_000 });
    expect(error).toMatchObject({ who: "retry", code: "llm.overloaded" });
    expect(tries).toBe(1);
  });

  test("overload that passes does not show", async () => {
    const busy = refusal(429, { message: "Rate limit reached" });
    const { baseUrl, received } = await fakeEndpoint(busy, busy, good);
    expect((await answerOf(modelAt(baseUrl, { api }), request())).text).toBe("hello");
    expect(received).toHaveLength(3);
  });

  test.each<[string, Reply]>([
    ["before the head", () => undefined],
    ["in the body", (response) => response.writeHead(200, { "content-type": "application/json" }).write("{")],
    ["in the body of a refusal", (response) => response.writeHead(400).write("{")],
  ])("a request that hangs %s ends within its limit", async (_, reply) => {
    const begunMs = performance.now();
    const { error } = await failing([reply], { timeoutMs: 150 });
    expect(error).toMatchObject({ who: "retry", code: "llm.timeout", message: expect.stringContaining("150 ms") });
    expect(performance.now() - begunMs).toBeLessThan(1_500);
  });

  test("a deadline between two tries tells what the last try met, not a time-out", async () => {
    const busy = refusal(500, { message: "on fire" }, { "retry-after": "5" });
    expect((await failing([busy, busy, busy], { timeoutMs: 300 })).error).toMatchObject({
      code: "llm.server",
      message: expect.stringContaining("(500)"),
    });
    const waits = refusal(429, {}, { "retry-after-ms": "30000" });
    expect((await failing([waits], { timeoutMs: 150 })).error).toMatchObject({ code: "llm.overloaded" });
    const nobody = await failure(
      modelAt("http://127.0.0.1:9/v1", { api, maxRetries: 9 }).submit(request({ timeoutMs: 900 })),
    );
    expect(nobody).toMatchObject({ code: "llm.network", message: expect.stringContaining("ECONNREFUSED") });
  });

  test("the limit holds over all tries together", async () => {
    const slow: Reply = (response) => setTimeout(() => response.writeHead(500, { "retry-after-ms": "1" }).end(), 1_000);
    const { error, tries } = await failing([slow], { timeoutMs: 1_500 });
    expect(error.code).toBe("llm.timeout");
    expect(tries).toBe(2);
  });

  test("an endpoint that is not there", async () => {
    const llm = modelAt("http://127.0.0.1:9/v1", { api, maxRetries: 0 });
    expect(await failure(llm.submit(request()))).toMatchObject({
      who: "retry",
      code: "llm.network",
      message: expect.stringContaining("ECONNREFUSED"),
    });
  });

  test("a connection that nobody takes is tried again: nothing was sent", async () => {
    const port = await unusedPort();
    const llm = modelAt(`http://127.0.0.1:${port}/v1`, { api });
    const answer = answerOf(llm, request());
    const { received } = await fakeEndpoint(port, good);
    expect((await answer).text).toBe("hello");
    expect(received).toHaveLength(1);
  });

  test("a question that was sent is not sent again when the connection breaks before the reply: it may be paid", async () => {
    const { error, tries } = await failing([(response) => response.destroy()]);
    expect(error).toMatchObject({ who: "retry", code: "llm.broken" });
    expect(tries).toBe(1);
  });

  test.each([504, 524])(
    "a gateway that lost patience (%i) is not asked again: the model behind it goes on",
    async (status) => {
      const { error, tries } = await failing([{ status, headers: { "content-type": "text/html" }, body: "<html>" }]);
      expect(error).toMatchObject({ who: "retry", code: "llm.timeout", message: expect.stringContaining(`${status}`) });
      expect(tries).toBe(1);
    },
  );

  test("a connection that breaks within the reply is not tried again: the reply is paid", async () => {
    const broken: Reply = (response) => {
      response.writeHead(200, { "content-type": "application/json", "content-length": "1000" }).write('{"id":');
      setTimeout(() => response.destroy(), 20);
    };
    const { error, tries } = await failing([broken]);
    expect(error).toMatchObject({ who: "retry", code: "llm.broken" });
    expect(tries).toBe(1);
  });

  test.each<[string, Reply]>([
    ["half a JSON body", { body: JSON.stringify(good.body).slice(0, 100) }],
    ["a web page", { headers: { "content-type": "text/html" }, body: "<html>Welcome</html>" }],
    ["a stream that nobody asked for", { body: `data: ${JSON.stringify(good.body)}\n\ndata: [DONE]\n\n` }],
    ["an empty body", { body: "" }],
    ["JSON of another kind", { body: { error: { message: "Provider returned error", code: 502 } } }],
    ["null", { body: null }],
    ["more than we read", { body: `${JSON.stringify(good.body)}${" ".repeat(largestBody)}` }],
  ])("%s is rubbish", async (_, reply) => {
    const { error, tries } = await failing([reply]);
    expect(error).toMatchObject({ who: "retry", code: "llm.rubbish" });
    expect(tries).toBe(1);
  });

  test("a refusal is quoted in short, without the key, and not where it repeats the prompt", async () => {
    const prompt = { system: "You write kernels.", user: "A prompt that is\nnobody's business at all." };
    const withKey = await failing([refusal(400, { message: `key ${testKey} sent twice` })]);
    expect(withKey.error.message).toContain("key *** sent twice");
    const withPrompt = await failing([refusal(400, { message: `bad input: "${prompt.user}"` })], { prompt });
    expect(withPrompt.error.message).not.toContain("business");
    const long = await failing([refusal(400, { message: "x".repeat(5_000) })]);
    expect(long.error.message.length).toBeLessThan(500);
  });
});
