import { OpenAI } from "openai";
import { endpointOf, isAzure } from "./endpoint.ts";
import type { Chosen } from "./settings.ts";
import { patientFetch } from "./transport.ts";

/** The SDK's client. What it would otherwise read from the environment or log is set here. */
export function clientFor({ apiKey, modelName, baseUrl, maxRetries }: Chosen): OpenAI {
  const endpoint = endpointOf(modelName, baseUrl);
  const url = new URL(endpoint.url);
  const defaultQuery = Object.fromEntries(url.searchParams);
  url.search = "";
  return new OpenAI({
    apiKey,
    adminAPIKey: null,
    organization: null,
    project: null,
    webhookSecret: null,
    baseURL: url.href,
    defaultQuery,
    defaultHeaders: isAzure(endpoint) ? { authorization: null, "api-key": apiKey } : {},
    maxRetries,
    fetch: patientFetch,
    logLevel: "off",
  });
}
