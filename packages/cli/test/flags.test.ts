import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { FlashInferProblem, type Problem, type RunOptions } from "@ksearch/domain";
import { describe, expect, test } from "vitest";
import { chooseProblem } from "../src/chosen.ts";
import { modelChoice } from "../src/model-flags.ts";
import { loadProblem } from "../src/problems.ts";
import { program } from "../src/program.ts";
import { refereeChoice } from "../src/referee-choice.ts";
import { deviceOf, evaluationOf, languageOf, runOptions } from "../src/run-flags.ts";
import { trackingChoice } from "../src/tracking.ts";
import {
  definition,
  doctorReport,
  fakeModel,
  kernelText,
  ksearch,
  lastJson,
  newFolder,
  problemFolder,
  problemName,
  searchFlags,
  standInReferee,
  workload,
} from "./stand-ins.ts";

/**
 * No flag of `ksearch run` is dead: every one stands in a table here with what it changes. Those that change what the run's
 * first event records are read as the command line reads them; the others run the command.
 */
const problem = FlashInferProblem.parse({ format: "flashinfer", definition, workloads: [workload.workload] });
const kernelBench: Problem = {
  format: "kernelbench",
  name: "kernelbench_l1_p1",
  level: 1,
  problemId: 1,
  title: "x",
  source: "class Model: ...\ndef get_inputs(): ...\ndef get_init_inputs(): ...\n",
  precision: "fp32",
  madeFor: "cpu",
};

/** What a command line's first event would record, on a machine of two cores. */
function recorded(args: readonly string[], of: Problem = problem): RunOptions {
  const flags = searchFlags(args);
  const device = deviceOf(flags, of);
  return runOptions(flags, {
    device,
    language: languageOf(flags, device, of),
    deviceFacts: "",
    models: ["m"],
    treeModel: null,
    modelLabel: "m",
    recordedReplies: false,
    attemptsPerNode: null,
    evaluation: evaluationOf(flags, of, device, 2, null),
    baseline: null,
  });
}

type Recorded = { args: string[]; beside?: string[]; of?: Problem; shows: object };
const inFirstEvent: Record<string, Recorded> = {
  "--world-model": { args: [], shows: { policy: "lanes", lanes: 4 } },
  "--policy": { args: ["ksearch"], shows: { policy: "ksearch", lanes: 1 } },
  "--lanes": { args: ["3"], shows: { lanes: 3 } },
  "--max-opt-rounds": { args: ["7"], shows: { budgetAttempts: 7 } },
  "--budget-attempts": { args: ["8"], shows: { budgetAttempts: 8 } },
  "--budget-usd": { args: ["1.5"], shows: { budgetMicroUsd: 1_500_000 } },
  "--wm-stagnation-window": {
    args: ["9"],
    beside: ["--world-model"],
    shows: { stagnationWindow: 9, attemptsPerNode: { base: 2, max: 9 } },
  },
  "--wm-max-difficulty": { args: ["3"], beside: ["--world-model"], shows: { maxDifficulty: 3 } },
  "--attempts-per-node": {
    args: ["1-4"],
    beside: ["--world-model"],
    shows: { attemptsPerNode: { base: 1, max: 4 } },
  },
  "--target-score": { args: ["2.5"], shows: { targetScore: 2.5 } },
  "--patience": { args: ["6"], shows: { patience: 6 } },
  "--confirm-top": { args: ["2"], shows: { confirmTop: 2 } },
  "--language": { args: ["cuda"], shows: { language: "cuda" } },
  "--target-gpu": { args: ["B200"], shows: { device: "B200", language: "triton" } },
  "--device": { args: ["cpu"], shows: { device: "cpu", language: "cpp" } },
  "--seed": { args: ["42"], shows: { seed: 42 } },
  "--warmup-runs": { args: ["4"], shows: { evaluation: { timing: { warmup: 4 } } } },
  "--iterations": { args: ["17"], shows: { evaluation: { timing: { iterations: 17 } } } },
  "--num-trials": { args: ["3"], shows: { evaluation: { correctness: { trials: 3 } } } },
  "--rtol": { args: ["1e-3"], shows: { evaluation: { correctness: { rtol: 1e-3 } } } },
  "--atol": { args: ["0.5"], shows: { evaluation: { correctness: { atol: 0.5 } } } },
  "--use-isolated-runner": { args: [], shows: { evaluation: { isolateWorkloads: true } } },
  "--parallel-workloads": { args: [], shows: { evaluation: { parallelWorkloads: 2 } } },
  "--max-parallel-workloads": {
    args: ["5"],
    beside: ["--parallel-workloads"],
    shows: { evaluation: { parallelWorkloads: 5 } },
  },
  "--feedback-trace-policy": { args: ["random"], shows: { evaluation: { feedbackOrder: "random" } } },
  "--kernelbench-num-correct-trials": {
    args: ["2"],
    of: kernelBench,
    shows: { evaluation: { correctness: { trials: 2 } } },
  },
  "--kernelbench-num-perf-trials": {
    args: ["30"],
    of: kernelBench,
    shows: { evaluation: { timing: { iterations: 30 } } },
  },
  "--max-output-tokens": { args: ["5000"], shows: { maxOutputTokens: 5_000 } },
  "--llm-timeout": { args: ["12.5"], shows: { llmTimeoutMs: 12_500 } },
};

