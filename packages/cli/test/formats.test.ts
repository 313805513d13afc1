import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { ksearch, lastJson, newFolder } from "./stand-ins.ts";

/**
 * A search on one problem of each format under each policy, as a user starts it: the real referee, and an agent's recorded
 * replies. Four attempts each: more would only take longer.
 */
const home = fileURLToPath(new URL("../../../", import.meta.url));
const python = `${home}packages/evaluator/.venv/bin/python`;
const hasTorch = existsSync(python) && spawnSync(python, ["-c", "import torch"]).status === 0;
const transcript = (format: string, name: string) => `${home}problems/${format}/transcripts/${name}.jsonl`;
const short = ["--max-opt-rounds", "4", "--iterations", "4", "--warmup-runs", "1", "--confirm-top", "1", "--json"];

const gqa = "gqa_paged_decode_h8_kv2_d64_ps1_f32";
const searches: [name: string, format: string, more: string[]][] = [
  [gqa, "flashinfer", []],
  ["trimul_small", "gpumode", ["--language", "python"]],
  ["kernelbench_l1_p1", "kernelbench", []],
];
const policies = [
  { policy: "plain", flags: [] },
  { policy: "ksearch", flags: ["--policy", "ksearch", "--wm-stagnation-window", "1"] },
  { policy: "lanes", flags: ["--world-model", "--lanes", "2"] },
];

describe.each(searches)("%s (%s)", { timeout: 240_000 }, (name, format, more) => {
  if (format !== "flashinfer" && !hasTorch) {
    test.skip("needs torch in the referee's Python: scripts/torch.sh", () => undefined);
    return;
  }
  test.each(policies)("policy $policy finds a kernel that is confirmed", async ({ policy, flags }) => {
    const cwd = newFolder();
    const args = ["run", name, "--transcript", transcript(format, name), ...more, ...flags, ...short];
    const ended = await ksearch(args, { cwd });
    expect({ code: ended.code, stderr: ended.stderr }).toEqual({ code: 0, stderr: "" });
    expect(lastJson(ended)).toMatchObject({ status: "succeeded", attempts: 4, bestScore: expect.any(Number) });
    const created = JSON.parse(ended.stdout.split("\n")[0] ?? "");
    expect(created).toMatchObject({ type: "run.created", problem: name, options: { policy, device: "cpu" } });
    expect(ended.stdout).toContain('"type":"best.confirmed","kernelId":"ker_');
  });
});
