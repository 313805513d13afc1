import { AppError, costMicroUsd, messageOf, parseJson } from "@ksearch/domain";
import type { Llm } from "@ksearch/ports";
import { z } from "zod";
import { chatDialect } from "./chat.ts";
import { clientFor } from "./client.ts";
import type { Limits } from "./dialect.ts";
import { failureOf } from "./failures.ts";
import { priceOf } from "./prices.ts";
import { responsesDialect } from "./responses.ts";
import { chosenSettings, type OpenAiSettings } from "./settings.ts";
import { type CallUnderway, currentCall } from "./transport.ts";

export { apiOf } from "./endpoint.ts";
export { keyFor } from "./keys.ts";
export { parsePrice, priceOf } from "./prices.ts";
export type { OpenAiSettings } from "./settings.ts";

/** A response at work at the provider, and when its time is over (Unix ms). */
const Ticket = z.strictObject({ id: z.string().min(1), untilMs: z.int() });

/** The SDK keeps its own time beside ours and tries again when it is over: it must never be the first. */
const sdkGraceMs = 60_000;

/**
 * A model behind OpenAI's API or any endpoint compatible with it. A model that says nothing has answered, with the text "".
 * The SDK tries again by itself only what was not paid: see `transport.ts`.
 * Throws AppError `caller` at once for settings that do not hold and for a model without a known price.
 */
export function createOpenAiLlm(settings: OpenAiSettings): Llm {
  const chosen = chosenSettings(settings);
  const price = chosen.price ?? priceOf(chosen.modelName);
  const client = clientFor(chosen);
  const dialect = chosen.api === "responses" ? responsesDialect(client, chosen) : chatDialect(client, chosen);
  const { apiKey, keyName, modelName, collectTimeoutMs } = chosen;
  const { host } = new URL(client.baseURL);

  const within = async <T>(timeoutMs: number, promptText: string, work: (limits: Limits) => Promise<T>): Promise<T> => {
    const deadline = AbortSignal.timeout(timeoutMs);
    const halt = new AbortController();
    const underway: CallUnderway = { latest: null, giveUp: () => halt.abort() };
    const limits = { signal: AbortSignal.any([deadline, halt.signal]), timeout: timeoutMs + sdkGraceMs };
    try {
      return await currentCall.run(underway, () => work(limits));
    } catch (error) {
      const { latest } = underway;
      throw failureOf(error, { host, modelName, apiKey, keyName, promptText, timeoutMs, deadline, latest });
    }
  };
  const exchange = <T>(work: (limits: Limits) => Promise<T>): Promise<T> => within(collectTimeoutMs, "", work);

  /** Past its time a response is canceled, if the provider can be reached, and no longer waited for. */
  const giveUp = async (id: string): Promise<Awaited<ReturnType<Llm["collect"]>>> => {
    const late = `${modelName} at ${host} did not answer in time; the response '${id}'`;
    try {
      const found = await exchange((limits) => dialect.cancel(id, limits));
      if ("answer" in found) return found;
      return { ended: new AppError("retry", "llm.timeout", `${late} was canceled`) };
    } catch (error) {
      return { ended: new AppError("retry", "llm.timeout", `${late} could not be canceled: ${messageOf(error)}`) };
    }
  };

  return {
    async submit(request) {
      const { prompt, timeoutMs } = request;
      const untilMs = Date.now() + timeoutMs;
      const found = await within(timeoutMs, `${prompt.system}\n${prompt.user}`, (limits) =>
        dialect.submit(request, limits),
      );
      if ("ended" in found) throw found.ended;
      return "answer" in found ? found : { ticket: JSON.stringify({ id: found.ticket, untilMs }) };
    },
    async collect(ticket) {
      const { id, untilMs } = readTicket(ticket);
      const isLate = Date.now() > untilMs;
      try {
        const found = await exchange((limits) => dialect.collect(id, limits));
        if (!("ticket" in found)) return found;
        return isLate ? giveUp(id) : "running";
      } catch (error) {
        if (isLate && error instanceof AppError && error.who === "retry") return giveUp(id);
        throw error;
      }
    },
    async cancel(ticket) {
      const { id } = readTicket(ticket);
      await exchange((limits) => dialect.cancel(id, limits));
    },
    price: (usage) => costMicroUsd(usage, price),
  };
}

function readTicket(ticket: string): z.output<typeof Ticket> {
  const read = Ticket.safeParse(parseJson(ticket));
  if (read.success) return read.data;
  throw new AppError("operator", "llm.ticket", `'${ticket}' is no ticket of a response`);
}