/** Flags whose effect is that they are refused, with the mend. */
const refused: Record<string, { value: string; says: RegExp }> = {
  "--api-key": { value: "sk-1", says: /--api-key: .*visible to every user.*OPENAI_API_KEY/ },
};

/** Flags that say where kernels are judged: a choice kept beside the run. */
const inReferee = ["--referee", "--kernelbench-eval-mode"];

/** Flags that say which model answers or where a run is shown: their values are read into a choice kept beside the run. */
const live = ["--model-name", "gpt-5-mini"];
const inChoices: Record<string, { args: string[]; beside?: string[]; shows: object }> = {
  "--llm": { args: ["agent"], shows: { kind: "agent" } },
  "--transcript": { args: ["t.jsonl"], shows: { kind: "replay", transcript: "/t.jsonl" } },
  "--model-name": { args: ["gpt-5-mini"], shows: { kind: "openai", drafts: ["gpt-5-mini"] } },
  "--wm-model-name": { args: ["o3"], beside: live, shows: { treeModel: "o3" } },
  "--base-url": { args: ["http://h/v1"], beside: live, shows: { models: [{ baseUrl: "http://h/v1" }] } },
  "--api": { args: ["chat"], beside: live, shows: { models: [{ api: "chat" }] } },
  "--reasoning-effort": { args: ["high"], beside: live, shows: { models: [{ reasoningEffort: "high" }] } },
  "--model-price": { args: ["1/3"], beside: live, shows: { models: [{ price: { outputMicroUsd: 3_000_000 } }] } },
  "--llm-background": { args: [], beside: live, shows: { models: [{ background: true }] } },
};
const inTracking: Record<string, { args: string[]; shows: object }> = {
  "--wandb": { args: [], shows: { project: "flashinfer-bench", name: null, mode: "online" } },
  "--wandb-project": { args: ["kernels"], shows: { project: "kernels" } },
  "--wandb-mode": { args: ["offline"], shows: { mode: "offline" } },
  "--run-name": { args: ["first"], shows: { name: "first" } },
};

/** Flags that are shown at work by the processes below. */
const atWork = [
  ...["--task-source", "--task-path", "--local", "--definition", "--problems", "--feedback-workloads"],
  ...["--gpumode-mode", "--gpumode-task-dir", "--gpumode-keep-tmp", "--kernelbench-level", "--kernelbench-problem-id"],
  ...["--baseline-solution", "--num-eval-workload", "--no-save-results", "--save-solutions"],
  ...["--continue-from-solution", "--continue-from-world-model", "--artifacts-dir", "--referee-python", "--json"],
  // stage.test.ts
  ...["--engine", "--stage", "--detach"],
];

test("every flag of the command stands in one of the tables", () => {
  const run = program().commands.find((command) => command.name() === "run");
  const flags = run?.options.map(({ long }) => long) ?? [];
  const told = [inFirstEvent, refused, inChoices, inTracking].flatMap((table) => Object.keys(table));
  expect(flags.toSorted()).toEqual([...told, ...inReferee, ...atWork].toSorted());
});

