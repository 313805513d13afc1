import { expect, test } from "vitest";
import { sampleLog } from "../../test/reports.ts";
import { sampleOptions } from "../../test/samples.ts";
import { simulate } from "../../test/simulator.ts";
import { costs } from "./costs.ts";

test("calls are added up by model and purpose; those without an answer have no model", () => {
  expect(costs(sampleLog("gpt").events)).toEqual([
    {
      model: "gpt",
      purpose: "draft",
      calls: 1,
      unanswered: 0,
      inputTokens: 1_000,
      outputTokens: 50,
      waitedMs: 1_500,
      costMicroUsd: 7,
    },
    {
      model: "",
      purpose: "draft",
      calls: 1,
      unanswered: 1,
      inputTokens: null,
      outputTokens: null,
      waitedMs: 0,
      costMicroUsd: 4,
    },
  ]);
});

test.each([1, 2, 3])("what is added up is what the run has spent, however often it was killed (seed %i)", (seed) => {
  const { events, state } = simulate({ options: sampleOptions({ budgetAttempts: 60 }), seed, kills: 0.02 });
  const rows = costs(events);
  expect(rows.reduce((sum, row) => sum + row.costMicroUsd, 0)).toBe(state.spentMicroUsd);
  expect(rows.find(({ purpose }) => purpose === "evaluate")?.model).toBe("referee on dice");
});

test("a log that settles what it never submitted is refused", () => {
  const events = sampleLog().events.filter(({ event }) => event.type !== "call.submitted");
  expect(() => costs(events)).toThrow(/never submitted/);
});
