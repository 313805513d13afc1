import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { isWandbThere, type WandbPart, wandbParts, wandbPython } from "../../adapters/test/wandb-file.ts";
import {
  type Ended,
  type FakeModel,
  fakeModel,
  kernelText,
  ksearch,
  lastJson,
  newFolder,
  type Place,
  pause,
  problemFolder,
  problemName,
  replyTo,
  type StandIn,
  standInReferee,
  start,
} from "./stand-ins.ts";

/** What a user sees at Weights & Biases of real searches of the command line, and that a search never suffers from it. */
vi.setConfig({ testTimeout: 120_000 });

const problems = problemFolder();
const referee = standInReferee();
const apiKey = "wandb-secret-8d2f0c6b4e".padEnd(40, "0");
const offline = ["--wandb", "--wandb-mode", "offline"];

/** A model whose every third kernel names no score, which the stand-in referee does not pass. */
const sometimesWrong = () => {
  let drafts = 0;
  return (prompt: string): string => {
    if (!prompt.includes("# Action to carry out")) return replyTo(prompt);
    drafts += 1;
    const text = kernelText(drafts % 3 === 1 ? "none" : (1 + drafts / 10).toFixed(1), `draft ${drafts}`);
    return `<file name="main.py">\n${text}</file>`;
  };
};

type Search = { lanes?: number; attempts?: number; referee?: StandIn; policy?: "lanes" | "plain" };
const search = (
  model: FakeModel,
  more: string[],
  { lanes = 1, attempts = 5, referee: judge = referee, policy = "lanes" }: Search = {},
) => [
  ...["run", problemName, "--problems", problems, "--referee-python", judge.python],
  ...["--policy", policy, "--target-gpu", "cpu", "--language", "python"],
  ...["--lanes", `${lanes}`, "--budget-attempts", `${attempts}`, ...model.flags, ...more],
];

/** An empty folder to run in, with an environment that has a key of W&B and a home of its own. */
const place = (env: Record<string, string> = {}): Place => ({
  cwd: newFolder(),
  env: { HOME: newFolder(), WANDB_API_KEY: apiKey, ...env },
});

const runFolder = ({ cwd }: Place): string => {
  const runs = join(cwd, ".ksearch/runs");
  return join(runs, readdirSync(runs)[0] ?? "");
};
const ends = (parts: WandbPart[]) => parts.map(({ exitCode }) => exitCode);
const stepsOf = (parts: WandbPart[]) => parts.flatMap(({ rows }) => rows.map((row) => row._step));
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

/** What `ksearch show` knows of the judged attempts, in the order of their judgement. */
async function judgedIn(where: Place) {
  const { events } = lastJson(await ksearch(["show", "--json"], where));
  return (events as { event: { type: string; attempt: number; status: string; score: { value: number } | null } }[])
    .map(({ event }) => event)
    .filter(({ type }) => type === "attempt.judged");
}

/** The one line that says what is wrong with the tracker. */
const complaint = ({ stderr }: Ended): string[] => stderr.split("\n").filter((line) => /not shown|not all/.test(line));