const here = ["--target-gpu", "cpu"];
test.each(Object.entries(inFirstEvent))("%s is recorded, and without it something else is", (flag, given) => {
  const { args, beside = [], of = problem, shows } = given;
  const rest = flag === "--device" || flag === "--target-gpu" ? [] : here;
  expect(recorded([...rest, ...beside, flag, ...args], of)).toMatchObject(shows);
  expect(recorded([...rest, ...beside], of)).not.toMatchObject(shows);
});

test.each(Object.entries(refused))("%s is refused with the mend", (flag, { value, says }) => {
  expect(() => searchFlags([flag, value])).toThrow(says);
});

test.each(Object.entries(inChoices))("%s says which model answers", (flag, { args, beside = [], shows }) => {
  const choice = (more: string[]) => modelChoice(searchFlags(more), (path) => `/${path}`);
  expect(choice([...beside, flag, ...args])).toMatchObject(shows);
  if (beside.length > 0) expect(choice(beside)).not.toMatchObject(shows);
  else expect(() => choice([])).toThrow(/no model is named/);
});

test.each(Object.entries(inTracking))("%s says where a run is shown", (flag, { args, shows }) => {
  const none = { project: undefined, name: undefined, mode: undefined };
  const switched = flag === "--wandb" ? [] : ["--wandb"];
  expect(trackingChoice(searchFlags([...switched, flag, ...args]), none)).toMatchObject(shows);
  if (flag === "--wandb") expect(trackingChoice(searchFlags([]), none)).toBeNull();
  else expect(trackingChoice(searchFlags(["--wandb"]), none)).not.toMatchObject(shows);
});

test.each(inReferee)("%s says where kernels are judged", (flag) => {
  const choice = (args: string[]) => refereeChoice(searchFlags(args), undefined, "an-app");
  expect(choice([])).toEqual({ kind: "local" });
  expect(choice([flag, "local"])).toEqual({ kind: "local" });
  expect(choice([flag, "modal"])).toEqual({ kind: "modal", app: "an-app" });
  expect(() => searchFlags([flag, "moon"])).toThrow(new RegExp(`${flag}: .*local.*modal`));
});

test("--referee names a folder, too, by its whole path", () => {
  const choice = (where: string) => refereeChoice(searchFlags(["--referee", where]), undefined, "an-app");
  expect(choice("folder:/mnt/shared")).toEqual({ kind: "folder", path: "/mnt/shared" });
  expect(choice("folder:here")).toEqual({ kind: "folder", path: `${process.cwd()}/here` });
  for (const where of ["folder", "folder:", "modal:x"]) expect(() => choice(where)).toThrow(/--referee: .*folder:PATH/);
});

test("two places to judge at, or a folder of judgements that are made elsewhere, are told", () => {
  const choice = (args: string[], python?: string) => () => refereeChoice(searchFlags(args), python, "an-app");
  expect(choice(["--referee", "modal", "--kernelbench-eval-mode", "local"])).toThrow(/contradict each other/);
  expect(choice(["--referee", "modal", "--gpumode-keep-tmp"])).toThrow(/--gpumode-keep-tmp cannot stand beside/);
  for (const where of ["modal", "folder:/mnt"])
    expect(choice(["--referee", where], "python3")).toThrow(/--referee-python cannot stand beside/);
});

describe("flags that contradict each other are told, with both names", () => {
  test.each<[string[], RegExp]>([
    [["--max-opt-rounds", "3", "--budget-attempts", "3"], /--max-opt-rounds and --budget-attempts are one thing/],
    [["--target-gpu", "H100", "--device", "cpu"], /--target-gpu and --device are one thing/],
    [["--policy", "plain", "--world-model"], /--policy plain has no world model/],
    [["--wm-max-difficulty", "3"], /--wm-max-difficulty needs a world model: add --world-model/],
    [["--continue-from-world-model", "auto"], /--continue-from-world-model needs a world model/],
    [["--policy", "ksearch", "--lanes", "4"], /--policy ksearch works on one lane/],
    [
      ["--world-model", "--attempts-per-node", "2", "--wm-stagnation-window", "3"],
      /are one thing under --policy lanes/,
    ],
    [["--max-parallel-workloads", "2"], /needs --parallel-workloads/],
    [["--kernelbench-num-perf-trials", "3"], /cannot stand beside a problem of the format flashinfer/],
    [["--gpumode-keep-tmp"], /--gpumode-keep-tmp cannot stand beside/],
  ])("%j", (args, says) => expect(() => recorded(args)).toThrow(says));
});

test("the defaults are the original's", () => {
  expect(recorded([])).toMatchObject({
    policy: "plain",
    lanes: 1,
    budgetAttempts: 5,
    device: "H100",
    language: "triton",
    stagnationWindow: 5,
    evaluation: { timing: { warmup: 10, iterations: 10 }, correctness: { trials: 1, rtol: 1e-2, atol: 1e-2 } },
  });
  expect(recorded([], kernelBench)).toMatchObject({
    device: "cpu",
    evaluation: { timing: { iterations: 100 }, correctness: { trials: 5 } },
  });
});

const problems = problemFolder();
const referee = standInReferee();
const at = ["--referee-python", referee.python, "--target-gpu", "cpu", "--language", "python"];
const folderOf = (cwd: string) => join(cwd, ".ksearch");

/** A dataset of the user's own: three workloads, a solution that the stand-in referee scores 2, and a trace of it. */
function dataset(): string {
  const lines = ["w1", "w2", "w3"].map((uuid) => JSON.stringify({ workload: { ...workload.workload, uuid } }));
  const root = problemFolder({ workloads: `${lines.join("\n")}\n` });
  const solution = {
    name: "library",
    definition: problemName,
    author: "someone",
    description: "",
    spec: { language: "python", target_hardware: ["cpu"], entry_point: "main.py::run", dependencies: [] },
    sources: [{ path: "main.py", content: kernelText("2", "library") }],
  };
  mkdirSync(join(root, "solutions/someone/elementwise", problemName), { recursive: true });
  writeFileSync(join(root, "solutions/someone/elementwise", problemName, "library.json"), JSON.stringify(solution));
  return root;
}

/** A GPU MODE problem folder with one test and one benchmark. */
function gpuModeFolder(): string {
  const folder = newFolder();
  const code =
    "def generate_input(size): ...\ndef ref_kernel(data): ...\ndef check_implementation(data, output): ...\n";
  writeFileSync(join(folder, "reference.py"), code);
  const task = [
    "lang: py",
    "description: x",
    "files: [{name: submission.py, source: '@SUBMISSION@'}, {name: reference.py, source: reference.py}]",
    "tests: [{size: 4}]",
    "benchmarks: [{size: 8}]",
    "ranking_by: geom",
  ];
  writeFileSync(join(folder, "task.yml"), task.join("\n"));
  return folder;
}

const eventsOf = async (cwd: string) => JSON.parse((await ksearch(["show", "--json"], { cwd })).stdout).events;
const firstEvent = async (cwd: string) => (await eventsOf(cwd))[0].event;

