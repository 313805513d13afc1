import { AsyncLocalStorage } from "node:async_hooks";
import http from "node:http";
import https from "node:https";
import { text } from "node:stream/consumers";
import { ReadableStream } from "node:stream/web";
import { AppError } from "@ksearch/domain";
import { isOutOfCredit, type Refusal, readRefusal } from "./refusal.ts";

/** No reply that we can use comes near this. Bytes. */
export const largestBody = 16 * 1024 * 1024;

/** How the latest try of one call ended; null while it is under way. The SDK tries again by itself and tells of none. */
export type LatestTry = { ended: { status: number; refusal: Refusal } | { error: unknown } | null };

/** The call that a request belongs to. */
export const currentCall = new AsyncLocalStorage<LatestTry>();

/**
 * The `fetch` that the SDK is given. Node's own gives up after five minutes without response headers, while a reasoning
 * model may think longer before it sends the first byte; here only the caller's signal ends a request. Bodies are capped.
 * Error bodies are brought into one shape, and an account without credit is marked as not worth a retry.
 */
export async function patientFetch(input: string | URL | Request, init?: RequestInit): Promise<Response> {
  const latest = currentCall.getStore() ?? { ended: null };
  latest.ended = null;
  const request = new Request(input, init);
  const message = await send(request, await request.text(), init?.signal ?? undefined).catch((error: unknown) => {
    if (!init?.signal?.aborted) latest.ended = { error };
    throw error;
  });
  const status = message.statusCode ?? 0;
  const headers = new Headers(Object.entries(message.headers).map(([name, value]) => [name, String(value)]));
  const body = capped(message);
  if (status >= 200 && status < 300) return new Response(ReadableStream.from(body), { status, headers });
  const refusal = readRefusal(await text(body));
  latest.ended = { status, refusal };
  if (isOutOfCredit(refusal)) headers.set("x-should-retry", "false");
  return new Response(JSON.stringify({ error: refusal }), { status, headers });
}

const send = (request: Request, body: string, signal: AbortSignal | undefined): Promise<http.IncomingMessage> =>
  new Promise((resolve, reject) => {
    const url = new URL(request.url);
    const headers = { ...Object.fromEntries(request.headers), "accept-encoding": "identity" };
    const options = { method: request.method, headers, ...(signal === undefined ? {} : { signal }) };
    const sent = (url.protocol === "https:" ? https : http).request(url, options, resolve);
    sent.on("error", reject);
    sent.end(body);
  });

async function* capped(message: http.IncomingMessage): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > largestBody)
      throw new AppError("retry", "llm.rubbish", `the model's endpoint sent more than ${largestBody} bytes`);
    yield chunk;
  }
}
