import { costMicroUsd } from "@ksearch/domain";
import type { Llm } from "@ksearch/ports";
import { chatDialect } from "./chat.ts";
import { clientFor } from "./client.ts";
import type { Limits } from "./dialect.ts";
import { failureOf } from "./failures.ts";
import { priceOf } from "./prices.ts";
import { responsesDialect } from "./responses.ts";
import { chosenSettings, type OpenAiSettings } from "./settings.ts";
import { currentCall, type LatestTry } from "./transport.ts";

export { parsePrice } from "./prices.ts";
export type { OpenAiSettings } from "./settings.ts";

/**
 * A model behind OpenAI's API or any endpoint compatible with it. A model that says nothing has answered, with the text "".
 * Throws AppError `caller` at once for settings that do not hold and for a model without a known price.
 */
export function createOpenAiLlm(settings: OpenAiSettings): Llm {
  const chosen = chosenSettings(settings);
  const price = chosen.price ?? priceOf(chosen.modelName);
  const client = clientFor(chosen);
  const dialect = chosen.api === "responses" ? responsesDialect(client, chosen) : chatDialect(client, chosen);
  const { apiKey, modelName, collectTimeoutMs } = chosen;
  const { host } = new URL(client.baseURL);

  const within = async <T>(timeoutMs: number, promptText: string, work: (limits: Limits) => Promise<T>): Promise<T> => {
    const deadline = AbortSignal.timeout(timeoutMs);
    const latest: LatestTry = { ended: null };
    try {
      return await currentCall.run(latest, () => work({ signal: deadline, timeout: timeoutMs }));
    } catch (error) {
      throw failureOf(error, { host, modelName, apiKey, promptText, timeoutMs, deadline, latest });
    }
  };

  return {
    submit: (request) =>
      within(request.timeoutMs, `${request.prompt.system}\n${request.prompt.user}`, (limits) =>
        dialect.submit(request, limits),
      ),
    collect: (ticket) => within(collectTimeoutMs, "", (limits) => dialect.collect(ticket, limits)),
    price: (usage) => costMicroUsd(usage, price),
  };
}