describe("flags at work", { timeout: 60_000 }, () => {
  test("--problems, --definition, --task-source and --artifacts-dir; --json tells the end", async () => {
    const model = await fakeModel();
    const cwd = newFolder();
    const place = ["--artifacts-dir", "elsewhere", "--json"];
    const name = ["--task-source", "flashinfer", "--definition", problemName, "--problems", problems];
    const ended = await ksearch(["run", ...name, ...at, ...place, "--max-opt-rounds", "1", ...model.flags], { cwd });
    expect({ code: ended.code, last: lastJson(ended) }).toMatchObject({
      code: 0,
      last: { problem: problemName, attempts: 1 },
    });
    expect(existsSync(join(cwd, "elsewhere/ksearch.json"))).toBe(true);
    expect(existsSync(folderOf(cwd))).toBe(false);
  });

  test("--local, --feedback-workloads, --baseline-solution, --num-eval-workload, --save-solutions", async () => {
    const model = await fakeModel();
    const [cwd, root] = [newFolder(), dataset()];
    const wanted = ["--feedback-workloads", "w3", "w1", "--baseline-solution", "library", "--num-eval-workload", "2"];
    const search = ["run", "--definition", problemName, "--local", root, ...wanted, "--save-solutions"];
    const ended = await ksearch([...search, ...at, "--max-opt-rounds", "1", ...model.flags], { cwd });
    expect(ended).toMatchObject({ code: 0 });
    const created = await firstEvent(cwd);
    expect(created.options).toMatchObject({
      baseline: { solution: "library", source: "measured" },
      evaluation: { aggregate: "geomean_vs_baseline", baselineNs: { w3: 500_000, w1: 500_000 } },
    });
    const prompt = model.received[0]?.prompt ?? "";
    expect(prompt).toMatch(/library|500/);
    const task = join(folderOf(cwd), problemName);
    expect(readdirSync(join(task, "solutions", problemName))).toHaveLength(1);
    const [report = ""] = readdirSync(join(task, "eval", problemName));
    const evaluated = JSON.parse(readFileSync(join(task, "eval", problemName, report), "utf8"));
    expect(evaluated.workloads.map(({ workload_uuid }: { workload_uuid: string }) => workload_uuid)).toEqual([
      "w1",
      "w2",
    ]);
    expect(readdirSync(join(root, "traces/ksearch/elementwise"))).toEqual([`${problemName}.jsonl`]);
  });

  test("--no-save-results leaves the dataset and the artifacts as they were; --task-path is --local", async () => {
    const model = await fakeModel();
    const [cwd, root] = [newFolder(), dataset()];
    const search = ["run", problemName, "--task-path", root, "--no-save-results"];
    expect(await ksearch([...search, ...at, "--max-opt-rounds", "1", ...model.flags], { cwd })).toMatchObject({
      code: 0,
    });
    expect(existsSync(join(root, "traces"))).toBe(false);
    expect(existsSync(join(folderOf(cwd), problemName))).toBe(false);
  });

  test("--continue-from-solution by file, by the dataset's name and by run: judged first, then revised", async () => {
    const model = await fakeModel();
    const [cwd, root] = [newFolder(), dataset()];
    writeFileSync(join(cwd, "mine.py"), kernelText("3", "mine"));
    const search = ["run", problemName, "--task-path", root, "--no-save-results", ...at, "--max-opt-rounds", "1"];
    for (const [given, score] of [
      ["mine.py", 3],
      ["library", 2],
    ] as const) {
      await ksearch([...search, "--continue-from-solution", given, ...model.flags], { cwd });
      const events = await eventsOf(cwd);
      expect(events.find(({ event }: { event: { type: string } }) => event.type === "seed.judged").event).toMatchObject(
        {
          score: { value: score },
        },
      );
      expect(model.received.at(-1)?.prompt).toContain(`# score ${score}`);
    }
    const none = await ksearch([...search, "--continue-from-solution", "nobody", ...model.flags, "--json"], { cwd });
    expect(JSON.parse(none.stdout).error).toMatchObject({ who: "caller", code: "solution.unknown" });
  });

  test("--continue-from-world-model auto, a folder of the original, and import", async () => {
    const model = await fakeModel();
    const cwd = newFolder();
    const task = join(folderOf(cwd), problemName, "world_model");
    mkdirSync(task, { recursive: true });
    const nodes = [
      { node_id: "root", parent_id: null },
      ...["old", "next"].map((node_id) => ({
        node_id,
        parent_id: node_id === "next" ? "old" : "root",
        action: { title: `try ${node_id}`, score_0_to_1: 0.8 },
        solution_ref:
          node_id === "old" ? { solution_id: "sha1", eval: { status: "PASSED", metrics: { score: 9 } } } : {},
      })),
    ];
    writeFileSync(join(task, "world_model.json"), JSON.stringify({ decision_tree: { root_id: "root", nodes } }));
    const row = { solution_id: "sha1", definition: problemName, code: kernelText("1.25", "theirs") };
    writeFileSync(join(task, "solution_db.jsonl"), `${JSON.stringify(row)}\n`);
    const search = [
      problemName,
      "--problems",
      problems,
      ...at,
      "--world-model",
      "--lanes",
      "1",
      "--max-opt-rounds",
      "1",
    ];
    const given = ["--continue-from-world-model", "auto"];
    expect(await ksearch(["run", ...search, ...given, ...model.flags], { cwd })).toMatchObject({ code: 0 });
    const [first] = model.received;
    expect(first?.prompt).toContain("try next");
    expect(first?.prompt).toContain("# score 1.25 theirs");
    const imported = await ksearch(["import", task, ...search, ...model.flags, "--json"], { cwd });
    expect(lastJson(imported)).toMatchObject({ nodes: 3, solved: 1 });
    const { runId } = lastJson(imported);
    expect((await ksearch(["tree", runId], { cwd })).stdout).toMatch(/✓ old: try old/);
    const asked = model.received.length;
    expect(await ksearch(["resume", runId, "--referee-python", referee.python], { cwd })).toMatchObject({ code: 0 });
    expect(model.received.length).toBeGreaterThan(asked);
    const own = await ksearch(["run", ...search, "--continue-from-world-model", runId, ...model.flags], { cwd });
    expect(own.stdout).toMatch(/world model imported from run_.*: \d nodes?, [12] solved/);
    const plain = [problemName, "--problems", problems, ...at, "--max-opt-rounds", "1", ...model.flags, "--json"];
    const drafts = lastJson(await ksearch(["run", ...plain], { cwd })).id;
    const without = await ksearch(["run", ...search, "--continue-from-world-model", drafts, ...model.flags, "--json"], {
      cwd,
    });
    expect(JSON.parse(without.stdout).error).toMatchObject({ who: "caller", code: "world.none" });
    const nothing = ["run", ...search, "--continue-from-world-model", "nowhere.json", ...model.flags, "--json"];
    expect(JSON.parse((await ksearch(nothing, { cwd })).stdout).error).toMatchObject({ code: "world.unknown" });
  });

  test("--gpumode-keep-tmp leaves the folders of judgements under the run, and tells where", async () => {
    const model = await fakeModel({
      say: () => `<file name="submission.py">\n# score 2\ndef custom_kernel(data):\n    return data\n</file>`,
    });
    const cwd = newFolder();
    const judge = standInReferee({ doctor: { ...doctorReport, torch: "2.8.0" } });
    const search = ["run", "--gpumode-task-dir", gpuModeFolder(), "--referee-python", judge.python, ...at.slice(2)];
    const run = [...search, "--max-opt-rounds", "1", ...model.flags];
    const kept = await ksearch([...run, "--gpumode-keep-tmp"], { cwd });
    expect(kept).toMatchObject({ code: 0 });
    const [first] = judge.judged();
    expect(first?.keptIn).toMatch(/runs\/run_.*\/judgements$/);
    expect(kept.stdout).toContain(first?.keptIn);
    await ksearch(run, { cwd });
    expect(judge.judged().at(-1)?.keptIn).toBeNull();
  });

  test("kernels of a problem in C++ are in CUDA on a GPU, if nothing else is said", () => {
    const { problem: task } = loadProblem("softmax_rows", {
      problems: fileURLToPath(new URL("../../../problems", import.meta.url)),
    });
    expect(recorded([], task)).toMatchObject({ device: "cpu", language: "cpp" });
    expect(recorded(["--target-gpu", "H100"], task)).toMatchObject({ device: "H100", language: "cuda" });
  });

  test("the gpumode and kernelbench flags choose a problem of their formats", () => {
    const root = newFolder();
    mkdirSync(join(root, "level2"));
    writeFileSync(join(root, "level2/7_Wide.py"), kernelBench.source);
    const benched = chooseProblem(
      undefined,
      searchFlags(["--task-path", root, "--kernelbench-level", "2", "--kernelbench-problem-id", "7"]),
      1,
    );
    expect(benched.problem).toMatchObject({ format: "kernelbench", name: "kernelbench_l2_p7" });
    const folder = gpuModeFolder();
    const tests = (mode: string[]) =>
      chooseProblem(undefined, searchFlags(["--gpumode-task-dir", folder, ...mode]), 1).problem;
    expect(tests([])).toMatchObject({ format: "gpumode", tests: [], benchmarks: [{ args: { size: 8 } }] });
    expect(tests(["--gpumode-mode", "leaderboard"])).toMatchObject({ tests: [{ args: { size: 4 } }] });
    expect(() => searchFlags(["--gpumode-mode", "test"])).toThrow(/no other mode gives a score/);
  });
});
