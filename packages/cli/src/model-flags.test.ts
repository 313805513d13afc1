import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { openLlm } from "./local.ts";
import { type ModelFlags, modelChoice } from "./model-flags.ts";

const secret = "sk-secret-0123456789";
const chosen = (flags: ModelFlags) => modelChoice(flags, (path) => `/abs/${path}`);
const live = (flags: ModelFlags) => {
  const choice = chosen(flags);
  if (choice.kind !== "openai") throw new Error(`a ${choice.kind}`);
  return choice;
};
const microUsd = (input: number, output: number) => ({
  inputMicroUsd: input * 1e6,
  cachedInputMicroUsd: input * 1e6,
  outputMicroUsd: output * 1e6,
});

describe("flags that name models", () => {
  test("one name is one model, at its known price, as it ever was", () => {
    expect(chosen({ modelName: ["gpt-5-mini"] })).toEqual({
      kind: "openai",
      models: [
        {
          modelName: "gpt-5-mini",
          api: "auto",
          background: false,
          price: { inputMicroUsd: 250_000, cachedInputMicroUsd: 25_000, outputMicroUsd: 2_000_000 },
        },
      ],
      drafts: ["gpt-5-mini"],
      treeModel: null,
    });
  });

  test.each([[["a,b"]], [["a", "b"]], [["a , b"]]])(
    "several may stand with commas or flag by flag: %j",
    (modelName) => {
      expect(live({ modelName, modelPrice: ["1/10"] }).drafts).toEqual(["a", "b"]);
    },
  );

  test("what is said of one model goes before what is said of all", () => {
    const { models } = live({
      modelName: ["a,b", "c"],
      modelPrice: ["1/10", "b=2/20"],
      baseUrl: ["http://all/v1?api-version=1", "c=http://c/v1?api-version=2"],
      reasoningEffort: ["a=high,b=low"],
      api: ["c=responses"],
    });
    expect(models).toEqual([
      {
        modelName: "a",
        api: "auto",
        background: false,
        price: microUsd(1, 10),
        baseUrl: "http://all/v1?api-version=1",
        reasoningEffort: "high",
      },
      {
        modelName: "b",
        api: "auto",
        background: false,
        price: microUsd(2, 20),
        baseUrl: "http://all/v1?api-version=1",
        reasoningEffort: "low",
      },
      {
        modelName: "c",
        api: "responses",
        background: false,
        price: microUsd(1, 10),
        baseUrl: "http://c/v1?api-version=2",
      },
    ]);
  });

  test("the tree's model is one more, or one of those that draft; the first of them is meant anyway", () => {
    const other = live({ modelName: ["gpt-5.2"], wmModelName: "gpt-5-mini" });
    expect(other).toMatchObject({ drafts: ["gpt-5.2"], treeModel: "gpt-5-mini" });
    expect(other.models.map(({ modelName }) => modelName)).toEqual(["gpt-5.2", "gpt-5-mini"]);
    const second = live({ modelName: ["gpt-5.2,gpt-5-mini"], wmModelName: "gpt-5-mini" });
    expect(second).toMatchObject({ treeModel: "gpt-5-mini" });
    expect(second.models).toHaveLength(2);
    expect(live({ modelName: ["gpt-5.2"], wmModelName: "gpt-5.2" }).treeModel).toBeNull();
  });

  test("the background is for those that speak Responses", () => {
    const { models } = live({ modelName: ["gpt-5.2,gemini-2.5-pro"], llmBackground: true });
    expect(models.map(({ background }) => background)).toEqual([true, false]);
    const local = { baseUrl: ["http://h/v1"], modelPrice: ["0/0"], api: ["responses"], llmBackground: true };
    expect(live({ modelName: ["a"], ...local }).models[0]?.background).toBe(true);
  });

  test.each<[string, ModelFlags, string, RegExp]>([
    ["a model twice", { modelName: ["a,a"] }, "flags", /^--model-name: a model stands twice$/],
    ["a model without a name", { modelName: ["a,,b"] }, "flags", /^--model-name: /],
    ["a price for a stranger", { modelName: ["a,b"], modelPrice: ["c=1/9"] }, "flags", /'c' is none of .*\(a, b\)/],
    ["two prices for all", { modelName: ["a"], modelPrice: ["1/9", "2/9"] }, "flags", /stands twice for all models/],
    ["two prices for one", { modelName: ["a"], modelPrice: ["a=1/1,a=2/2"] }, "flags", /stands twice for a/],
    ["a price that is none", { modelName: ["a"], modelPrice: ["a=cheap"] }, "llm.price", /'cheap' is no model price/],
    ["a price for one of two", { modelName: ["a,b"], modelPrice: ["a=1/9"] }, "llm.price", /no price .* 'b'/],
    ["no price for the tree's", { modelName: ["o3"], wmModelName: "oracle" }, "llm.price", /no price .* 'oracle'/],
    ["an endpoint for a stranger", { modelName: ["o3"], baseUrl: ["c=http://h"] }, "flags", /^--base-url: 'c' is none/],
    ["one bad endpoint", { modelName: ["o3"], baseUrl: ["o3=ftp://h"] }, "flags", /^--base-url: .*http:\/\//],
    [
      "a key in an endpoint",
      { modelName: ["o3"], baseUrl: [`o3=http://h?key=${secret}`] },
      "flags",
      /only api-version/,
    ],
    ["one bad effort", { modelName: ["o3"], reasoningEffort: ["o3=silly"] }, "flags", /^--reasoning-effort: /],
    ["one bad API", { modelName: ["o3"], api: ["o3=soap"] }, "flags", /^--api: /],
    [
      "background where no model has it",
      { modelName: ["gemini-2.5-pro"], llmBackground: true },
      "flags",
      /^--llm-background needs the Responses API/,
    ],
    ["background beside a transcript", { transcript: "t", llmBackground: true }, "flags", /cannot stand beside/],
    ["a model for the tree alone", { wmModelName: "gpt-5-mini" }, "flags", /needs --model-name/],
  ])("%s is refused, and no value is shown", (_, flags, code, says) => {
    const choose = () => chosen(flags);
    expect(choose).toThrow(expect.objectContaining({ who: "caller", code, message: expect.stringMatching(says) }));
    expect(choose).not.toThrow(secret);
  });
});

describe("keys", () => {
  const names = ["OPENAI_API_KEY", "GEMINI_API_KEY", "LLM_API_KEY"];
  beforeEach(() => {
    for (const name of names) vi.stubEnv(name, "");
  });
  afterEach(() => {
    vi.unstubAllEnvs();
  });
  const local: ModelFlags = { baseUrl: ["local=http://127.0.0.1:9/v1"], modelPrice: ["local=0/0"] };
  const opened = (flags: ModelFlags, keys: string[]) => {
    for (const name of keys) vi.stubEnv(name, secret);
    return () => openLlm(chosen(flags));
  };

  test.each<[string, ModelFlags, string[]]>([
    ["OpenAI takes its own", { modelName: ["o3"] }, ["OPENAI_API_KEY"]],
    ["or the general one", { modelName: ["o3"] }, ["LLM_API_KEY"]],
    ["Gemini takes its own", { modelName: ["gemini-2.5-pro"] }, ["GEMINI_API_KEY"]],
    ["or the general one", { modelName: ["gemini-2.5-pro"] }, ["LLM_API_KEY"]],
    ["another endpoint the general one", { modelName: ["local"], ...local }, ["LLM_API_KEY"]],
    ["or, alone, OpenAI's", { modelName: ["local"], ...local }, ["OPENAI_API_KEY"]],
    ["each its own", { modelName: ["o3,gemini-2.5-pro,local"], ...local }, names],
  ])("%s", (_, flags, keys) => {
    expect(opened(flags, keys)).not.toThrow();
  });

  test.each<[string, ModelFlags, string[], RegExp]>([
    ["none at all", { modelName: ["o3"] }, [], /no key for o3: set OPENAI_API_KEY or LLM_API_KEY in/],
    [
      "Gemini does not get OpenAI's",
      { modelName: ["gemini-2.5-pro"] },
      ["OPENAI_API_KEY"],
      /set GEMINI_API_KEY or LLM_/,
    ],
    [
      "nor does Gemini's host under another model's name",
      {
        modelName: ["tuned"],
        baseUrl: ["https://generativelanguage.googleapis.com/v1beta/openai"],
        modelPrice: ["1/9"],
      },
      ["OPENAI_API_KEY"],
      /set GEMINI_API_KEY or LLM_API_KEY/,
    ],
    [
      "beside OpenAI, Gemini gets its own only",
      { modelName: ["o3,gemini-2.5-pro"] },
      ["OPENAI_API_KEY", "LLM_API_KEY"],
      /no key for gemini-2.5-pro: set GEMINI_API_KEY in/,
    ],
    [
      "beside OpenAI, no other endpoint gets OpenAI's",
      { modelName: ["o3,local"], ...local },
      ["OPENAI_API_KEY"],
      /no key for local: set LLM_API_KEY in/,
    ],
    [
      "beside another endpoint, OpenAI does not get that one's",
      { modelName: ["o3,local"], ...local },
      ["LLM_API_KEY"],
      /no key for o3: set OPENAI_API_KEY in/,
    ],
  ])("%s", (_, flags, keys, says) => {
    const open = opened(flags, keys);
    expect(open).toThrow(
      expect.objectContaining({ who: "caller", code: "llm.key", message: expect.stringMatching(says) }),
    );
    expect(open).not.toThrow(secret);
  });
});
