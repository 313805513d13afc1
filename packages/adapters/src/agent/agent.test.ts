import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Llm, LlmRequest } from "@ksearch/ports";
import { llmContract, sampleRequest } from "@ksearch/ports/contracts";
import { expect, test } from "vitest";
import { fileBlobs } from "../files/index.ts";
import { agentLlm, deliver } from "./index.ts";

const newBlobs = () => fileBlobs(mkdtempSync(join(tmpdir(), "ksearch-agent-")));

async function ticketOf(llm: Llm, request: LlmRequest): Promise<string> {
  const submitted = await llm.submit(request);
  if ("answer" in submitted) throw new Error("an agent cannot answer at once");
  return submitted.ticket;
}

llmContract(async () => {
  const blobs = newBlobs();
  await deliver(blobs, "run_contract", "draft/a/1", "hello", "somebody");
  return agentLlm(blobs);
});

test("nobody has answered: running, for as long as it takes; then the answer, as often as one asks", async () => {
  const blobs = newBlobs();
  const llm = agentLlm(blobs);
  const ticket = await ticketOf(llm, sampleRequest("draft/a/1", "run_a"));
  expect(await llm.collect(ticket, "sample")).toBe("running");
  expect(await llm.collect(ticket, "sample")).toBe("running");
  expect(await deliver(blobs, "run_a", "draft/a/1", "the kernel", "claude")).toBe("written");
  for (let time = 0; time < 2; time += 1)
    expect(await llm.collect(ticket, "sample")).toMatchObject({
      answer: { text: "the kernel", model: "claude", usage: { estimated: true } },
    });
});

test("the first reply holds", async () => {
  const blobs = newBlobs();
  const llm = agentLlm(blobs);
  const ticket = await ticketOf(llm, sampleRequest("draft/a/1", "run_a"));
  expect(await deliver(blobs, "run_a", "draft/a/1", "first", "x")).toBe("written");
  expect(await deliver(blobs, "run_a", "draft/a/1", "second", "y")).toBe("existed");
  expect(await llm.collect(ticket, "sample")).toMatchObject({ answer: { text: "first", model: "x" } });
});

test("a reply goes to its own call of its own run", async () => {
  const blobs = newBlobs();
  const llm = agentLlm(blobs);
  await deliver(blobs, "run_a", "c1", "one", "x");
  expect(await llm.collect(await ticketOf(llm, sampleRequest("c2", "run_a")), "sample")).toBe("running");
  expect(await llm.collect(await ticketOf(llm, sampleRequest("c1", "run_b")), "sample")).toBe("running");
  expect(await llm.collect(await ticketOf(llm, sampleRequest("c1", "run_a")), "sample")).toMatchObject({
    answer: { text: "one" },
  });
});

test("a ticket outlives the process that got it", async () => {
  const blobs = newBlobs();
  const ticket = await ticketOf(agentLlm(blobs), sampleRequest("c1", "run_a"));
  await deliver(blobs, "run_a", "c1", "late", "x");
  expect(await agentLlm(blobs).collect(ticket, "sample")).toMatchObject({ answer: { text: "late" } });
});

test("an empty reply is a reply", async () => {
  const blobs = newBlobs();
  const llm = agentLlm(blobs);
  const ticket = await ticketOf(llm, sampleRequest("c1", "run_a"));
  await deliver(blobs, "run_a", "c1", "", "x");
  expect(await llm.collect(ticket, "sample")).toMatchObject({ answer: { text: "", usage: { outputTokens: 0 } } });
});

test.each(["{ half", '{"text":"no model"}'])(
  "a reply file that was tampered with (%s) is told with its name",
  async (content) => {
    const blobs = newBlobs();
    const llm = agentLlm(blobs);
    const ticket = await ticketOf(llm, sampleRequest("c1", "run_a"));
    await blobs.put("runs/run_a/calls/c1/delivered.json", new TextEncoder().encode(content));
    await expect(llm.collect(ticket, "sample")).rejects.toMatchObject({
      who: "operator",
      code: "store.corrupt",
      message: expect.stringContaining("runs/run_a/calls/c1/delivered.json"),
    });
  },
);
