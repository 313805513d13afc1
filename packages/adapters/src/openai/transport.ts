import { AsyncLocalStorage } from "node:async_hooks";
import http from "node:http";
import https from "node:https";
import { text } from "node:stream/consumers";
import { ReadableStream } from "node:stream/web";
import { AppError } from "@ksearch/domain";
import { isOutOfCredit, type Refusal, readRefusal } from "./refusal.ts";

/** No reply that we can use comes near this. Bytes. */
export const largestBody = 16 * 1024 * 1024;

/** How a try ended. `isSent`: the connection stood, so that the model may have worked on a question that costs money. */
export type EndedTry = { status: number; refusal: Refusal } | { error: unknown; isSent: boolean };

/** One call, as its requests see it. */
export type CallUnderway = {
  /** How the latest try ended; null while it is under way. The SDK tries again by itself and tells of none. */
  latest: EndedTry | null;
  /** Ends the call: the SDK would try again what may have been paid. */
  giveUp: () => void;
};

/** The call that a request belongs to. */
export const currentCall = new AsyncLocalStorage<CallUnderway>();

/** A gateway that lost patience, while the model behind it goes on, and is paid. */
export const lostPatience: ReadonlySet<number> = new Set([504, 524]);

/**
 * The `fetch` that the SDK is given. Node's own gives up after five minutes without response headers, while a reasoning
 * model may think longer before it sends the first byte; here only the caller's signal ends a request. Bodies are capped.
 * Error bodies are brought into one shape. Not worth a retry, and marked so: an account without credit, and a question
 * (a POST) that was sent and may have been paid when the connection broke or a gateway lost patience.
 */
export async function patientFetch(input: string | URL | Request, init?: RequestInit): Promise<Response> {
  const call = currentCall.getStore() ?? { latest: null, giveUp: () => undefined };
  call.latest = null;
  const request = new Request(input, init);
  const asks = request.method === "POST";
  const sent = { yet: false };
  const message = await send(request, await request.text(), init?.signal ?? undefined, sent).catch((error: unknown) => {
    if (init?.signal?.aborted) throw error;
    call.latest = { error, isSent: asks && sent.yet };
    if (call.latest.isSent) call.giveUp();
    throw error;
  });
  const status = message.statusCode ?? 0;
  const headers = new Headers(Object.entries(message.headers).map(([name, value]) => [name, String(value)]));
  const body = capped(message);
  if (status >= 200 && status < 300) {
    // Some endpoints name no type or a wrong one, and the SDK would hand their JSON on as text.
    headers.set("content-type", "application/json");
    return new Response(ReadableStream.from(body), { status, headers });
  }
  const refusal = readRefusal(await text(body));
  call.latest = { status, refusal };
  if (retryAfterMs(headers) > longestWaitMs) headers.set("retry-after-ms", `${longestWaitMs}`);
  if (isOutOfCredit(refusal) || (asks && lostPatience.has(status))) headers.set("x-should-retry", "false");
  return new Response(JSON.stringify({ error: refusal }), { status, headers });
}

/** Asked to wait longer than this, the SDK does not wait so long but hardly at all. */
const longestWaitMs = 60_000;

function retryAfterMs(headers: Headers): number {
  const header = headers.get("retry-after") ?? "";
  const seconds = Number(header);
  return Number.isNaN(seconds) ? Date.parse(header) - Date.now() : seconds * 1_000;
}

/**
 * Each request has a connection of its own: on one that was used before, nobody can tell a question that never arrived from
 * an answer that got lost. `sent` tells when the connection stands; before that nothing has left.
 */
const send = (
  request: Request,
  body: string,
  signal: AbortSignal | undefined,
  sent: { yet: boolean },
): Promise<http.IncomingMessage> =>
  new Promise((resolve, reject) => {
    const url = new URL(request.url);
    const isSecure = url.protocol === "https:";
    const headers = { ...Object.fromEntries(request.headers), "accept-encoding": "identity" };
    const options = { method: request.method, headers, agent: false, ...(signal === undefined ? {} : { signal }) };
    const sending = (isSecure ? https : http).request(url, options, resolve);
    sending.on("socket", (socket) =>
      socket.once(isSecure ? "secureConnect" : "connect", () => {
        sent.yet = true;
      }),
    );
    sending.on("error", reject);
    sending.end(body);
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
