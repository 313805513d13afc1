import { llmContract, sampleRequest } from "@ksearch/ports/contracts";
import { expect, test } from "vitest";
import { replayLlm } from "../replay/index.ts";
import { labelledLlm } from "./index.ts";

const saying = (text: string) =>
  replayLlm({
    format: "ksearch-transcript",
    version: 1,
    problem: "p",
    problemDigest: "sha256:0",
    attemptsPerNode: { base: 1, max: 1 },
    label: text,
    recordedAt: "2026-01-01",
    replies: new Map([["draft/a/1", { slot: "draft/a/1", text, model: "m", usage: null }]]),
  });
const asked = (model: string) => ({ ...sampleRequest("draft/a/1"), model });

llmContract(async () => labelledLlm(new Map([["sample", () => saying("hello")]])));

test("each request, ticket and price goes to the model of its label", async () => {
  const priced = (micro: number) => ({ ...saying(`${micro}`), price: () => micro });
  const llm = labelledLlm(
    new Map([
      ["a", () => priced(1)],
      ["b", () => priced(2)],
    ]),
  );
  expect(await llm.submit(asked("a"))).toMatchObject({ answer: { text: "1" } });
  expect(await llm.submit(asked("b"))).toMatchObject({ answer: { text: "2" } });
  const usage = { inputTokens: 1, cachedInputTokens: 0, outputTokens: 1, reasoningTokens: 0, estimated: false };
  expect([llm.price(usage, "a"), llm.price(usage, "b")]).toEqual([1, 2]);
});

test("a model is made when it is first asked, once: one that nobody asks may lack its key", async () => {
  let made = 0;
  const llm = labelledLlm(
    new Map([
      ["a", () => ({ ...saying("hello"), made: ++made })],
      [
        "gone",
        () => {
          throw new Error("no key");
        },
      ],
    ]),
  );
  expect(made).toBe(0);
  for (let time = 0; time < 2; time += 1) await llm.submit(asked("a"));
  expect(made).toBe(1);
});

test("a label without settings is the operator's, and names those that there are", async () => {
  const llm = labelledLlm(new Map([["a", () => saying("hello")]]));
  await expect(llm.collect("ticket", "b")).rejects.toMatchObject({
    who: "operator",
    code: "llm.label",
    message: expect.stringMatching(/'b'.*there are a/),
  });
});
