import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type AttemptsPerNode,
  kernelOfSolution,
  Problem,
  type RunOptions,
  readContinuation,
  runFlags,
  settingsFor,
} from "@ksearch/domain";
import { HtmlValidate } from "html-validate";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { sampleProblem } from "../../domain/test/samples.ts";
import { deviceOf, evaluationOf, languageOf, runOptions } from "../src/run-flags.ts";
import { type FinishedRun, hostileLine, hostileRun } from "./hostile-run.ts";
import {
  definition,
  fakeModel,
  ksearch,
  lastJson,
  newFolder,
  pause,
  problemFolder,
  problemName,
  replyTo,
  searchFlags,
  standInReferee,
  start,
} from "./stand-ins.ts";

/** `ksearch report` and `ksearch export` as a user calls them, on a run that says the worst it can, and on one that has not ended. */
vi.setConfig({ testTimeout: 30_000, hookTimeout: 60_000 });

let run: FinishedRun;
beforeAll(async () => {
  run = await hostileRun();
});

const command = (...args: string[]) => ksearch(args, run.place);

/** Markup that the WHATWG's rules and those of accessibility refuse, as `rule: message`. */
async function faults(page: string): Promise<string[]> {
  const rules = new HtmlValidate({ root: true, extends: ["html-validate:standard", "html-validate:a11y"] });
  const { results } = await rules.validateString(page);
  return results.flatMap(({ messages }) => messages.map(({ ruleId, message }) => `${ruleId}: ${message}`));
}

