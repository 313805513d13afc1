import { expect, test } from "vitest";
import type { Llm, LlmAnswer, LlmRequest } from "../llm.ts";

export const sampleRequest = (slot: string, runId = "run_contract"): LlmRequest => ({
  runId,
  call: slot,
  slot,
  purpose: "draft",
  model: "sample",
  prompt: { system: "You write kernels.", user: "Write one." },
  maxOutputTokens: 1_000,
  timeoutMs: 5_000,
});

/** Collects until there is an answer, as the workflow does, at most 100 times. */
export async function answerOf(llm: Llm, request: LlmRequest): Promise<LlmAnswer> {
  const submitted = await llm.submit(request);
  if ("answer" in submitted) return submitted.answer;
  for (let poll = 0; poll < 100; poll += 1) {
    const collected = await llm.collect(submitted.ticket, request.model);
    if (collected !== "running" && "ended" in collected) throw collected.ended;
    if (collected !== "running") return collected.answer;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error("no answer after 100 polls");
}

/** What every model must do. `make` gives one that answers the slot `draft/a/1` with the text "hello". */
export function llmContract(make: () => Promise<Llm>): void {
  test("a request is answered, with text, model and whole token counts", async () => {
    const answer = await answerOf(await make(), sampleRequest("draft/a/1"));
    expect(answer.text).toBe("hello");
    expect(answer.model).not.toBe("");
    expect(answer.cut).toBeNull();
    for (const count of [
      answer.usage.inputTokens,
      answer.usage.cachedInputTokens,
      answer.usage.outputTokens,
      answer.usage.reasoningTokens,
    ])
      expect(Number.isInteger(count) && count >= 0).toBe(true);
  });
  test("more tokens never cost less, and nothing costs a fraction of a micro-dollar", async () => {
    const llm = await make();
    const usage = {
      inputTokens: 1_000,
      cachedInputTokens: 0,
      outputTokens: 1_000,
      reasoningTokens: 0,
      estimated: false,
    };
    const { model } = sampleRequest("draft/a/1");
    const cost = llm.price(usage, model);
    expect(Number.isInteger(cost) && cost >= 0).toBe(true);
    expect(llm.price({ ...usage, outputTokens: 2_000 }, model)).toBeGreaterThanOrEqual(cost);
  });
  test("an answer that nobody wants can be canceled, and canceled again", async () => {
    const llm = await make();
    const submitted = await llm.submit(sampleRequest("draft/a/1"));
    if ("answer" in submitted) return;
    for (let time = 0; time < 2; time += 1)
      expect(await llm.cancel(submitted.ticket, sampleRequest("draft/a/1").model)).toBeUndefined();
  });
}
