import { expect, test } from "vitest";
import { EvaluationSettings, hardenedSettings } from "./request.ts";

test.each([
  { timing: { ...hardenedSettings.timing, inputs: "same" as const } },
  { correctness: { ...hardenedSettings.correctness, checkTimed: "none" as const } },
])("what lets a kernel answer without work is no part of the profile 'hardened': %j", (lenient) => {
  const settings = { ...hardenedSettings, ...lenient };
  const { error } = EvaluationSettings.safeParse(settings);
  expect(error?.issues).toMatchObject([{ path: ["profile"], message: expect.stringContaining("fresh inputs") }]);
  expect(EvaluationSettings.safeParse({ ...settings, profile: "compat" }).success).toBe(true);
});
