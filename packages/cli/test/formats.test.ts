import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { problemDigest } from "@ksearch/domain";
import { describe, expect, test } from "vitest";
import { loadProblem } from "../src/problems.ts";
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

/** Replies to a search on the problem in C++ that is shipped: the starter, one that is wrong, and another right one. */
function repliesInCpp(): string {
  const { problem } = loadProblem("softmax_rows", { problems: `${home}problems` });
  const starter = readFileSync(`${home}problems/gpumode/softmax_rows/submission.cpp`, "utf8");
  const drafts = [starter, starter.replace("- largest", ""), starter.replace("row[j] /= sum", "row[j] *= 1 / sum")];
  const head = {
    format: "ksearch-transcript",
    version: 1,
    problem: "softmax_rows",
    problemDigest: problemDigest(problem),
  };
  const about = { attemptsPerNode: { base: 2, max: 2 }, label: "a test", recordedAt: "2026-11-24T00:00:00.000Z" };
  const usage = { inputTokens: 1, cachedInputTokens: 0, outputTokens: 1, reasoningTokens: 0, estimated: true };
  const lines = drafts.map((draft, index) => ({
    slot: `draft/root/${index + 1}`,
    text: `<file name="submission.cpp">\n${draft}</file>`,
    model: "a test",
    usage,
  }));
  const file = join(newFolder(), "softmax_rows.jsonl");
  writeFileSync(file, [{ ...head, ...about }, ...lines].map((line) => `${JSON.stringify(line)}\n`).join(""));
  return file;
}

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

  test("a problem in C++, whose kernels take and return its containers", async () => {
    if (!existsSync(python)) return console.warn("softmax_rows is skipped: there is no referee here");
    const cwd = newFolder();
    const ended = await ksearch(["run", "softmax_rows", "--transcript", repliesInCpp(), ...short], { cwd });
    expect({ code: ended.code, stderr: ended.stderr }).toEqual({ code: 0, stderr: "" });
    expect(lastJson(ended)).toMatchObject({ status: "succeeded", attempts: 3, bestScore: expect.any(Number) });
    const judged = [...ended.stdout.matchAll(/"type":"attempt.judged","attempt":\d,"status":"(\w+)"/g)];
    expect(judged.map(([, status]) => status)).toEqual(["passed", "incorrect_numerical", "passed"]);
    expect(ended.stdout).toContain('"type":"best.confirmed","kernelId":"ker_');
  });

  test("a problem in C++ takes no kernels in Python", async () => {
    const cwd = newFolder();
    writeFileSync(join(cwd, "kernel.py"), "def custom_kernel(data):\n    return data\n");
    const words = "kernels are functions of C++ containers: take cuda for a GPU, cpp for a processor, not python";
    for (const args of [
      ["judge", "softmax_rows", "kernel.py"],
      ["run", "softmax_rows", "--language", "python", "--llm", "agent"],
    ]) {
      const ended = await ksearch(args, { cwd });
      expect({ code: ended.code, stdout: ended.stdout, told: ended.stderr.includes(words) }).toEqual({
        code: 2,
        stdout: "",
        told: true,
      });
    }
  });
});
