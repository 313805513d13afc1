import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

/** The launchers, run for real with a command in place of ksearch that prints its arguments, one a line. */
const folder = fileURLToPath(new URL(".", import.meta.url));
const launchers = ["gpumode_trimul_wm.sh", "mla_decode_wm.sh", "kernelbench_wm.sh"];

function argsOf(launcher: string, env: Record<string, string> = {}, more: string[] = []): string[] {
  const path = process.env.PATH ?? "";
  const out = execFileSync(`${folder}${launcher}`, more, {
    env: { PATH: path, KSEARCH: "printf %s\\n", ...env },
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
  return out.split("\n").slice(0, -1);
}

/** Variables that a launcher's head tells of, with the flag beside each. */
function toldBy(launcher: string): { variable: string; flag: string }[] {
  const text = readFileSync(`${folder}${launcher}`, "utf8");
  const lines = [...text.matchAll(/^: "\$\{([A-Z_]+)=.*?\}" *# --([a-z-]+)/gm)];
  const beside = /# Beside them: ([A-Z_ ]+),/.exec(text)?.[1]?.split(" ") ?? [];
  return [
    ...lines.map(([, variable = "", flag = ""]) => ({ variable, flag })),
    ...[...beside, "WANDB_PROJECT", "RUN_NAME"].map((variable) => ({
      variable,
      flag: variable.toLowerCase().replaceAll("_", "-"),
    })),
  ];
}

const switches = new Set([
  "world-model",
  "save-solutions",
  "wandb",
  "gpumode-keep-tmp",
  "use-isolated-runner",
  "parallel-workloads",
  "no-save-results",
]);

test.each(launchers.flatMap((launcher) => toldBy(launcher).map((told) => ({ launcher, ...told }))))(
  "$launcher: $variable reaches --$flag",
  ({ launcher, variable, flag }) => {
    if (switches.has(flag)) {
      expect(argsOf(launcher, { [variable]: "1" })).toContain(`--${flag}`);
      expect(argsOf(launcher, { [variable]: "0" })).not.toContain(`--${flag}`);
      expect(() => argsOf(launcher, { [variable]: "yes" })).toThrow(/1 or 0/);
    } else {
      const args = argsOf(launcher, { WANDB: "1", [variable]: "other" });
      expect(args[args.indexOf(`--${flag}`) + 1]).toBe("other");
      expect(argsOf(launcher, { [variable]: "" })).not.toContain(`--${flag}`);
    }
  },
);

test("the defaults are the original's", () => {
  const pairs = (launcher: string) => argsOf(launcher).join(" ");
  expect(pairs("gpumode_trimul_wm.sh")).toContain(
    "run --task-source gpumode --model-name gpt-5.2 --language triton --target-gpu H100 --max-opt-rounds 300",
  );
  expect(pairs("gpumode_trimul_wm.sh")).toMatch(
    /--artifacts-dir \.ksearch-output-gpumode .*--gpumode-mode leaderboard/,
  );
  expect(pairs("mla_decode_wm.sh")).toMatch(
    /--model-name gemini-3-pro-preview --language cuda .*--max-opt-rounds 20 .*--wm-stagnation-window 7 .*--use-isolated-runner --parallel-workloads/,
  );
  expect(argsOf("mla_decode_wm.sh", { DATASET_ROOT: "/data" })).toContain("flashinfer_wrapper_03f7b0");
  expect(pairs("kernelbench_wm.sh")).toMatch(
    /--model-name gpt-5.2 --language triton .*--max-opt-rounds 50 .*--wm-stagnation-window 5 .*--kernelbench-num-perf-trials 100/,
  );
});

test("a key in the environment never becomes an argument, and arguments of the launcher follow", () => {
  const secret = "sk-very-secret";
  for (const launcher of launchers) {
    const args = argsOf(launcher, { OPENAI_API_KEY: secret, LLM_API_KEY: secret, GEMINI_API_KEY: secret }, ["--json"]);
    expect(args.join(" ")).not.toContain(secret);
    expect(args.at(-1)).toBe("--json");
  }
});

test("without Weights & Biases its flags stay away, whatever the shell exports", () => {
  const args = argsOf("gpumode_trimul_wm.sh", { WANDB: "0", WANDB_PROJECT: "p", RUN_NAME: "r" });
  expect(args.filter((arg) => arg.startsWith("--wandb") || arg === "--run-name")).toEqual([]);
});

test("without the world model its flags stay away", () => {
  const args = argsOf("gpumode_trimul_wm.sh", { WORLD_MODEL: "0", WORLD_MODEL_JSON: "auto" });
  expect(args.filter((arg) => arg.startsWith("--wm") || arg.includes("world-model"))).toEqual([]);
});

test("a path that is not absolute is meant from where the launcher was called", () => {
  const [name = ""] = launchers;
  const out = execFileSync(`../scripts/${name}`, [], {
    cwd: fileURLToPath(new URL("../docs", import.meta.url)),
    env: { PATH: process.env.PATH ?? "", KSEARCH: "printf %s\\n", CONTINUE_FROM_SOLUTION: "glossary.md" },
    encoding: "utf8",
  });
  expect(out).toContain("/docs/glossary.md\n");
});