describe("ksearch report", () => {
  test("prints Markdown, by default and when asked, with nothing that a terminal obeys", async () => {
    const [plain, asked] = await Promise.all([command("report"), command("report", run.runId, "--md")]);
    expect(plain).toMatchObject({ code: 0, stderr: "" });
    expect(plain.stdout).toBe(asked.stdout);
    expect(plain.stdout).toMatch(/^# vector_scale\n\nModel: fake\./);
    expect(plain.stdout).toContain("times the reference's speed**");
    expect(plain.stdout).not.toMatch(/\p{Cc}(?<!\n)/u);
  });

  test("writes one page that is valid and accessible HTML, and says where it is", async () => {
    const { code, stdout } = await command("report", "--html");
    const file = join(run.place.cwd, `${run.runId}.html`);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${file}\n` });
    const page = readFileSync(file, "utf8");
    expect(await faults(page)).toEqual([]);
    const headings = [...page.matchAll(/<h3>(.*?)<\/h3>/g)].map(([, words]) => words);
    expect(headings).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^What it changed in main\.py of its base, attempt \d+ /),
        "From reference.py to main.py",
      ]),
    );
    expect(page.match(/<(ins|del)>/g)?.length).toBeGreaterThan(2);
    const json = lastJson(await command("report", "--html", "--out", "other.html", "--json"));
    expect(json).toEqual({
      runId: run.runId,
      format: "html",
      file: join(run.place.cwd, "other.html"),
      bytes: Buffer.byteLength(page),
    });
    expect(readFileSync(json.file, "utf8")).toBe(page);
  });

  test("the result folder holds both reports, and the end of a run names them truly", async () => {
    const folder = join(run.artifacts, "runs", run.runId, "result-1");
    const files = readdirSync(folder);
    const shown = (await command("show")).stdout.split("\n").find((line) => line.includes("result-1/")) ?? "";
    const named =
      shown
        .split("result-1/")[1]
        ?.split(",")
        .map((name) => name.trim().replace(/\/$/, "")) ?? [];
    expect(named).toContain("report.html");
    expect(files).toEqual(expect.arrayContaining(named));
    const page = readFileSync(join(folder, "report.html"), "utf8");
    expect(await faults(page)).toEqual([]);
  });

  test.each([
    ["both forms at once", ["report", "--md", "--html"], "usage", /'--md' cannot be used with option '--html'/],
    ["an unknown run", ["report", "run_none"], "run.unknown", /no one run 'run_none'/],
    ["a folder that is not there", ["report", "--out", "none/r.md"], "file.unwritable", /the report cannot be written/],
    ["an export to nowhere", ["export"], "usage", /required option '--to <folder>' not specified/],
    ["an export into a file", ["export", "--to", "a-file"], "file.unwritable", /the export cannot be written/],
  ])("%s is refused", async (_, args, code, says) => {
    writeFileSync(join(run.place.cwd, "a-file"), "");
    const { code: exit, stdout } = await command(...args, "--json");
    expect({ exit, ...JSON.parse(stdout) }).toEqual({
      exit: 2,
      error: { who: "caller", code, message: expect.stringMatching(says) },
    });
  });

  test("a run that was killed has a report of what there is", async () => {
    const say = (prompt: string) => (prompt.includes("# Answer format") ? null : replyTo(prompt));
    const model = await fakeModel({ say });
    const place = { cwd: newFolder() };
    const at = ["--problems", problemFolder(), "--referee-python", standInReferee().python, "--language", "python"];
    const { child, ended } = start(
      ["run", problemName, "--world-model", "--target-gpu", "cpu", ...model.flags, ...at],
      place,
    );
    while (model.received.length < 3) await pause(20);
    child.kill("SIGKILL");
    await ended;
    const [md, html] = await Promise.all([ksearch(["report"], place), ksearch(["report", "--html"], place)]);
    expect(md.stdout).toContain("running: the log has no end yet");
    expect(await faults(readFileSync(html.stdout.trim(), "utf8"))).toEqual([]);
    const exported = lastJson(await ksearch(["export", "--to", "out", "--json"], place));
    expect(exported.files.map(({ path }: { path: string }) => path).join()).not.toContain("solutions/");
  });
});

describe("ksearch export", () => {
  const exported = (folder: string, path: string) => readFileSync(join(folder, problemName, path), "utf8");

  test("writes a run directory that is read back whole: tree, kernels, scores", async () => {
    const folder = newFolder();
    const { runId, files, folder: inside } = lastJson(await command("export", "--to", folder, "--json"));
    expect({ runId, inside }).toEqual({ runId: run.runId, inside: join(folder, problemName) });
    const onDisk = readdirSync(inside, { recursive: true, encoding: "utf8" }).filter((path) => /\.\w+$/.test(path));
    expect(files.map(({ path }: { path: string }) => path).toSorted()).toEqual(onDisk.toSorted());
    const read = readContinuation(
      JSON.parse(exported(folder, "world_model/world_model.json")),
      exported(folder, "world_model/solution_db.jsonl"),
      {
        definition: problemName,
        kernelOf: (code) => kernelOfSolution(solutionWith(code), null),
        scoreName: "geomean_speedup",
        device: "cpu",
      },
    );
    expect(read?.repairs).toEqual([]);
    const tree = lastJson(await command("tree", "--json"));
    const solved = tree.nodes.filter(({ solution }: { solution: object | null }) => solution !== null);
    expect(read?.solutions.map(({ nodeId, score }) => ({ nodeId, score }))).toEqual(
      solved.map(({ nodeId, solution }: { nodeId: string; solution: { score: number } }) => ({
        nodeId,
        score: solution.score,
      })),
    );
    expect(read?.solutions[0]?.kernel.files[0]?.content).toContain(hostileLine);
    expect([...(read?.tree.nodes.keys() ?? [])]).toHaveLength(tree.nodes.length);
  });

  test("is taken over by ksearch import, as one of the original's would be", async () => {
    const folder = newFolder();
    await command("export", "--to", folder);
    const path = join(folder, problemName, "world_model");
    const flags = [
      "--world-model",
      "--target-gpu",
      "cpu",
      "--language",
      "python",
      "--llm",
      "agent",
      "--artifacts-dir",
      join(folder, "runs"),
    ];
    const imported = lastJson(await command("import", path, problemName, ...run.at, ...flags, "--json"));
    const { nodes } = lastJson(await command("tree", "--json"));
    const solved = nodes.filter(({ solution }: { solution: object | null }) => solution !== null).length;
    expect(imported).toMatchObject({ nodes: nodes.length, solved });
  });

  test("holds the winner as K-Search's solution, which the referee takes, beside reports and the whole log", async () => {
    const folder = newFolder();
    await command("export", "--to", folder);
    const best = lastJson(await command("kernel", "--json"));
    const name = `${run.runId}_${best.kernelId}`;
    const solution = JSON.parse(exported(folder, `solutions/${problemName}/${name}.json`));
    expect(solution).toMatchObject({ name, definition: problemName, sources: best.kernel.files });
    const log = exported(folder, "log.jsonl")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(log).toEqual(lastJson(await command("show", "--json")).events);
    expect(exported(folder, "report.md")).toBe((await command("report")).stdout);
    expect(await faults(exported(folder, "report.html"))).toEqual([]);
  });

  test("overwrites nothing unless told to", async () => {
    const folder = newFolder();
    const log = join(folder, problemName, "log.jsonl");
    mkdirSync(join(folder, problemName));
    writeFileSync(log, "somebody's");
    const refused = await command("export", "--to", folder, "--json");
    expect({ exit: refused.code, ...JSON.parse(refused.stdout) }).toEqual({
      exit: 2,
      error: {
        who: "caller",
        code: "export.exists",
        message: expect.stringMatching(/^1 file would .*log\.jsonl.*--force/),
      },
    });
    expect(readFileSync(log, "utf8")).toBe("somebody's");
    expect(existsSync(join(folder, problemName, "report.md"))).toBe(false);
    expect(await command("export", "--to", folder, "--force")).toMatchObject({ code: 0 });
    expect(readFileSync(log, "utf8")).toContain("run.created");
  });
});

/** A solution of one Python file with this code, as `readContinuation` is handed rows. */
const solutionWith = (content: string) => ({
  definition: definition.name,
  spec: { language: "python", entry_point: "main.py::run", destination_passing_style: false },
  sources: [{ path: "main.py", content }],
});

const cores = 4;
const facts = { deviceFacts: "d", models: ["m"] as [string], treeModel: null, modelLabel: "m", recordedReplies: true };

/** The options that flags ask for, as `ksearch run` reads them off its command line. */
function optionsOf(argv: readonly string[], problem: Problem, perNode: AttemptsPerNode | null): RunOptions {
  const flags = searchFlags(argv);
  const device = deviceOf(flags, problem);
  const { baselineNs } = settingsFor(problem);
  const evaluation = evaluationOf(flags, problem, device, cores, baselineNs);
  const language = languageOf(flags, device, problem);
  return runOptions(flags, { ...facts, device, language, evaluation, baseline: null, attemptsPerNode: perNode });
}

const gpuMode = (tests: object[]): Problem =>
  Problem.parse({
    format: "gpumode",
    name: "sum",
    description: "",
    files: [
      { path: "reference.py", content: "def generate_input(): ...\ndef ref_kernel(): ...\ncheck_implementation = 1\n" },
    ],
    tests,
    benchmarks: [{ id: "b", args: { n: 1 } }],
    rankingBy: "geom",
    madeFor: "gpu",
  });
const kernelBench = Problem.parse({
  format: "kernelbench",
  name: "kernelbench_l1_p1",
  level: 1,
  problemId: 1,
  title: "x",
  source: "class Model: ...\ndef get_inputs(): ...\ndef get_init_inputs(): ...\n",
  precision: "fp32",
  madeFor: "gpu",
});

test.each([
  ["nothing but defaults", [], sampleProblem(), null],
  ["a transcript's attempts a node", ["--world-model"], sampleProblem(), { base: 3, max: 3 }],
  [
    "the original's policy",
    ["--policy", "ksearch", "--wm-stagnation-window", "7", "--wm-max-difficulty", "3"],
    sampleProblem(),
    null,
  ],
  ["lanes with a window", ["--world-model", "--lanes", "9", "--wm-stagnation-window", "60"], sampleProblem(), null],
  [
    "lanes with attempts",
    ["--world-model", "--attempts-per-node", "1-4", "--budget-usd", "1.25", "--patience", "9"],
    sampleProblem(),
    null,
  ],
  [
    "how kernels are judged",
    "--num-trials 4 --rtol 0.001 --atol 1e-5 --iterations 30 --warmup-runs 0 --use-isolated-runner --parallel-workloads --max-parallel-workloads 3 --feedback-trace-policy random --confirm-top 5 --device cpu --language python --llm-timeout 90.5 --seed 12 --max-output-tokens 999 --target-score 2.5".split(
      " ",
    ),
    sampleProblem(),
    null,
  ],
  ["GPU MODE, ranked", ["--language", "cuda"], gpuMode([{ id: "t", args: {} }]), null],
  ["GPU MODE, benchmarks alone", [], gpuMode([]), null],
  ["KernelBench", ["--kernelbench-num-correct-trials", "2", "--kernelbench-num-perf-trials", "50"], kernelBench, null],
])("the flags that a report names ask for the very options of the run: %s", (_, argv, problem, perNode) => {
  const options = optionsOf(argv, problem, perNode);
  expect(optionsOf(runFlags(options, problem), problem, null)).toEqual(options);
});
