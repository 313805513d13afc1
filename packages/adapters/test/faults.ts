import { type ClientRequest, createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { Server } from "./servers.ts";

/**
 * What befalls a request on its way: nothing, an answer from in between, a connection cut before the server did its work,
 * after it, or within the answer, or one byte of the answer changed.
 */
export type Fault =
  | "pass"
  | "cutBefore"
  | "cutAfter"
  | "cutWithin"
  | "flip"
  | { readonly status: number; readonly headers?: Record<string, string>; readonly body: string };

/** A request that reached the server, and what the server answered, whole, whatever of it came back. */
export type Exchange = { readonly request: IncomingMessage; readonly body: Buffer; readonly answer: Answer };

/**
 * A proxy on loopback before a server. `fault` decides for every request, in their order; bodies are read whole.
 * `observe` is told what the server did.
 */
export async function startFaults(
  endpoint: string,
  fault: (request: IncomingMessage, body: string) => Fault,
  observe: (exchange: Exchange) => void = () => undefined,
): Promise<Server> {
  const target = new URL(endpoint);
  const server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.on("end", () => {
      const body = Buffer.concat(chunks);
      const chosen = fault(incoming, body.toString("latin1"));
      if (chosen === "cutBefore") incoming.socket.destroy();
      else if (typeof chosen === "object") outgoing.writeHead(chosen.status, chosen.headers).end(chosen.body);
      else
        forward(target, incoming, body, (answer) => {
          observe({ request: incoming, body, answer });
          deliver(chosen, incoming, outgoing, answer);
        });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (!address || typeof address !== "object") throw new Error("no port");
  return {
    endpoint: `http://127.0.0.1:${address.port}`,
    stop() {
      server.closeAllConnections();
      server.close();
    },
  };
}

export type Answer = { status: number; headers: IncomingMessage["headers"]; body: Buffer };

/** The host that the client named goes along, as its signature covers it. */
function forward(target: URL, incoming: IncomingMessage, body: Buffer, done: (answer: Answer) => void): void {
  const { method, url: path, headers } = incoming;
  const onward: ClientRequest = request(
    { host: target.hostname, port: target.port, method, path, headers },
    (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () =>
        done({ status: response.statusCode ?? 502, headers: response.headers, body: Buffer.concat(chunks) }),
      );
    },
  );
  onward.on("error", () => incoming.socket.destroy());
  onward.end(body);
}

function deliver(
  fault: "pass" | "cutAfter" | "cutWithin" | "flip",
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  answer: Answer,
) {
  if (fault === "cutAfter") {
    incoming.socket.destroy();
    return;
  }
  if (fault === "flip") answer.body.writeUInt8((answer.body[0] ?? 0) ^ 1, 0);
  const { "transfer-encoding": _, ...headers } = answer.headers;
  outgoing.writeHead(answer.status, headers);
  if (fault === "cutWithin") {
    const half = answer.body.subarray(0, Math.ceil(answer.body.length / 2));
    outgoing.write(half, () => incoming.socket.destroy());
  } else outgoing.end(answer.body);
}
