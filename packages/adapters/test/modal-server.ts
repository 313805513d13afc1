import { randomUUID } from "node:crypto";
import { createServer as createHttpServer, type IncomingMessage } from "node:http";
import { type AddressInfo, connect, createServer as createTcpServer, type Server, type Socket } from "node:net";
import { Decoder, Encoder } from "cbor-x";
import { type CallContext, createServer, Metadata, ServerError, type ServiceImplementation, Status } from "nice-grpc";
import { z } from "zod";
import { type Body, type Ending, type FunctionCall, kill, newCall, start, status } from "./modal-calls.ts";
import { type ModalProtobuf, modalProtobuf } from "./modal-protobuf.ts";

/**
 * Modal's control plane as far as the SDK needs it for functions, on loopback: real gRPC, real CBOR, real blobs over HTTP. What
 * it does where the SDK and Modal's Python client do not show Modal's own behaviour is a guess: exception texts, the life
 * of tokens, that a repeated FunctionMap makes one call.
 */

/** What goes wrong. Counts are used up by what they strike. */
export const Faults = z.strictObject({
  /** Calls whose container is lost before it answers. */
  loseContainers: z.int().nonnegative(),
  /** Spawned calls that nobody knows afterwards. */
  forget: z.int().nonnegative(),
  /** RPCs that are answered UNAVAILABLE; the SDK tries each four times. */
  unavailable: z.int().nonnegative(),
  /** Spawns that are made and whose answer is lost. */
  loseAnswers: z.int().nonnegative(),
  /** RPCs that the server asks to repeat after a second. */
  throttle: z.int().nonnegative(),
  /** How long a call waits for a container. */
  queueMs: z.int().nonnegative(),
  /** The functions' own time limit. */
  timeoutMs: z.int().positive(),
});
export type Faults = z.infer<typeof Faults>;

const noFaults: Faults = {
  loseContainers: 0,
  forget: 0,
  unavailable: 0,
  loseAnswers: 0,
  throttle: 0,
  queueMs: 0,
  timeoutMs: 1_800_000,
};

export type ModalServerSettings = {
  app: string;
  /** Names of the deployed functions. */
  functions: readonly string[];
  token: { tokenId: string; tokenSecret: string };
  /** What every function runs. */
  body: Body;
};

export type ModalServer = {
  /** What MODAL_SERVER_URL is set to. */
  url: string;
  /** Where another process PUTs faults, as JSON of some of `Faults`, and GETs the calls. */
  controlUrl: string;
  tell(faults: Partial<Faults>): void;
  calls(): { id: string; name: string; request: string; ending: Ending | null; pid: number | null }[];
  /** RPCs by name, as they came. */
  rpcs: string[];
  blobs(): number;
  /** Breaks every open connection. False: there is none. */
  cut(): boolean;
  /** Kills a container that is at work. False: none is. */
  kill(): boolean;
  close(): Promise<void>;
};

const cbor = { mapsAsObjects: true, useRecords: false, tagUint8Array: false };
const encoder = new Encoder(cbor);
const decoder = new Decoder(cbor);

const Arguments = z.tuple([z.tuple([]), z.strictObject({ request: z.string() })]);

/** Inputs and outputs above this go through blobs. */
const longestInline = 8 * 1024;
const pickle = 1;
const cborFormat = 4;