describe.skipIf(!isWandbThere()).concurrent("a search that is shown offline", () => {
  test("has K-Search's keys, configuration and artifacts, and more of its own", async () => {
    const where = place({ WANDB_PROJECT: "from-the-environment", RUN_NAME: "my run" });
    const ended = await ksearch(search(await fakeModel({ say: sometimesWrong() }), [...offline, "--json"]), where);
    expect({ code: ended.code, status: lastJson(ended).status }).toEqual({ code: 0, status: "succeeded" });
    expect(ended.stderr).toMatch(/(^|\n)the run is shown at \S+offline-run-\S+ \('wandb sync' sends it\)\n/);
    expect(complaint(ended)).toEqual([]);
    const judged = await judgedIn(where);
    const [part, ...others] = wandbParts(runFolder(where));
    if (part === undefined) throw new Error("nothing was written");
    expect(others).toEqual([]);
    expect(part).toMatchObject({ project: "from-the-environment", name: "my run", exitCode: 0 });
    expect(part.id).toBe(lastJson(ended).id);
    expect(part.config).toMatchObject({
      task: { name: problemName, format: "flashinfer", workloads: 1 },
      generator: { model_name: "fake", language: "python", target_gpu: "cpu" },
      max_opt_rounds: 5,
      enable_world_model: true,
      artifacts_dir: ".ksearch",
      "ksearch/policy": "lanes",
    });

    let best: number | null = null;
    const wanted = judged.map(({ score }) => {
      if (score !== null) best = Math.max(best ?? 0, score.value);
      return {
        [`${problemName}/generate/${score === null ? "round_score" : "mean_speedup_vs_ref"}`]: score?.value ?? null,
        [`${problemName}/generate/best_score`]: best,
        ...(best === null ? {} : { [`${problemName}/generate/best_mean_speedup_vs_ref`]: best }),
      };
    });
    const ofOriginal = (row: object) => Object.entries(row).filter(([key]) => key.startsWith(`${problemName}/`));
    expect(part.rows.map((row) => Object.fromEntries(ofOriginal(row)))).toEqual(wanted);
    expect(stepsOf([part])).toEqual(upTo(5));
    expect(part.rows.map((row) => [row["ksearch/attempt"], row["ksearch/status"]])).toEqual(
      judged.map(({ attempt, status }) => [attempt, status]),
    );
    expect(judged.map(({ status }) => status)).toContain("compile_error");

    const code = part.artifacts.filter(({ name }) => name.endsWith("_code"));
    const passing = judged.filter(({ status }) => status === "passed").map(({ attempt }) => attempt);
    expect(code.map(({ name, type }) => `${name} ${type}`)).toEqual(passing.map((n) => `r${n}_code generated-code`));
    const [first] = code;
    expect(first?.metadata).toMatchObject({ definition: problemName, round: passing[0], target_gpu: "cpu" });
    const content = (path: string) => readFileSync(first?.files.get(path) ?? "", "utf8");
    expect([...(first?.files.keys() ?? [])].sort()).toEqual([
      "clean/main.py",
      "eval/round_summary.txt",
      "raw/raw_code.txt",
      "wm/world_model.json",
    ]);
    expect(content("raw/raw_code.txt")).toContain(content("clean/main.py").trim());
    expect(JSON.parse(content("wm/world_model.json")).decision_tree.nodes.length).toBeGreaterThan(8);

    const bestOne = part.artifacts.find(({ name }) => name === "ksearch-best");
    const solution = join(runFolder(where), "result-1/solution.json");
    const kept = readFileSync(bestOne?.files.get("solution.json") ?? "", "utf8");
    expect(JSON.parse(kept)).toEqual(JSON.parse(readFileSync(solution, "utf8")));

    expect(part.summary).toMatchObject({
      "ksearch/runStatus": "succeeded",
      "ksearch/confirmed": true,
      "ksearch/outputTokens": lastJson(ended).costMicroUsd / 20,
      "ksearch/costMicroUsd": lastJson(ended).costMicroUsd,
    });
    const table = part.summary["ksearch-tree"] as { path: string; nrows: number };
    const folder = readdirSync(join(runFolder(where), "wandb")).find((name) => name.startsWith("offline-run-")) ?? "";
    const rows = JSON.parse(readFileSync(join(runFolder(where), "wandb", folder, "files", table.path), "utf8"));
    expect(rows.columns).toEqual(["node", "parent", "title", "status", "score", "attempts", "costMicroUsd"]);
    expect(rows.data.map(([id]: string[]) => id)).toContain("idea0");

    expect(readdirSync(where.env?.HOME ?? ""), "W&B keeps its files with the run").toEqual([]);
    const files = readdirSync(where.cwd, { recursive: true, encoding: "utf8" }).map((file) => join(where.cwd, file));
    const plain = files.filter((file) => statSync(file, { throwIfNoEntry: false })?.isFile());
    expect(plain.filter((file) => readFileSync(file).includes(apiKey))).toEqual([]);
    expect(ended.stdout + ended.stderr).not.toContain(apiKey);
  });

  test("goes on in the same record after a pause by SIGTERM, and after kill -9, with no step twice", async () => {
    const where = place();
    const slow = standInReferee({ delayMs: 150 });
    const model = await fakeModel();
    const first = start(search(model, [...offline, "--json"], { lanes: 3, attempts: 14, referee: slow }), where);
    const judged = () => slow.judged().filter(({ at }) => at === "end").length;
    while (judged() < 3) await pause(20);
    first.child.kill("SIGTERM");
    expect((await first.ended).code).toBe(130);
    expect(ends(wandbParts(runFolder(where)))).toEqual([0]);

    const resume = ["resume", "--json", "--referee-python", slow.python];
    const second = start(resume, where);
    while (judged() < 8) await pause(20);
    second.child.kill("SIGKILL");
    await second.ended;
    const third = await ksearch(resume, where);
    expect({ code: third.code, status: lastJson(third).status }).toEqual({ code: 0, status: "succeeded" });
    const parts = wandbParts(runFolder(where));
    expect(stepsOf(parts)).toEqual(upTo(14));
    expect(new Set(parts.map(({ id }) => id))).toEqual(new Set([lastJson(third).id]));
    expect(ends(parts)).toEqual([0, 0, 0]);
    expect(parts.flatMap(({ rows }) => rows.map((row) => row["ksearch/attempt"]))).toEqual(
      (await judgedIn(where)).map(({ attempt }) => attempt),
    );
  });

  test("without a world model has the plain loop's names, and no tree", async () => {
    const where = place();
    const say = () => `<file name="main.py">\n${kernelText("1.5", "plain")}</file>`;
    const ended = await ksearch(search(await fakeModel({ say }), offline, { attempts: 2, policy: "plain" }), where);
    expect(ended.code).toBe(0);
    const [part] = wandbParts(runFolder(where));
    expect(part?.config).toMatchObject({ enable_world_model: false, continue_from_world_model: null });
    const names = part?.artifacts.map(({ name }) => name.replace(/ker_[0-9a-f]+/, "ker")) ?? [];
    expect(names).toEqual([1, 2].map((n) => `${problemName}_r${n}_ker_code`).concat("ksearch-best"));
    expect(part?.artifacts[0]?.files.has("wm/world_model.json")).toBe(false);
    expect(part?.summary).not.toHaveProperty("ksearch-tree");
    expect(part?.rows.map((row) => [row._step, row["ksearch/sameAs"]])).toEqual([
      [1, null],
      [2, 1],
    ]);
    const score = (row: object) => Object.entries(row).find(([key]) => key.endsWith("/mean_speedup_vs_ref"))?.[1];
    expect(part?.rows.map(score)).toEqual([1.5, 1.5]);
  });

  test("is closed when the run fails, too", async () => {
    const where = place();
    const model = await fakeModel({ respond: (response) => response.writeHead(401).end("{}") });
    const ended = await ksearch(search(model, offline), where);
    expect(ended.code).toBe(2);
    const parts = wandbParts(runFolder(where));
    expect(ends(parts)).toEqual([0]);
    expect(parts[0]?.summary).toMatchObject({ "ksearch/runStatus": "paused", "ksearch/attempts": 0 });
  });

  test("can be sent afterwards from its log, once", async () => {
    const where = place();
    const ended = await ksearch(search(await fakeModel(), ["--json"]), where);
    expect(ended.code).toBe(0);
    expect(wandbParts(runFolder(where))).toEqual([]);
    for (const round of [1, 2]) {
      const track = await ksearch(["track", "--wandb-mode", "offline", "--json"], where);
      expect({ round, code: track.code, runId: lastJson(track).runId }).toEqual({
        round,
        code: 0,
        runId: lastJson(ended).id,
      });
    }
    const parts = wandbParts(runFolder(where));
    expect(stepsOf(parts)).toEqual(upTo(5));
    expect(parts[0]?.artifacts.map(({ name }) => name)).toContain("ksearch-best");
  });
});

describe.concurrent("a search does not suffer when W&B", () => {
  const python = (script: string): string => {
    const path = join(newFolder(), "python");
    writeFileSync(path, `#!/bin/sh\n${script}\n`);
    chmodSync(path, 0o755);
    return path;
  };
  const opened = `read line; echo '{"seq":0,"where":"somewhere"}'; read line`;
  test.each<[string, string, RegExp]>([
    ["is not installed", join(newFolder(), "nowhere/python"), /run scripts\/wandb\.sh/],
    ["has no package", python('exec python3 -I -S "$@"'), /has no package wandb/],
    ["crashes at once", python("exit 7"), /exit code 7/],
    ["crashes later", python(`${opened}; echo 'why it died' >&2; exit 1`), /: why it died;/],
    ["prints rubbish", python("read line; echo rubbish; sleep 60"), /'rubbish'/],
  ])("%s: said once, with what to do", async (_, wandb, says) => {
    const where = place({ KSEARCH_WANDB_PYTHON: wandb });
    const ended = await ksearch(search(await fakeModel(), [...offline, "--json"]), where);
    expect({ code: ended.code, status: lastJson(ended).status, attempts: lastJson(ended).attempts }).toEqual({
      code: 0,
      status: "succeeded",
      attempts: 5,
    });
    expect(complaint(ended)).toEqual([expect.stringMatching(says)]);
    expect(complaint(ended)[0]).toMatch(/the search goes on, and '.*ksearch track run_\S+' sends it later$/);
  });

  test.skipIf(!existsSync(wandbPython))("cannot write into the run's folder", async () => {
    const where = place({ KSEARCH_WANDB_PYTHON: python("exit 7") });
    const slow = standInReferee({ delayMs: 200 });
    const first = start(search(await fakeModel(), [...offline, "--json"], { referee: slow }), where);
    while (slow.judged().length === 0) await pause(20);
    first.child.kill("SIGTERM");
    expect((await first.ended).code).toBe(130);
    rmSync(join(runFolder(where), "wandb"), { recursive: true, force: true });
    writeFileSync(join(runFolder(where), "wandb"), "a file where the folder should be");
    const resume = ["resume", "--json", "--referee-python", slow.python];
    const ended = await ksearch(resume, { ...where, env: { ...where.env, KSEARCH_WANDB_PYTHON: undefined } });
    expect({ code: ended.code, status: lastJson(ended).status }).toEqual({ code: 0, status: "succeeded" });
    expect(complaint(ended)).toEqual([expect.stringMatching(/File exists|Not a directory/)]);
  });

  test.skipIf(!existsSync(wandbPython))("has no key", async () => {
    const where = place({ WANDB_API_KEY: "" });
    const ended = await ksearch(search(await fakeModel(), ["--wandb", "--json"]), where);
    expect({ code: ended.code, status: lastJson(ended).status }).toEqual({ code: 0, status: "succeeded" });
    expect(complaint(ended)).toEqual([expect.stringMatching(/No API key configured/)]);
  });
});

describe.concurrent("flags", () => {
  const refused: [string, string[], Record<string, string>, RegExp][] = [
    [
      "a flag of W&B without --wandb",
      ["--wandb-project", "p", "--run-name", "r"],
      {},
      /--wandb-project and --run-name cannot/,
    ],
    ["a mode that is none", ["--wandb", "--wandb-mode", "later"], {}, /--wandb-mode: .*online/],
    ["a mode that is none in the environment", ["--wandb"], { WANDB_MODE: "shared" }, /WANDB_MODE is 'shared'/],
    [
      "a project's name that W&B would not take",
      ["--wandb", "--wandb-project", "me/mine"],
      {},
      /--wandb-project: 1 to 128/,
    ],
    ["the same in the environment", ["--wandb"], { WANDB_PROJECT: "a#b" }, /WANDB_PROJECT or RUN_NAME: project/],
  ];
  test.each(refused)("%s is refused before anything is made", async (_, flags, env, says) => {
    const where = place(env);
    const ended = await ksearch(search(await fakeModel(), [...flags, "--json"]), where);
    expect(ended.code).toBe(2);
    expect(lastJson(ended).error).toMatchObject({ who: "caller", code: "flags", message: expect.stringMatching(says) });
    expect(readdirSync(where.cwd)).toEqual([]);
  });

  test("WANDB_MODE=disabled shows nothing; what a run is called later cannot change", async () => {
    const where = place({ WANDB_MODE: "disabled", KSEARCH_WANDB_PYTHON: "/nowhere/python" });
    const ended = await ksearch(search(await fakeModel(), ["--wandb", "--json"], { attempts: 1 }), where);
    expect({ code: ended.code, stderr: ended.stderr }).toEqual({ code: 0, stderr: "" });
    expect(lastJson(await ksearch(["track", "--json"], where)).error.message).toMatch(/WANDB_MODE is 'disabled'/);
    const track = ["track", "--json", "--wandb-mode", "offline"];
    expect(lastJson(await ksearch(track, where)).error.code).toBe("tracker.missing");
    const other = await ksearch([...track, "--wandb-project", "another"], where);
    expect(lastJson(other).error).toMatchObject({ who: "caller", message: expect.stringMatching(/and stays there/) });
  });
});
