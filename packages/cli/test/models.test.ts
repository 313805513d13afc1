import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import {
  type FakeModel,
  fakeModel,
  ksearch,
  lastJson,
  newFolder,
  problemFolder,
  problemName,
  secretKey,
  standInReferee,
} from "./stand-ins.ts";

/** Several models, their endpoints, keys and prices, from the command line. */
vi.setConfig({ testTimeout: 60_000 });

const problems = problemFolder();
const referee = standInReferee();
const run = (more: readonly string[]): string[] => {
  const size = [
    "--world-model",
    "--target-gpu",
    "cpu",
    "--lanes",
    "2",
    "--budget-attempts",
    "6",
    "--attempts-per-node",
    "1",
  ];
  return [
    "run",
    problemName,
    "--problems",
    problems,
    "--referee-python",
    referee.python,
    "--language",
    "python",
    ...size,
    ...more,
  ];
};

const told = async (cwd: string, args: string[]) => lastJson(await ksearch([...args, "--json"], { cwd }));

describe("a run with several models", () => {
  const here = (name: string, { url }: FakeModel) => ["--base-url", `${name}=${url}`];
  const keys = { LLM_API_KEY: "sk-for-local-endpoints", OPENAI_API_KEY: secretKey };

  test("each is asked where it lives, at its price; attempts, rows, table and files say by whom, and hold no key", async () => {
    const cwd = newFolder();
    const [big, small] = [await fakeModel(), await fakeModel()];
    const flags = [
      ...["--model-name", "big", "--model-name", "small", "--wm-model-name", "tree"],
      ...[...here("big", big), ...here("small", small), ...here("tree", small)],
      ...[
        "--model-price",
        "big=10/100,small=1/10",
        "--model-price",
        "tree=0.1/0.01/1",
        "--reasoning-effort",
        "big=high",
      ],
      ...["--max-output-tokens", "1000", "--seed", "3"],
    ];
    const { code, stderr } = await ksearch(run(flags), { cwd, env: keys });
    expect(code, stderr).toBe(0);
    expect(new Set(big.received.map(({ model }) => model))).toEqual(new Set(["big"]));
    expect(new Set(small.received.map(({ model }) => model))).toEqual(new Set(["small", "tree"]));
    const drafts = (model: FakeModel) =>
      model.received.filter(({ prompt }) => prompt.includes("# Action to carry out"));
    expect(drafts(small).every(({ model }) => model === "small")).toBe(true);
    expect(new Set([...big.received, ...small.received].map(({ key }) => key))).toEqual(
      new Set(["Bearer sk-for-local-endpoints"]),
    );

    const { runId, usage, events } = await told(cwd, ["show"]);
    const costs: Record<string, number> = { big: 20_000, small: 2_000, tree: 200 };
    for (const row of usage.filter(({ to }: { to: string }) => to === "llm")) {
      expect(row).toMatchObject({
        model: "fake-1",
        costMicroUsd: costs[row.asked],
        usage: { inputTokens: 1_000, cachedInputTokens: 0, outputTokens: 100, reasoningTokens: 0, estimated: false },
      });
      expect(row.purpose === "draft").toBe(row.asked !== "tree");
    }
    const started = events.flatMap(({ event }: { event: { type: string; model: string } }) =>
      event.type === "attempt.started" ? [event.model] : [],
    );
    expect(new Set(started)).toEqual(new Set(["big", "small"]));
    expect((await ksearch(["show"], { cwd })).stdout).toMatch(/attempt 1 .*: draft spec {2}by (big|small)/);
    expect((await ksearch(["tree"], { cwd })).stdout).toMatch(/× by (big|small)/);
    const report = readFileSync(join(cwd, ".ksearch/runs", runId, "result-1/report.md"), "utf8");
    expect(report).toContain("Model: big, small (world model: tree).");
    expect(report).toMatch(/` (big|small), attempt 1 /);

    const { lines, total, prices } = await told(cwd, ["cost"]);
    const line = lines.find(({ model }: { model: string }) => model === "tree");
    expect(line).toMatchObject({ to: "llm", purpose: "init", calls: 1, inputTokens: 1_000, costMicroUsd: 200 });
    expect(total.costMicroUsd).toBe((await told(cwd, ["list"])).runs[0].costMicroUsd);
    expect(prices.tree).toEqual({ inputMicroUsd: 100_000, cachedInputMicroUsd: 10_000, outputMicroUsd: 1_000_000 });
    const table = (await ksearch(["cost"], { cwd })).stdout;
    expect(table).toMatch(/^big +draft +\d+ +[\d,]+ +0 +\d+ +0 +\$0\.\d\d +–$/m);
    expect(table).toMatch(/^referee \(cpu\) +evaluate +6 +– /m);
    expect(table).toMatch(/\(in\/cached\/out\): big 10\/10\/100, small 1\/1\/10, tree 0\.1\/0\.01\/1/);

    const choice = readFileSync(join(cwd, ".ksearch/runs", runId, "model.json"), "utf8");
    expect(JSON.parse(choice)).toMatchObject({ kind: "openai", drafts: ["big", "small"], treeModel: "tree" });
    expect(choice).not.toContain("sk-");
  });

  test("a resume may name others: they are asked from then on, by later resumes too, at their own price", async () => {
    const cwd = newFolder();
    const [first, second] = [
      await fakeModel({ respond: (response) => response.writeHead(402).end("{}") }),
      await fakeModel(),
    ];
    const at = (name: string, model: FakeModel, price: string) => [
      "--model-name",
      name,
      "--base-url",
      model.url,
      "--model-price",
      price,
      "--max-output-tokens",
      "1000",
    ];
    const broke = await ksearch(run([...at("old", first, "1/10"), "--json"]), { cwd, env: keys });
    expect(broke.code).toBe(2);
    expect(lastJson(broke).error).toMatchObject({ code: "llm.quota" });

    const [changed] = (await told(cwd, ["list"])).runs;
    const flags = at("new", second, "2/20").slice(0, -2);
    const resumed = await ksearch(["resume", ...flags, "--json", "--referee-python", referee.python], {
      cwd,
      env: keys,
    });
    expect(resumed.code, resumed.stdout.slice(-300)).toBe(0);
    expect(lastJson(resumed)).toMatchObject({ id: changed.id, status: "succeeded", model: "old, then new" });
    expect(first.received.every(({ model }) => model === "old")).toBe(true);
    expect(new Set(second.received.map(({ model }) => model))).toEqual(new Set(["new"]));
    const files = readdirSync(join(cwd, ".ksearch/runs", changed.id)).filter((file) => file.startsWith("model"));
    expect(files.sort()).toEqual(["model-2.json", "model.json"]);
    const { lines, prices } = await told(cwd, ["cost"]);
    expect(Object.keys(prices)).toEqual(["old", "new"]);
    expect(lines.find(({ model }: { model: string }) => model === "old")).toMatchObject({ failed: 1, costMicroUsd: 0 });
    expect(lines.filter(({ model }: { model: string }) => model === "new")[0]).toMatchObject({ costMicroUsd: 4_000 });
  });

  test("the models of a resume stay, for one that names none", async () => {
    const cwd = newFolder();
    const broke = await fakeModel({ respond: (response) => response.writeHead(402).end("{}") });
    const good = await fakeModel();
    const named = (name: string, model: FakeModel) => [
      "--model-name",
      name,
      "--base-url",
      model.url,
      "--model-price",
      "1/10",
    ];
    const again = (flags: string[]) =>
      ksearch(["resume", ...flags, "--json", "--referee-python", referee.python], { cwd, env: keys });
    await ksearch(run([...named("old", broke), "--max-output-tokens", "1000", "--json"]), { cwd, env: keys });
    await again(named("newer", broke));
    expect(broke.received.map(({ model }) => model)).toEqual(["old", "newer"]);
    await again([]);
    expect(broke.received.map(({ model }) => model)).toEqual(["old", "newer", "newer"]);
    expect((await again(named("newest", good))).code).toBe(0);
    expect(new Set(good.received.map(({ model }) => model))).toEqual(new Set(["newest"]));
  });
});

test("one model needs no more flags than before, and is named nowhere but where it was", async () => {
  const cwd = newFolder();
  const model = await fakeModel();
  const { code, stdout } = await ksearch(run([...model.flags, "--json"]), { cwd });
  expect(code, stdout).toBe(0);
  expect(stdout).not.toMatch(/"type":"attempt.started"[^\n]*"model":"/);
  expect((await ksearch(["show"], { cwd })).stdout).not.toContain("  by fake");
  expect((await ksearch(["cost", "nothing-like-it"], { cwd })).code).toBe(2);
});
