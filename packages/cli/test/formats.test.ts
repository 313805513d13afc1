import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { ksearch, lastJson, newFolder } from "./stand-ins.ts";

/**
 * A search on one problem of each format, and under each policy, as a user starts it: the real referee, and an agent's
 * recorded replies. Three attempts each: more would only take longer.
 */
const home = fileURLToPath(new URL("../../../", import.meta.url));
const python = `${home}packages/evaluator/.venv/bin/python`;
const hasTorch = existsSync(python) && spawnSync(python, ["-c", "import torch"]).status === 0;
const transcript = (format: string, name: string) => `${home}problems/${format}/transcripts/${name}.jsonl`;
const short = ["--max-opt-rounds", "3", "--iterations", "3", "--warmup-runs", "1", "--confirm-top", "1", "--json"];

const policies: Record<string, string[]> = {
  plain: [],
  ksearch: ["--policy", "ksearch", "--wm-stagnation-window", "1"],
  lanes: ["--world-model", "--lanes", "2"],
};

/** The formats whose references are torch code take one policy each: workers that import torch start slowly. */
const gqa = "gqa_paged_decode_h8_kv2_d64_ps1_f32";
const searches: { name: string; format: string; policy: string; more: string[] }[] = [
  { name: gqa, format: "flashinfer", policy: "plain", more: [] },
  { name: gqa, format: "flashinfer", policy: "ksearch", more: [] },
  { name: gqa, format: "flashinfer", policy: "lanes", more: [] },
  { name: "trimul_small", format: "gpumode", policy: "lanes", more: ["--language", "python"] },
  { name: "kernelbench_l1_p1", format: "kernelbench", policy: "plain", more: [] },
];

describe("searches with recorded replies", { timeout: 300_000 }, () => {
  test.each(searches)("$name under policy $policy: a kernel is found and confirmed", async (search) => {
    const { name, format, policy, more } = search;
    if (format !== "flashinfer" && !hasTorch) return console.warn(`${name} is skipped: it needs scripts/torch.sh`);
    const args = [
      "run",
      name,
      "--transcript",
      transcript(format, name),
      ...more,
      ...(policies[policy] ?? []),
      ...short,
    ];
    const ended = await ksearch(args, { cwd: newFolder() });
    expect({ code: ended.code, stderr: ended.stderr }).toEqual({ code: 0, stderr: "" });
    expect(lastJson(ended)).toMatchObject({ status: "succeeded", attempts: 3, bestScore: expect.any(Number) });
    const created = JSON.parse(ended.stdout.split("\n")[0] ?? "");
    expect(created).toMatchObject({ type: "run.created", problem: name, options: { policy, device: "cpu" } });
    expect(ended.stdout).toContain('"type":"best.confirmed","kernelId":"ker_');
  });
});
