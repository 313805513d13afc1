import {
  AppError,
  asAppError,
  type EvaluationRequest,
  Examination,
  type ExaminationRequest,
  Verdict,
} from "@ksearch/domain";
import type { Referee } from "@ksearch/ports";
import { TimeoutError } from "modal";
import { checkDevice, deployed, readAnswer } from "../answers.ts";
import { type ModalToken, modalConnection, pollMs } from "./connection.ts";
import { container, type DeviceFunctions, gpuFunctions, priceOf } from "./devices.ts";
import { endingOf, troubleOf } from "./failures.ts";
import { parseTicket, type Ticket } from "./ticket.ts";

export type ModalSettings = {
  /** Name of the deployed app (packages/evaluator/modal_app.py). */
  app: string;
  token: ModalToken;
  /** The function of each device; default: one for each GPU. */
  devices?: DeviceFunctions;
  /** How long a call may wait for a GPU on top of its own limit. */
  queueMs?: number;
};

/** Time of a function's own limit that start-up may take; the rest is the most that a request may ask for. */
const startMs = 120_000;

/** Between two polls that did not reach Modal. */
const pauseMs = 1_000;

/**
 * The referee as functions deployed at Modal, one a GPU: `submit` spawns a call, whichever process comes next collects it.
 * The endpoint is Modal's, or what the SDK reads from MODAL_SERVER_URL. What `collect` throws says nothing of the call.
 */
export function modalReferee({ app, token, devices = gpuFunctions, queueMs = 1_200_000 }: ModalSettings): Referee {
  const connection = modalConnection(token);

  async function spawn(request: EvaluationRequest | ExaminationRequest): Promise<Ticket> {
    const { device, requestId, settings } = request;
    const name = devices[device];
    if (name === undefined)
      throw new AppError(
        "caller",
        "referee.device",
        `the referee at Modal judges on ${Object.keys(devices).join(", ")}, not on ${device}: choose another --target-gpu, or --referee local`,
      );
    const { totalMs } = settings.limits;
    if (totalMs > container.timeoutMs - startMs)
      throw new AppError(
        "caller",
        "referee.limits",
        `limits.totalMs is ${totalMs}, and a function at Modal works for ${container.timeoutMs - startMs} ms at most: ask for less`,
      );
    const submittedAtMs = Date.now();
    try {
      const callId = await connection(async (client) => {
        const judge = await client.functions.fromName(app, name);
        // Text, not an object: CBOR makes floats of large integers and BigInts of nanoseconds.
        return (await judge.spawn([], { request: JSON.stringify(request) })).functionCallId;
      });
      return { callId, requestId, device, deadlineMs: submittedAtMs + totalMs + startMs + queueMs };
    } catch (error) {
      throw troubleOf(error);
    }
  }

  /** What a call returned, once; `ended`: it never will. Throws AppError: Modal could not be asked. */
  async function returned({
    callId,
    deadlineMs,
  }: Ticket): Promise<{ value: unknown } | { ended: AppError } | "running"> {
    const isLate = Date.now() > deadlineMs;
    try {
      return await connection(async (client) => {
        const call = await client.functionCalls.fromId(callId);
        try {
          return { value: await call.get({ timeoutMs: pollMs }) };
        } catch (error) {
          // Before all others: the SDK's TimeoutError claims to be a FunctionTimeoutError, too.
          if (!(error instanceof TimeoutError)) throw error;
        }
        if (!isLate) return "running";
        // The SDK cannot tell an expired result from a queue that does not move.
        await call.cancel({ terminateContainers: true });
        return {
          ended: new AppError("retry", "referee.lost", `Modal has not answered within the deadline of the call`),
        };
      });
    } catch (error) {
      const ended = endingOf(error);
      if (ended !== null) return { ended };
      const trouble = troubleOf(error);
      if (trouble.who === "retry" && isLate)
        return { ended: new AppError("retry", "referee.lost", `no answer within the deadline: ${trouble.message}`) };
      throw trouble;
    }
  }

  return {
    submit: async (request) => ({ ticket: JSON.stringify(await spawn(request)) }),

    async collect(text) {
      const ticket = parseTicket(text);
      const outcome = await returned(ticket);
      if (outcome === "running" || "ended" in outcome) return outcome;
      try {
        const verdict = readAnswer(outcome.value, Verdict, ticket.requestId, deployed);
        checkDevice(verdict, ticket.device);
        return { verdict };
      } catch (error) {
        return { ended: asAppError(error) };
      }
    },

    async examine(request) {
      const ticket = await spawn(request);
      for (;;) {
        const outcome = await returned(ticket).catch(async (error: unknown) => {
          if (!(error instanceof AppError) || error.who !== "retry") throw error;
          await new Promise((resolve) => setTimeout(resolve, pauseMs));
          return "running" as const;
        });
        if (outcome === "running") continue;
        if ("ended" in outcome) throw outcome.ended;
        return readAnswer(outcome.value, Examination, ticket.requestId, deployed);
      }
    },

    async cancel(text) {
      const ticket = ticketOrNull(text);
      if (ticket === null) return;
      try {
        await connection(async (client) => {
          const call = await client.functionCalls.fromId(ticket.callId);
          await call.cancel({ terminateContainers: true });
        });
      } catch (error) {
        if (endingOf(error) === null) throw troubleOf(error);
      }
    },

    price: priceOf,
  };
}

function ticketOrNull(text: string): Ticket | null {
  try {
    return parseTicket(text);
  } catch (error) {
    if (error instanceof AppError) return null;
    throw error;
  }
}

export type { ModalToken } from "./connection.ts";
export { container, type DeviceFunctions, functionName, gpuFunctions, modalGpus, modalPrices } from "./devices.ts";
