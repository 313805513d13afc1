import { AppError } from "@ksearch/domain";
import { type Endpoint, endpointOf } from "./endpoint.ts";

/** What decides whose key a model wants. */
type Model = { modelName: string; baseUrl?: string | undefined };

const vendorKeys: Record<Endpoint["vendor"], [string, ...string[]]> = {
  openai: ["OPENAI_API_KEY", "LLM_API_KEY"],
  gemini: ["GEMINI_API_KEY", "LLM_API_KEY"],
  other: ["LLM_API_KEY", "OPENAI_API_KEY"],
};

/**
 * The key of a model's endpoint: from the environment, never from an argument. In a run with endpoints of several vendors
 * each gets its own key only, so that none is shown to another.
 */
export function keyFor(
  environment: Readonly<Record<string, string | undefined>>,
  model: Model,
  all: readonly Model[],
): { apiKey: string; keyName: string } {
  const vendorOf = ({ modelName, baseUrl }: Model) => endpointOf(modelName, baseUrl).vendor;
  const names = vendorKeys[vendorOf(model)];
  const isMixed = all.some((other) => vendorOf(other) !== vendorOf(model));
  const usable = isMixed ? names.slice(0, 1) : names;
  for (const keyName of usable) {
    const apiKey = environment[keyName];
    if (apiKey) return { apiKey, keyName };
  }
  throw new AppError(
    "caller",
    "llm.key",
    `no key for ${model.modelName}: set ${usable.join(" or ")} in the environment (any text for a local endpoint), or choose --llm replay or --llm agent`,
  );
}
