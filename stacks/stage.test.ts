import { describe, expect, test } from "vitest";
import { batchInstances, loadStage } from "./stage.ts";

const image = `123456789012.dkr.ecr.us-east-1.amazonaws.com/ksearch/referee@sha256:${"a".repeat(64)}`;

describe("a stage by its name alone", () => {
  test("lies in us-east-1, has no Batch and keeps nothing", () => {
    expect(loadStage("dev", {})).toEqual({
      name: "dev",
      region: "us-east-1",
      keeps: false,
      alarmEmail: undefined,
      batch: null,
    });
  });
  test("production keeps what it holds", () => expect(loadStage("production", {}).keeps).toBe(true));
  test("an empty variable is one that is not set", () =>
    expect(loadStage("dev", { KSEARCH_BATCH_GPUS: "", KSEARCH_BATCH_IMAGE: "", KSEARCH_REGION: "" }).batch).toBeNull());
});

test("Batch wants GPUs and an image of the same region, and each GPU counts once", () => {
  const env = { KSEARCH_BATCH_GPUS: "L4, H100 L4", KSEARCH_BATCH_IMAGE: image };
  expect(loadStage("dev", env).batch).toEqual({ gpus: ["L4", "H100"], image });
});

test("every GPU class has its instance type and more vCPUs than a job takes", () => {
  for (const { type, vcpus, gpus } of Object.values(batchInstances)) {
    expect(type).toMatch(/^[a-z0-9-]+\.\d*xlarge$/);
    expect(vcpus / gpus).toBeGreaterThan(3);
  }
});

const refused: [what: string, name: string | undefined, env: Record<string, string>, says: RegExp][] = [
  ["no stage", undefined, {}, /stage undefined/],
  ["an empty stage", "", {}, /1 to 20 of a-z/],
  ["capitals", "Production", {}, /1 to 20 of a-z/],
  ["an underscore", "my_stage", {}, /1 to 20 of a-z/],
  ["a path", "../production", {}, /1 to 20 of a-z/],
  ["a digit first", "1st", {}, /a letter first/],
  ["21 letters", "a".repeat(21), {}, /1 to 20/],
  ["prod", "prod", {}, /called production/],
  ["live", "live", {}, /called production/],
  ["an unknown region", "dev", { KSEARCH_REGION: "us-east-9" }, /"us-east-9" is none of us-east-1 /],
  ["a zone for a region", "dev", { KSEARCH_REGION: "us-east-1a" }, /is none of/],
  ["an unknown GPU", "dev", { KSEARCH_BATCH_GPUS: "H100!" }, /"H100!" is none of T4 L4 L40S A100-80GB H100 H200 B200/],
  ["a GPU that EC2 lacks", "dev", { KSEARCH_BATCH_GPUS: "A10" }, /"A10" is none of/],
  ["Batch without an image", "dev", { KSEARCH_BATCH_GPUS: "L4" }, /KSEARCH_BATCH_IMAGE/],
  ["an image by tag", "dev", { KSEARCH_BATCH_GPUS: "L4", KSEARCH_BATCH_IMAGE: "ksearch:latest" }, /by digest/],
  [
    "an image of another region",
    "dev",
    { KSEARCH_BATCH_GPUS: "L4", KSEARCH_BATCH_IMAGE: image, KSEARCH_REGION: "eu-west-1" },
    /lies in us-east-1, not in eu-west-1/,
  ],
  ["an address that is none", "dev", { KSEARCH_ALARM_EMAIL: "me" }, /e-mail/],
];

test.each(refused)("%s is refused with the mend", (_, name, env, says) => {
  expect(() => loadStage(name, env)).toThrow(says);
});
