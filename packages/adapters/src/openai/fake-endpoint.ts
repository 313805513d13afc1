import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { AppError } from "@ksearch/domain";
import type { LlmRequest } from "@ksearch/ports";
import { sampleRequest } from "@ksearch/ports/contracts";
import { expect, onTestFinished } from "vitest";
import { createOpenAiLlm, type OpenAiSettings } from "./index.ts";

/** For tests: one reply of the endpoint. A function does what no well-formed reply does: hang, break off. */
export type Reply =
  | { status?: number; headers?: Record<string, string>; body: unknown }
  | ((response: ServerResponse) => void);

type Received = { method: string; path: string; headers: IncomingHttpHeaders; body: Record<string, unknown> };

export const testKey = "sk-test-0123456789abcdef";

/** A port of loopback on which nobody listens now. */
export async function unusedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

type Script = readonly Reply[] | readonly [port: number, ...script: Reply[]];

/** A model endpoint on loopback that plays the replies in order, the last one for ever. Closed when the test ends. */
export async function fakeEndpoint(...given: Script): Promise<{ baseUrl: string; received: Received[] }> {
  const [first, ...rest] = given;
  const port = typeof first === "number" ? first : 0;
  const script = (typeof first === "number" ? rest : given) as readonly Reply[];
  const received: Received[] = [];
  const server = createServer(async (request, response) => {
    const sent = await text(request);
    const reply = script[Math.min(received.length, script.length - 1)];
    received.push({
      method: request.method ?? "",
      path: request.url ?? "",
      headers: request.headers,
      body: sent === "" ? {} : JSON.parse(sent),
    });
    if (reply === undefined) throw new Error("the script is empty");
    if (typeof reply === "function") return reply(response);
    response.writeHead(reply.status ?? 200, {
      "content-type": "application/json",
      "retry-after-ms": "1",
      ...reply.headers,
    });
    response.end(typeof reply.body === "string" ? reply.body : JSON.stringify(reply.body));
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, received };
}

const price = { inputMicroUsd: 1_000_000, cachedInputMicroUsd: 100_000, outputMicroUsd: 8_000_000 };

/** A model at the fake endpoint, with a price, so that any name will do. */
export const modelAt = (baseUrl: string, settings: Partial<OpenAiSettings> = {}) =>
  createOpenAiLlm({ apiKey: testKey, baseUrl, modelName: "test-model", price, ...settings });

export const chatReply = (message: unknown, more: object = {}) => ({
  body: {
    id: "chatcmpl-1",
    object: "chat.completion",
    model: "test-model-0",
    choices: [{ index: 0, finish_reason: "stop", message }],
    usage: { prompt_tokens: 12, completion_tokens: 3, total_tokens: 15 },
    ...more,
  },
});

export const responsesReply = (text: string, more: object = {}) => ({
  body: {
    id: "resp_1",
    object: "response",
    status: "completed",
    model: "test-model-0",
    instructions: "You write kernels.",
    error: null,
    output: [
      { type: "reasoning", id: "rs_1", summary: [], content: null },
      { type: "message", role: "assistant", content: [{ type: "output_text", text, annotations: [] }] },
    ],
    usage: {
      input_tokens: 12,
      input_tokens_details: { cached_tokens: 8 },
      output_tokens: 30,
      output_tokens_details: { reasoning_tokens: 20 },
      total_tokens: 42,
    },
    ...more,
  },
});

export const request = (changes: Partial<LlmRequest> = {}): LlmRequest => ({
  ...sampleRequest("draft/a/1"),
  ...changes,
});

/** The AppError that a call must end in. Neither it nor anything it carries may show the key. */
export async function failure(call: Promise<unknown>): Promise<AppError> {
  const error: AppError = await call.then(
    () => {
      throw new Error("the call did not fail");
    },
    (thrown) => thrown,
  );
  expect(error.name, String(error.stack)).toBe("AppError");
  expect(`${error.stack} ${JSON.stringify(error)}`).not.toContain(testKey);
  expect(error.cause).toBeUndefined();
  return error;
}