export async function modalServer({ app, functions, token, body }: ModalServerSettings): Promise<ModalServer> {
  const protobuf = await modalProtobuf();
  const faults: Faults = { ...noFaults };
  const calls = new Map<string, FunctionCall>();
  const byKey = new Map<string, FunctionCall>();
  const blobs = new Map<string, Buffer>();
  const issued = new Set<string>();
  const rpcs: string[] = [];

  const http = createHttpServer(async (incoming, outgoing) => {
    const [, kind, id = ""] = (incoming.url ?? "").split("/");
    if (kind === "blobs" && incoming.method === "PUT") blobs.set(id, await bytesOf(incoming));
    else if (kind === "faults" && incoming.method === "PUT")
      Object.assign(faults, Faults.partial().parse(JSON.parse((await bytesOf(incoming)).toString("utf8"))));
    else if (kind === "calls") outgoing.write(JSON.stringify(told()));
    else if (kind === "blobs" && blobs.has(id)) outgoing.write(blobs.get(id));
    else outgoing.statusCode = 404;
    outgoing.end();
  });
  const httpUrl = `http://127.0.0.1:${await listen(http)}`;

  const told = () =>
    [...calls.values()].map(({ id, name, request, ending, container }) => ({
      id,
      name,
      request,
      ending,
      pid: container?.pid ?? null,
    }));

  const strike = (fault: "loseContainers" | "forget" | "unavailable" | "loseAnswers" | "throttle"): boolean => {
    if (faults[fault] === 0) return false;
    faults[fault] -= 1;
    return true;
  };

  const known = (id: string): FunctionCall => {
    const call = calls.get(id);
    if (call === undefined) throw new ServerError(Status.NOT_FOUND, `there is no function call ${id}`);
    return call;
  };

  const begin = (call: FunctionCall): void => {
    const lost = strike("loseContainers");
    setTimeout(() => {
      if (lost) call.end({ status: status.internalFailure, exception: "the container was lost", returned: null });
      else start(call, body, faults.timeoutMs);
    }, faults.queueMs);
  };

  const implementation = {
    async authTokenGet(_request: unknown, { metadata }: CallContext) {
      const isRight =
        metadata.get("x-modal-token-id") === token.tokenId &&
        metadata.get("x-modal-token-secret") === token.tokenSecret;
      if (!isRight) throw new ServerError(Status.UNAUTHENTICATED, "Token ID is invalid");
      const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
      const jwt = `${part({ alg: "none" })}.${part({ exp: Math.floor(Date.now() / 1_000) + 1_200, jti: randomUUID() })}.x`;
      issued.add(jwt);
      return { token: jwt };
    },
    async functionGet({ appName, objectTag }: { appName: string; objectTag: string }) {
      if (appName !== app || !functions.includes(objectTag))
        throw new ServerError(Status.NOT_FOUND, `there is no ${appName}/${objectTag}`);
      return {
        functionId: `fu-${objectTag}`,
        handleMetadata: {
          functionName: objectTag,
          supportedInputFormats: [pickle, cborFormat],
          supportedOutputFormats: [pickle, cborFormat],
        },
      };
    },
    async functionMap(
      {
        functionId,
        pipelinedInputs,
      }: {
        functionId: string;
        pipelinedInputs: { input?: { args?: Uint8Array; argsBlobId?: string; dataFormat: number } }[];
      },
      { metadata }: CallContext,
    ) {
      const key = metadata.get("x-idempotency-key") ?? randomUUID();
      const input = pipelinedInputs[0]?.input;
      const bytes = input?.args ?? blobs.get(input?.argsBlobId ?? "");
      if (input?.dataFormat !== cborFormat || bytes === undefined)
        throw new ServerError(Status.INVALID_ARGUMENT, "one input in CBOR is expected");
      let call = byKey.get(key);
      if (call === undefined) {
        const [, { request }] = Arguments.parse(decoder.decode(bytes));
        call = newCall(functionId.slice("fu-".length), request);
        byKey.set(key, call);
        if (!strike("forget")) calls.set(call.id, call);
        begin(call);
      }
      if (strike("loseAnswers")) throw new ServerError(Status.UNAVAILABLE, "the answer was lost");
      return {
        functionCallId: call.id,
        functionCallJwt: "jwt",
        pipelinedInputs: [{ idx: 0, inputId: `in-${call.id}`, inputJwt: "jwt" }],
      };
    },
    async functionCallFromId({ functionCallId }: { functionCallId: string }) {
      known(functionCallId);
      return { functionCallId, numInputs: 1 };
    },
    async functionGetOutputs({ functionCallId, timeout }: { functionCallId: string; timeout: number }) {
      const call = known(functionCallId);
      const ending = await Promise.race([
        call.ended,
        new Promise<null>((resolve) => setTimeout(resolve, timeout * 1_000, null)),
      ]);
      if (ending === null) return { outputs: [], lastEntryId: "0-0", numUnfinishedInputs: 1 };
      const { exception, returned } = ending;
      const data = returned === null ? null : Buffer.from(encoder.encode(returned));
      return {
        outputs: [{ result: { status: ending.status, exception, ...carried(data) }, idx: 0, dataFormat: cborFormat }],
        lastEntryId: "1-0",
      };
    },
    async functionCallCancel({ functionCallId }: { functionCallId: string }) {
      known(functionCallId).end({ status: status.terminated, exception: "", returned: null });
      return {};
    },
    async blobCreate() {
      const blobId = `bl-${randomUUID()}`;
      return { blobId, uploadUrl: `${httpUrl}/blobs/${blobId}` };
    },
    async blobGet({ blobId }: { blobId: string }) {
      return { downloadUrl: `${httpUrl}/blobs/${blobId}` };
    },
  };

  const carried = (data: Buffer | null): { data?: Buffer; dataBlobId?: string } => {
    if (data === null) return {};
    if (data.length <= longestInline) return { data };
    const dataBlobId = `bl-${randomUUID()}`;
    blobs.set(dataBlobId, data);
    return { dataBlobId };
  };

  const grpc = createServer({ "grpc.max_receive_message_length": 2 ** 27 }).use(async function* (call, context) {
    const name = call.method.path.split("/").at(-1) ?? "";
    rpcs.push(name);
    if (strike("unavailable")) throw new ServerError(Status.UNAVAILABLE, "the control plane is away");
    if (name !== "AuthTokenGet" && !issued.has(context.metadata.get("x-modal-auth-token") ?? ""))
      throw new ServerError(Status.UNAUTHENTICATED, "no auth token of this server");
    if (name === "FunctionMap" && strike("throttle")) throw throttled(protobuf, context);
    return yield* call.next(call.request, context);
  });
  const { ModalClientDefinition: whole } = protobuf;
  const methods = Object.fromEntries(Object.keys(implementation).map((name) => [name, whole.methods[name]]));
  const definition = { ...whole, methods } as typeof whole;
  // The SDK's definitions come without types of their messages.
  grpc.add(definition, implementation as unknown as ServiceImplementation<typeof definition>);
  const grpcPort = await grpc.listen("127.0.0.1:0");

  // Clients reach it through a door of its own, so that their connections can be cut.
  const sockets = new Set<Socket>();
  const door = createTcpServer((socket) => {
    const upstream = connect(grpcPort, "127.0.0.1");
    for (const [one, other] of [
      [socket, upstream],
      [upstream, socket],
    ] as const) {
      sockets.add(one);
      one.pipe(other);
      one.on("error", () => other.destroy());
      one.on("close", () => {
        sockets.delete(one);
        other.destroy();
      });
    }
  });
  const cut = (): boolean => {
    const wereThere = sockets.size > 0;
    for (const socket of sockets) socket.destroy();
    return wereThere;
  };
  return {
    url: `http://127.0.0.1:${await listen(door)}`,
    controlUrl: httpUrl,
    tell: (changes) => Object.assign(faults, changes),
    calls: told,
    rpcs,
    blobs: () => blobs.size,
    cut,
    kill: () => [...calls.values()].some((call) => call.ending === null && kill(call)),
    async close() {
      for (const call of calls.values()) call.end({ status: status.terminated, exception: "", returned: null });
      cut();
      door.close();
      http.closeAllConnections();
      http.close();
      await grpc.forceShutdown();
    },
  };
}

/** An error with which the server asks for a repetition after a second, as Modal does it: in the trailers. */
function throttled({ RPCStatus, RPCRetryPolicy }: ModalProtobuf, context: CallContext): ServerError {
  const policy = RPCRetryPolicy.encode(RPCRetryPolicy.create({ retryAfterSecs: 1 })).finish();
  const details = [{ typeUrl: "type.googleapis.com/modal.client.RPCRetryPolicy", value: policy }];
  const told = RPCStatus.encode(RPCStatus.create({ code: Status.RESOURCE_EXHAUSTED, message: "", details })).finish();
  context.trailer = Metadata({ "grpc-status-details-bin": told });
  return new ServerError(Status.RESOURCE_EXHAUSTED, "too many requests");
}

async function bytesOf(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const listen = (server: Server): Promise<number> =>
  new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });
