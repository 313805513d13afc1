import { AppError } from "@ksearch/domain";
import { afterEach, expect, test, vi } from "vitest";
import { clientFor } from "./client.ts";
import { createOpenAiLlm } from "./index.ts";
import { chosenSettings, type OpenAiSettings } from "./settings.ts";

const settings = { apiKey: "sk-test-0123456789abcdef", modelName: "gpt-5-mini" };
const local = "http://127.0.0.1:11434/v1";

afterEach(() => {
  vi.unstubAllEnvs();
});

test("OpenAI itself is asked by Responses, any base URL by Chat Completions, unless said otherwise", () => {
  expect(chosenSettings(settings).api).toBe("responses");
  expect(chosenSettings({ ...settings, baseUrl: local }).api).toBe("chat");
  expect(chosenSettings({ ...settings, baseUrl: local, api: "responses" }).api).toBe("responses");
  expect(chosenSettings({ ...settings, api: "chat" }).api).toBe("chat");
});

test("where requests go and for whom is not taken from the environment", () => {
  vi.stubEnv("OPENAI_BASE_URL", "http://elsewhere.example/v1");
  vi.stubEnv("OPENAI_ORG_ID", "org-elsewhere");
  const client = clientFor(chosenSettings(settings));
  expect(client.baseURL).toBe("https://api.openai.com/v1");
  expect(client.organization).toBeNull();
});

test.each<[string, Partial<OpenAiSettings>]>([
  ["no key", { apiKey: " " }],
  ["a key with a break in it", { apiKey: "sk-secret\nsk-secret" }],
  ["no model", { modelName: "" }],
  ["a base URL that is none", { baseUrl: "localhost:11434" }],
  ["a base URL with a password", { baseUrl: "http://user:sk-secret@127.0.0.1/v1" }],
  ["a price of parts", { price: { inputMicroUsd: 0.5, cachedInputMicroUsd: 0, outputMicroUsd: 1 } }],
  ["an effort that is none", { reasoningEffort: "enormous" }],
  ["background calls by Chat Completions", { baseUrl: local, background: true }],
])("%s is refused at once, and no value is shown", (_, change) => {
  const create = () => createOpenAiLlm({ ...settings, ...change });
  expect(create).toThrow(expect.objectContaining({ who: "caller", code: "llm.settings" }));
  expect(create).not.toThrow(/sk-secret|sk-test/);
});

test("a model without a price is refused at once, with the mend; a given price wins", () => {
  const unknown = { ...settings, baseUrl: local, modelName: "qwen3-coder:30b" };
  expect(() => createOpenAiLlm(unknown)).toThrow(AppError);
  expect(() => createOpenAiLlm(unknown)).toThrow("--model-price <in>/<out>");
  const free = createOpenAiLlm({ ...unknown, price: { inputMicroUsd: 0, cachedInputMicroUsd: 0, outputMicroUsd: 0 } });
  expect(
    free.price(
      { inputTokens: 1_000, cachedInputTokens: 0, outputTokens: 1_000, reasoningTokens: 0, estimated: false },
      unknown.modelName,
    ),
  ).toBe(0);
});

test("a known model costs what the table says, cached input less", () => {
  const llm = createOpenAiLlm(settings);
  const usage = {
    inputTokens: 1_000_000,
    cachedInputTokens: 400_000,
    outputTokens: 100_000,
    reasoningTokens: 50_000,
    estimated: false,
  };
  expect(llm.price(usage, settings.modelName)).toBe(150_000 + 10_000 + 200_000);
});
