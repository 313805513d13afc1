const openAi = "https://api.openai.com/v1";
const geminiHost = "generativelanguage.googleapis.com";

/** Where a model is asked, and whose key it wants. */
export type Endpoint = {
  /** Base URL; a query goes with every request. */
  readonly url: string;
  readonly vendor: "openai" | "gemini" | "other";
};

/** The given endpoint, or the public one that the model's name means: Gemini's compatible one for its models, else OpenAI. */
export function endpointOf(modelName: string, baseUrl: string | undefined): Endpoint {
  if (baseUrl === undefined)
    return /^(models\/)?gemini/.test(modelName)
      ? { url: `https://${geminiHost}/v1beta/openai/`, vendor: "gemini" }
      : { url: openAi, vendor: "openai" };
  const { host } = new URL(baseUrl);
  const vendor = host === geminiHost ? "gemini" : host === new URL(openAi).host ? "openai" : "other";
  return { url: baseUrl, vendor };
}

/** Azure's classic API, told by its version in the query, wants the key in a header of its own. */
export const isAzure = ({ url }: Endpoint): boolean => new URL(url).searchParams.has("api-version");

export type Api = "responses" | "chat" | "auto";

/** `auto`: Responses at OpenAI itself, Chat Completions at any given base URL and at Gemini. */
export const apiOf = (api: Api, modelName: string, baseUrl: string | undefined): "responses" | "chat" =>
  api !== "auto"
    ? api
    : baseUrl === undefined && endpointOf(modelName, baseUrl).vendor === "openai"
      ? "responses"
      : "chat";
