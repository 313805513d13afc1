import { OpenAI } from "openai";
import type { Chosen } from "./settings.ts";
import { patientFetch } from "./transport.ts";

const official = "https://api.openai.com/v1";

/** The SDK's client. What it would otherwise read from the environment or log is set here. */
export function clientFor({ apiKey, baseUrl, maxRetries }: Chosen): OpenAI {
  const url = new URL(baseUrl ?? official);
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
    maxRetries,
    fetch: patientFetch,
    logLevel: "off",
  });
}
